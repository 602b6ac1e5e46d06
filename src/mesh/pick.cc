#include "mesh/pick.h"

#include "base/random.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include <fmt/format.h>

namespace tulle::mesh {
namespace {

using Endpoints = std::span<const Endpoint>;
using Excluded = std::span<const SocketAddress>;

bool is_excluded(const Endpoint& endpoint, Excluded excluded) {
  return std::ranges::find(excluded, endpoint.address) != excluded.end();
}

std::uint32_t in_flight(const Endpoint& endpoint) {
  return endpoint.state->in_flight.load(std::memory_order_relaxed);
}

std::uint32_t count_candidates(const ServicePort& port, Excluded excluded) {
  if (excluded.empty()) return port.pickable_count;
  auto left = [&](const Endpoint& endpoint) { return !is_excluded(endpoint, excluded); };
  return static_cast<std::uint32_t>(std::ranges::count_if(port.pickable(), left));
}

// The least in_flight / weight; among equals the next in turn, where the heavier have more turns.
std::size_t least_request(const ServicePort& port, Excluded excluded) {
  Endpoints endpoints = port.pickable();
  std::size_t round = port.rotation.empty() ? endpoints.size() : port.rotation.size();
  std::size_t turn = port.state->turn.load(std::memory_order_relaxed) % round;
  std::size_t best = endpoints.size();
  std::size_t best_turn = turn;
  std::uint64_t best_load = 0;
  for (std::size_t step = 0; step < round; ++step, turn = turn + 1 < round ? turn + 1 : 0) {
    std::size_t i = port.rotation.empty() ? turn : port.rotation[turn];
    if (is_excluded(endpoints[i], excluded)) continue;
    std::uint64_t load = in_flight(endpoints[i]);
    // Cross-multiplied, so that no two different loads are rounded to equal ones.
    if (best == endpoints.size() ||
        load * endpoints[best].weight < best_load * endpoints[i].weight) {
      best = i;
      best_turn = turn;
      best_load = load;
    }
    if (best_load == 0) break;
  }
  port.state->turn.store(best_turn + 1, std::memory_order_relaxed);
  return best;
}

// The next turn; a turn of an excluded endpoint goes to the next in line. REQUIRES: there is one.
std::size_t round_robin(const ServicePort& port, Excluded excluded) {
  Endpoints endpoints = port.pickable();
  std::size_t round = port.rotation.empty() ? endpoints.size() : port.rotation.size();
  std::size_t turn = port.state->turn.fetch_add(1, std::memory_order_relaxed);
  while (true) {
    std::size_t i = turn++ % round;
    if (!port.rotation.empty()) i = port.rotation[i];
    if (!is_excluded(endpoints[i], excluded)) return i;
  }
}

std::size_t random_by_weight(Endpoints endpoints, Excluded excluded, Random& random) {
  std::uint64_t total = 0;
  for (const Endpoint& endpoint : endpoints) {
    if (!is_excluded(endpoint, excluded)) total += endpoint.weight;
  }
  std::uint64_t drawn = random.below(total);
  for (std::size_t i = 0;; ++i) {
    if (is_excluded(endpoints[i], excluded)) continue;
    if (drawn < endpoints[i].weight) return i;
    drawn -= endpoints[i].weight;
  }
}

// Index of the pickable endpoint this client is bound to, if there still is one.
std::optional<std::size_t> bound_endpoint(const Service& service, const ServicePort& port,
                                          const PickRequest& request, Instant now) {
  if (!service.client_affinity_timeout) return std::nullopt;
  auto bound = port.state->affinity.find(request.client, *service.client_affinity_timeout, now);
  if (!bound) return std::nullopt;
  auto found = std::ranges::find(port.pickable(), *bound, &Endpoint::address);
  if (found == port.pickable().end() || is_excluded(*found, request.excluded)) return std::nullopt;
  return static_cast<std::size_t>(found - port.pickable().begin());
}

struct Choice {
  std::size_t index;
  PickReason reason;
};

Choice choose(const Service& service, const ServicePort& port, const PickRequest& request,
              Instant now, Random& random) {
  if (auto bound = bound_endpoint(service, port, request, now)) {
    return {*bound, PickReason::client_affinity};
  }
  Excluded excluded = request.excluded;
  switch (service.load_balancing) {
    case LoadBalancing::least_request:
      return {least_request(port, excluded), PickReason::least_request};
    case LoadBalancing::round_robin: return {round_robin(port, excluded), PickReason::round_robin};
    case LoadBalancing::random: break;
  }
  return {random_by_weight(port.pickable(), excluded, random), PickReason::random};
}

}  // namespace

Pick pick(const Service& service, const ServicePort& port, const PickRequest& request, Instant now,
          Random& random) {
  if (port.endpoints.empty()) return {.reason = PickReason::no_endpoints};
  if (port.pickable_count == 0) return {.reason = PickReason::none_ready};
  std::uint32_t candidates = count_candidates(port, request.excluded);
  if (candidates == 0) return {.reason = PickReason::all_tried};

  Choice choice = choose(service, port, request, now, random);
  const Endpoint& endpoint = port.endpoints[choice.index];
  if (service.client_affinity_timeout) {
    port.state->affinity.bind(request.client, endpoint.address, *service.client_affinity_timeout,
                              now);
  }
  return {.endpoint = &endpoint,
          .reason = candidates == 1 ? PickReason::only_endpoint : choice.reason,
          .candidates = candidates,
          .in_flight = in_flight(endpoint)};
}

std::string_view to_string(PickReason reason) {
  switch (reason) {
    case PickReason::only_endpoint: return "only_endpoint";
    case PickReason::least_request: return "least_request";
    case PickReason::round_robin: return "round_robin";
    case PickReason::random: return "random";
    case PickReason::client_affinity: return "client_affinity";
    case PickReason::no_endpoints: return "no_endpoints";
    case PickReason::none_ready: return "none_ready";
    case PickReason::all_tried: return "all_tried";
  }
  return "";
}

namespace {

std::string explain_endpoint(const Pick& pick) {
  std::string what = pick.endpoint->address.to_string();
  if (!pick.endpoint->workload.empty()) what += " (" + pick.endpoint->workload.to_string() + ")";
  switch (pick.reason) {
    case PickReason::only_endpoint: return what + ", the only candidate";
    case PickReason::least_request:
      return fmt::format("{}, least requests: {} in flight, {} candidates", what, pick.in_flight,
                         pick.candidates);
    case PickReason::round_robin:
      return fmt::format("{}, its turn among {} candidates", what, pick.candidates);
    case PickReason::random:
      return fmt::format("{}, drawn from {} candidates", what, pick.candidates);
    case PickReason::client_affinity: return what + ", where this client was sent before";
    case PickReason::no_endpoints:
    case PickReason::none_ready:
    case PickReason::all_tried: break;
  }
  return what;
}

}  // namespace

std::string explain(const Pick& pick, const Service& service, const ServicePort& port) {
  if (pick) return explain_endpoint(pick);
  std::string where = fmt::format("service {} port {}", service.name.to_string(), port.port);
  switch (pick.reason) {
    case PickReason::no_endpoints:
      return where + " has no endpoints: no pod with an address matches its selector";
    case PickReason::none_ready:
      return fmt::format("{} has no ready endpoint (0 of {} ready)", where, port.endpoints.size());
    case PickReason::all_tried:
      return fmt::format("{}: every endpoint that is ready failed (tried {} of {})", where,
                         port.pickable_count, port.endpoints.size());
    case PickReason::only_endpoint:
    case PickReason::least_request:
    case PickReason::round_robin:
    case PickReason::random:
    case PickReason::client_affinity: break;
  }
  return where;
}

}  // namespace tulle::mesh
