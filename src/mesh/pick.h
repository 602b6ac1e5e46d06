// Which endpoint of a service port takes the next request, and why it.
//
// A pure function of its arguments but for what it advances in live state: the round-robin turn,
// the client affinity and the beginning of a slow start. Callable from all loops at once. Does not
// allocate, except for client affinity.
#pragma once

#include "base/address.h"
#include "base/time.h"
#include "mesh/snapshot.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tulle {
class Random;
}

namespace tulle::mesh {

enum class PickReason : std::uint8_t {
  // an endpoint was picked
  only_endpoint,    // there was no other candidate
  least_request,    // fewest in flight for its weight; ties go round
  round_robin,      // its turn
  random,           // drawn by weight
  peak_ewma,        // least of latency times load
  ring_hash,        // next to the key's hash, of those with room
  maglev,           // at the key's hash, of those with room
  client_affinity,  // the client was here before
  session,          // the request carries a session of this endpoint
  // none was picked
  no_endpoints,  // the service has none at all
  none_ready,    // it has, but none is ready or draining
  all_tried,     // every one that could be picked was excluded
  all_busy,      // every other one has as many requests as it may
  none_local,    // none of this node can, and the service's traffic policy asks for that
};
std::string_view to_string(PickReason reason);  // "least_request"

struct PickRequest {
  // Who asks, for session affinity.
  IpAddress client = {};
  // Endpoints already tried in vain for this request. A handful: they are searched in line.
  std::span<const SocketAddress> excluded = {};
  // What a policy that hashes goes by; none: it falls back to least-request.
  std::optional<std::uint64_t> hash = {};
  // The session that the request belongs to (session_of()); none, or unknown: as without.
  std::optional<std::uint64_t> session = {};
  // It came in by a node port or load balancer: the service's externalTrafficPolicy holds for it,
  // not its internalTrafficPolicy.
  bool external = false;
  // Only to see what would be picked: neither the turn nor the affinity moves on.
  bool rehearsal = false;
};

struct Pick {
  const Endpoint* endpoint = nullptr;  // null: none, see reason. Lives as long as the Snapshot.
  PickReason reason = PickReason::no_endpoints;
  std::uint32_t candidates = 0;  // of its level, and not excluded
  std::uint32_t in_flight = 0;   // at the endpoint, before this request
  bool stands_in = false;        // none of a lower level could take the request

  explicit operator bool() const { return endpoint != nullptr; }
};

// `port` is a port of `service`. Count the request with InFlight(pick.endpoint->state) at once.
Pick pick(const Service& service, const ServicePort& port, const PickRequest& request, Instant now,
          Random& random);

// Whether an endpoint may take a request, or why not.
enum class Candidacy : std::uint8_t {
  may_be_picked,
  not_ready,
  draining,         // while others are ready
  shut,             // about to be told to stop, with nothing under way any more
  excluded,         // tried in vain for this request
  ejected,          // by outlier detection
  unhealthy,        // by the policy's health check
  on_probation,     // and busy with the one request that it may have
  full,             // as many requests as its policy allows
  starting_slowly,  // not this time
  in_reserve,       // of a higher level than one that may be picked
  elsewhere,        // on another node, while the traffic policy is Local
};
std::string_view to_string(Candidacy candidacy);  // "not ready"

// Of every endpoint of the port, in order. What pick() leaves out for the better it may let in
// again where nobody else is left; it does not where an endpoint is not ready, full or was tried.
std::vector<Candidacy> candidacies(const Service& service, const ServicePort& port,
                                   const PickRequest& request, Instant now, Random& random);

// What a session at this endpoint of this service is called. Says nothing of the address to whoever
// does not know the addresses there are.
std::uint64_t session_of(const Service& service, const Endpoint& endpoint);

// One sentence for a person, without a full stop: the body of a 503, a line of `tulle explain`.
// "service default/world port 80 has no ready endpoint (0 of 3 ready)".
std::string explain(const Pick& pick, const Service& service, const ServicePort& port);

}  // namespace tulle::mesh
