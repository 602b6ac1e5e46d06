// One request for a stream of a pod. A bundle of references for the time of the request.
#pragma once

#include "codec/url.h"
#include "http/server.h"
#include "kube/status.h"
#include "node/node.h"
#include "node/places.h"

namespace tulle::node {

struct StreamRequest {
  Node& node;
  kubeclient::ObjectPtr pod;
  const codec::Query& query;
  http::Request& request;
  http::Exchange& exchange;
};

rt::Task<void> send_failure(http::Exchange& exchange, const kube::ApiStatus& status);

// The container that the query names, or the only one. Error: 400 in upstream's words.
kube::ApiResult<std::string> chosen_container(const StreamRequest& request);

// Its latest run. Error: 400, when it has not run yet.
kube::ApiResult<RunPlace> latest_run(const StreamRequest& request, const std::string& container);

// The same of the container that the query names. Error: 400 too when it does not run any more.
kube::ApiResult<RunPlace> current_run(const StreamRequest& request);

// Whether the query says "true" or "1".
bool flag_in(const codec::Query& query, std::string_view name);

rt::Task<void> serve_log(StreamRequest request);
rt::Task<void> serve_exec(StreamRequest request, Random& random);
rt::Task<void> serve_attach(StreamRequest request, Random& random);
rt::Task<void> serve_port_forward(StreamRequest request, Random& random);

}  // namespace tulle::node
