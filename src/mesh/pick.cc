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

// The share of a slow start's beginning; it grows to 1 in a straight line.
constexpr double slow_start_share_min = 0.1;
// What is taken for the latency of an endpoint that has answered nothing yet but has a request.
constexpr double unknown_latency_ns = 1e9;

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

// Which endpoints of a port may take the request. What it leaves out for the better it lets in
// again, step by step, where nobody else is left.
class Candidates final {
 public:
  enum class Strictness : std::uint8_t { all, no_slow_start, no_ejection };

  Candidates(const Service& service, const ServicePort& port, Excluded excluded, Instant now,
             Random& random)
      : port_(port),
        policy_(service.the_policy()),
        excluded_(excluded),
        now_(now),
        // One throw per request: an endpoint that is looked at twice gets the same answer.
        dice_(policy_.slow_start.count() != 0 ? random.next() : 0) {}

  bool allows(const Endpoint& endpoint) { return candidacy(endpoint) == Candidacy::may_be_picked; }

  Candidacy candidacy(const Endpoint& endpoint) {
    if (!excluded_.empty() && is_excluded(endpoint, excluded_)) return Candidacy::excluded;
    const std::uint32_t limit = policy_.circuit_breaking.requests_per_endpoint_max;
    if (limit != 0 && in_flight(endpoint) >= limit) return Candidacy::full;
    if (endpoint.state->check_fails.load(std::memory_order_relaxed) && !ignores_ejection()) {
      return Candidacy::unhealthy;
    }
    switch (endpoint.state->outlier.standing(now_)) {
      case Standing::good: break;
      case Standing::probation:
        if (in_flight(endpoint) != 0 && !ignores_ejection()) return Candidacy::on_probation;
        break;
      case Standing::ejected:
        if (!ignores_ejection()) return Candidacy::ejected;
        break;
    }
    const bool slowly = policy_.slow_start.count() != 0 && strictness_ == Strictness::all;
    return !slowly || admits(endpoint) ? Candidacy::may_be_picked : Candidacy::starting_slowly;
  }

  // False when nothing more can be let in.
  bool relax() {
    switch (strictness_) {
      case Strictness::all: strictness_ = Strictness::no_slow_start; return true;
      case Strictness::no_slow_start: strictness_ = Strictness::no_ejection; return true;
      case Strictness::no_ejection: break;
    }
    return false;
  }

  const ServicePort& port() const { return port_; }
  const Policy& policy() const { return policy_; }
  Instant now() const { return now_; }

 private:
  bool ignores_ejection() {
    if (strictness_ == Strictness::no_ejection) return true;
    if (!panic_) panic_ = is_panic(port_, policy_.outlier, now_);
    return *panic_;
  }

  bool admits(const Endpoint& endpoint) const {
    std::atomic<std::int64_t>& began = endpoint.state->slow_start;
    const std::int64_t time = now_.time_since_epoch().count();
    std::int64_t start = 0;
    if (began.compare_exchange_strong(start, time, std::memory_order_relaxed)) start = time;
    const double share =
        std::max(slow_start_share_min, static_cast<double>(time - start) /
                                           static_cast<double>(policy_.slow_start.count()));
    if (share >= 1) return true;
    const std::uint64_t thrown = (dice_ ^ hash_value(endpoint.address)) * 0x9e3779b97f4a7c15;
    return static_cast<double>(thrown >> 11) * 0x1.0p-53 < share;
  }

  const ServicePort& port_;
  const Policy& policy_;
  const Excluded excluded_;
  const Instant now_;
  const std::uint64_t dice_;
  Strictness strictness_ = Strictness::all;
  std::optional<bool> panic_;
};

// Each of the following gives the index of an endpoint, or nothing where none may be taken.
using Index = std::optional<std::size_t>;

// The least in_flight / weight; among equals the next in turn, where the heavier have more turns.
Index least_request(Candidates& candidates) {
  const ServicePort& port = candidates.port();
  Endpoints endpoints = port.pickable();
  std::size_t round = port.rotation.empty() ? endpoints.size() : port.rotation.size();
  std::size_t turn = port.state->turn.load(std::memory_order_relaxed) % round;
  std::size_t best = endpoints.size();
  std::size_t best_turn = turn;
  std::uint64_t best_load = 0;
  for (std::size_t step = 0; step < round; ++step, turn = turn + 1 < round ? turn + 1 : 0) {
    std::size_t i = port.rotation.empty() ? turn : port.rotation[turn];
    if (!candidates.allows(endpoints[i])) continue;
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
  if (best == endpoints.size()) return std::nullopt;
  port.state->turn.store(best_turn + 1, std::memory_order_relaxed);
  return best;
}

// The next turn; a turn of one that may not be taken goes to the next in line.
Index round_robin(Candidates& candidates) {
  const ServicePort& port = candidates.port();
  Endpoints endpoints = port.pickable();
  std::size_t round = port.rotation.empty() ? endpoints.size() : port.rotation.size();
  std::size_t turn = port.state->turn.fetch_add(1, std::memory_order_relaxed);
  for (std::size_t step = 0; step < round; ++step) {
    std::size_t i = turn++ % round;
    if (!port.rotation.empty()) i = port.rotation[i];
    if (candidates.allows(endpoints[i])) return i;
  }
  return std::nullopt;
}

Index random_by_weight(Candidates& candidates, Random& random) {
  Endpoints endpoints = candidates.port().pickable();
  std::uint64_t total = 0;
  for (const Endpoint& endpoint : endpoints) {
    if (candidates.allows(endpoint)) total += endpoint.weight;
  }
  if (total == 0) return std::nullopt;
  std::uint64_t drawn = random.below(total);
  Index last;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    if (!candidates.allows(endpoints[i])) continue;
    last = i;
    if (drawn < endpoints[i].weight) break;
    drawn -= endpoints[i].weight;
  }
  return last;  // the loads may have moved since the first look
}

// The least latency times load for its weight. Who has not answered anything yet gets one request
// first.
Index least_ewma(Candidates& candidates) {
  Endpoints endpoints = candidates.port().pickable();
  const std::size_t first = candidates.port().state->turn.fetch_add(1, std::memory_order_relaxed);
  Index best;
  double best_cost = 0;
  for (std::size_t step = 0; step < endpoints.size(); ++step) {
    const std::size_t i = (first + step) % endpoints.size();
    const Endpoint& endpoint = endpoints[i];
    if (!candidates.allows(endpoint)) continue;
    const double load = in_flight(endpoint);
    double latency = endpoint.state->latency.value(candidates.now());
    if (latency == 0 && load > 0) latency = unknown_latency_ns;
    const double cost = latency * (load + 1) / endpoint.weight;
    if (best && cost >= best_cost) continue;
    best = i;
    best_cost = cost;
  }
  return best;
}

// The first from the key's place on that may be taken and has room (Mirrokni et al., 2018:
// consistent hashing with bounded loads).
Index hashed(Candidates& candidates, std::uint64_t key) {
  const ServicePort& port = candidates.port();
  Endpoints endpoints = port.pickable();
  std::uint64_t load = 1;
  std::uint64_t weight = 0;
  bool any = false;
  const std::uint64_t bound = candidates.policy().bounded_load_percent;
  for (const Endpoint& endpoint : endpoints) {
    if (!candidates.allows(endpoint)) continue;
    any = true;
    if (bound == 0) break;
    load += in_flight(endpoint);
    weight += endpoint.weight;
  }
  if (!any) return std::nullopt;
  const auto has_room = [&](const Endpoint& endpoint) {
    if (bound == 0) return true;
    // Rounded up: an endpoint always has room for one.
    const std::uint64_t whole = 100 * weight;
    return in_flight(endpoint) < (load * bound * endpoint.weight + whole - 1) / whole;
  };
  Index first;
  std::size_t position = port.hash->position(key);
  for (std::size_t step = 0; step < port.hash->size(); ++step) {
    const std::uint32_t i = port.hash->endpoint(position);
    position = port.hash->next(position);
    if (!candidates.allows(endpoints[i])) continue;
    if (has_room(endpoints[i])) return i;
    if (!first) first = i;
  }
  return first;  // one had room a moment ago; others took it
}

// Index of the pickable endpoint this client is bound to, if there still is one.
Index bound_endpoint(const Service& service, Candidates& candidates, const PickRequest& request) {
  if (!service.client_affinity_timeout) return std::nullopt;
  const ServicePort& port = candidates.port();
  auto bound =
      port.state->affinity.find(request.client, *service.client_affinity_timeout, candidates.now());
  if (!bound) return std::nullopt;
  const Endpoint* found = port.find_pickable(*bound);
  if (!found || !candidates.allows(*found)) return std::nullopt;
  return static_cast<std::size_t>(found - port.endpoints.data());
}

Index session_endpoint(const Service& service, Candidates& candidates, const PickRequest& request) {
  if (!request.session || !candidates.policy().session) return std::nullopt;
  Endpoints endpoints = candidates.port().pickable();
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    if (session_of(service, endpoints[i]) != *request.session) continue;
    return candidates.allows(endpoints[i]) ? Index(i) : std::nullopt;
  }
  return std::nullopt;
}

struct Choice {
  Index index;
  PickReason reason;
};

Choice balance(const Service& service, Candidates& candidates, const PickRequest& request,
               Random& random) {
  switch (service.load_balancing) {
    case LoadBalancing::least_request: break;
    case LoadBalancing::round_robin: return {round_robin(candidates), PickReason::round_robin};
    case LoadBalancing::random: return {random_by_weight(candidates, random), PickReason::random};
    case LoadBalancing::peak_ewma: return {least_ewma(candidates), PickReason::peak_ewma};
    case LoadBalancing::ring_hash:
      if (request.hash) return {hashed(candidates, *request.hash), PickReason::ring_hash};
      break;
    case LoadBalancing::maglev:
      if (request.hash) return {hashed(candidates, *request.hash), PickReason::maglev};
      break;
  }
  return {least_request(candidates), PickReason::least_request};
}

Choice choose(const Service& service, Candidates& candidates, const PickRequest& request,
              Random& random) {
  if (auto held = session_endpoint(service, candidates, request)) {
    return {held, PickReason::session};
  }
  if (auto bound = bound_endpoint(service, candidates, request)) {
    return {bound, PickReason::client_affinity};
  }
  for (;;) {
    const Choice choice = balance(service, candidates, request, random);
    if (choice.index || !candidates.relax()) return choice;
  }
}

}  // namespace

Pick pick(const Service& service, const ServicePort& port, const PickRequest& request, Instant now,
          Random& random) {
  if (port.endpoints.empty()) return {.reason = PickReason::no_endpoints};
  if (port.pickable_count == 0) return {.reason = PickReason::none_ready};
  std::uint32_t candidates = count_candidates(port, request.excluded);
  if (candidates == 0) return {.reason = PickReason::all_tried};

  Candidates allowed(service, port, request.excluded, now, random);
  const std::uint64_t turn = port.state->turn.load(std::memory_order_relaxed);
  Choice choice = choose(service, allowed, request, random);
  if (request.rehearsal) port.state->turn.store(turn, std::memory_order_relaxed);
  if (!choice.index) return {.reason = PickReason::all_busy, .candidates = candidates};
  const Endpoint& endpoint = port.endpoints[*choice.index];
  if (service.client_affinity_timeout && !request.rehearsal) {
    port.state->affinity.bind(request.client, endpoint.address, *service.client_affinity_timeout,
                              now);
  }
  return {.endpoint = &endpoint,
          .reason = candidates == 1 ? PickReason::only_endpoint : choice.reason,
          .candidates = candidates,
          .in_flight = in_flight(endpoint)};
}

std::vector<Candidacy> candidacies(const Service& service, const ServicePort& port,
                                   const PickRequest& request, Instant now, Random& random) {
  Candidates allowed(service, port, request.excluded, now, random);
  std::vector<Candidacy> all;
  all.reserve(port.endpoints.size());
  for (std::size_t i = 0; i < port.endpoints.size(); ++i) {
    if (i < port.pickable_count) {
      all.push_back(allowed.candidacy(port.endpoints[i]));
    } else {
      const bool draining = port.endpoints[i].health == Health::draining;
      all.push_back(draining ? Candidacy::draining : Candidacy::not_ready);
    }
  }
  return all;
}

std::string_view to_string(Candidacy candidacy) {
  switch (candidacy) {
    case Candidacy::may_be_picked: return "may be picked";
    case Candidacy::not_ready: return "not ready";
    case Candidacy::draining: return "draining, while others are ready";
    case Candidacy::excluded: return "tried in vain for this request";
    case Candidacy::ejected: return "ejected: it failed of late";
    case Candidacy::unhealthy: return "unhealthy: its health check fails";
    case Candidacy::on_probation: return "on probation, and busy with its one request";
    case Candidacy::full: return "full: it has as many requests as its policy allows";
    case Candidacy::starting_slowly: return "starting slowly, not this time";
  }
  return "";
}

std::uint64_t session_of(const Service& service, const Endpoint& endpoint) {
  const std::uint64_t of_service =
      hash_text(service.name.namespace_name) * 31 + hash_text(service.name.name);
  return (of_service ^ hash_value(endpoint.address)) * 0x9e3779b97f4a7c15;
}

std::string_view to_string(PickReason reason) {
  switch (reason) {
    case PickReason::only_endpoint: return "only_endpoint";
    case PickReason::least_request: return "least_request";
    case PickReason::round_robin: return "round_robin";
    case PickReason::random: return "random";
    case PickReason::peak_ewma: return "peak_ewma";
    case PickReason::ring_hash: return "ring_hash";
    case PickReason::maglev: return "maglev";
    case PickReason::client_affinity: return "client_affinity";
    case PickReason::session: return "session";
    case PickReason::no_endpoints: return "no_endpoints";
    case PickReason::none_ready: return "none_ready";
    case PickReason::all_tried: return "all_tried";
    case PickReason::all_busy: return "all_busy";
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
    case PickReason::peak_ewma:
      return fmt::format("{}, least latency times load: {} in flight, {} candidates", what,
                         pick.in_flight, pick.candidates);
    case PickReason::ring_hash:
    case PickReason::maglev:
      return fmt::format("{}, by its key's hash, {} candidates", what, pick.candidates);
    case PickReason::client_affinity: return what + ", where this client was sent before";
    case PickReason::session: return what + ", whose session the request carries";
    case PickReason::no_endpoints:
    case PickReason::none_ready:
    case PickReason::all_tried:
    case PickReason::all_busy: break;
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
    case PickReason::all_busy:
      return where + ": every endpoint that is ready has as many requests as its policy allows";
    case PickReason::only_endpoint:
    case PickReason::least_request:
    case PickReason::round_robin:
    case PickReason::random:
    case PickReason::peak_ewma:
    case PickReason::ring_hash:
    case PickReason::maglev:
    case PickReason::client_affinity:
    case PickReason::session: break;
  }
  return where;
}

}  // namespace tulle::mesh
