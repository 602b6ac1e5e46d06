#include "node/pod_streams.h"

#include "codec/json.h"
#include "codec/url.h"
#include "kube/object.h"
#include "kube/status.h"
#include "node/stream_request.h"

#include <boost/json.hpp>

namespace tulle::node {

rt::Task<void> send_failure(http::Exchange& exchange, const kube::ApiStatus& status) {
  const std::string body = codec::to_json(kube::to_json(status));
  codec::ResponseHead head{.status = status.code};
  head.headers.append("Content-Type", "application/json");
  (void)co_await exchange.send(head, body);
}

rt::Task<void> PodStreamServer::handle(http::Request& request, http::Exchange& exchange,
                                       PodStreamTarget target) {
  if (!target.pod) {
    co_return co_await send_failure(
        exchange, kube::service_unavailable("the node agent does not know the pod yet"));
  }
  auto query = codec::Query::parse(codec::split_target(request.head.target).query);
  if (!query) {
    co_return co_await send_failure(exchange, kube::bad_request(query.error().message));
  }
  const StreamRequest stream{
      .node = node_, .pod = target.pod, .query = *query, .request = request, .exchange = exchange};
  if (target.subresource == "log") co_return co_await serve_log(stream);
  if (target.subresource == "exec") co_return co_await serve_exec(stream, random_);
  if (target.subresource == "portforward") co_return co_await serve_port_forward(stream, random_);
  if (target.subresource == "attach") co_return co_await serve_attach(stream, random_);
  co_await send_failure(exchange, kube::path_not_found());
}

}  // namespace tulle::node
