// Why a request goes where it goes: route, policy, pick, and of every endpoint why it was not
// picked, with the objects that say so. What `tulle explain` prints and `x-tulle-explain` answers.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "codec/http_message.h"
#include "mesh/pick.h"
#include "mesh/policy.h"
#include "mesh/route.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::proxy {

// A request, connection or datagram that nobody sent.
struct ImaginedRequest {
  // The calling pod, "namespace/name"; empty: through the Ingress, or what is no HTTP through a
  // node port or load balancer.
  std::string from = {};
  std::string method = "GET";
  std::string url = {};  // "http://world/path", "tcp://db:5432", "udp://game:7777"
  codec::Headers headers = {};
};

// What would happen to it now, in lines for a person. Nothing moves on by it. Errors:
// invalid_argument for an URL that cannot be read, not_found for a pod that is not there.
Result<std::string> explain_request(const mesh::Snapshot& snapshot, const ImaginedRequest& imagined,
                                    Instant now, Random& random);

// The lines about where a request goes that `decision` leads to a service. `picked`: the endpoint
// and why, in a sentence. Each line begins with what it is about: "service", "policy", …
std::vector<std::string> explain_choice(const mesh::Decision& decision,
                                        const mesh::RouteRequest& request,
                                        const mesh::PickRequest& by, std::string_view picked,
                                        Instant now, Random& random);

// "Maglev by header X-User, perTry 2s, 2 retries of 502 503".
std::string describe(const mesh::Policy& policy);

}  // namespace tulle::proxy
