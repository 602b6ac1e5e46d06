#include "app/admin.h"

#include "codec/url.h"

namespace tulle::app {

rt::Task<void> Admin::handle(http::Request& request, http::Exchange& exchange) {
  const std::string_view path = codec::split_target(request.head.target).path;
  codec::ResponseHead head;
  std::string body;
  if (request.head.method != "GET" && request.head.method != "HEAD") {
    head.status = 405;
    body = "only GET\n";
  } else if (path == "/metrics") {
    head.headers.append("Content-Type", "text/plain; version=0.0.4");
    update_();
    body = registry_.exposition();
  } else if (path == "/healthz") {
    body = "ok";
  } else {
    head.status = 404;
    body = "there are /metrics and /healthz\n";
  }
  // An error means that the client is gone.
  (void)co_await exchange.send(head, body);
}

}  // namespace tulle::app
