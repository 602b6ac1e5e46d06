// What a load balancer before this node asks at a service's healthCheckNodePort: whether the
// service is here, where externalTrafficPolicy is Local. Answers as kube-proxy does: 200 while
// there is an endpoint on this node that takes requests, else 503, with a body of JSON that says
// how many.
#pragma once

#include "proxy/context.h"

namespace tulle::proxy {

// Serves one connection to the door at downstream.destination, to its end.
rt::Task<void> serve_health_check(Context& context, std::unique_ptr<net::Stream> stream,
                                  Downstream downstream);

}  // namespace tulle::proxy
