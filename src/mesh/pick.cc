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

bool is_shut(const Endpoint& endpoint) {
  return endpoint.state->drain.load(std::memory_order_relaxed) == Drain::shut;
}

std::uint32_t in_flight(const Endpoint& endpoint) {
  return endpoint.state->in_flight.load(std::memory_order_relaxed);
}

bool any_left(Endpoints endpoints, Excluded excluded) {
  return std::ranges::any_of(endpoints, [&](const Endpoint& endpoint) {
    return !is_shut(endpoint) && (excluded.empty() || !is_excluded(endpoint, excluded));
  });
}

std::uint32_t count_candidates(Endpoints endpoints, Excluded excluded) {
  if (excluded.empty()) return static_cast<std::uint32_t>(endpoints.size());
  return static_cast<std::uint32_t>(std::ranges::count_if(
      endpoints, [&](const Endpoint& endpoint) { return !is_excluded(endpoint, excluded); }));
}

bool stays_local(const Service& service, const PickRequest& request) {
  return request.external ? service.external_local : service.internal_local;
}

// Lowest level first.
std::span<const Tier> tiers_for(const Service& service, const ServicePort& port,
                                const PickRequest& request) {
  return stays_local(service, request) ? port.local_tiers : port.tiers;
}

// Which endpoints of a port may take the request: of one level at a time. What it leaves out for
// the better it lets in again, step by step, where nobody else is left. REQUIRES: there is a tier.
class Candidates final {
 public:
  enum class Strictness : std::uint8_t { all, no_slow_start, no_ejection };

  Candidates(const Service& service, const ServicePort& port, const PickRequest& request,
             Instant now, Random& random)
      : port_(port),
        tiers_(tiers_for(service, port, request)),
        policy_(service.the_policy()),
        excluded_(request.excluded),
        now_(now),
        // One throw per request: an endpoint that is looked at twice gets the same answer.
        dice_(policy_.slow_start.count() != 0 ? random.next() : 0) {}

  bool allows(const Endpoint& endpoint) { return candidacy(endpoint) == Candidacy::may_be_picked; }

  Candidacy candidacy(const Endpoint& endpoint) {
    if (!excluded_.empty() && is_excluded(endpoint, excluded_)) return Candidacy::excluded;
    switch (endpoint.state->drain.load(std::memory_order_relaxed)) {
      case Drain::none: break;
      case Drain::avoided:
        if (strictness_ != Strictness::no_ejection) return Candidacy::draining;
        break;
      case Drain::shut: return Candidacy::shut;
    }
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
    if (strictness_ == Strictness::all) {
      strictness_ = Strictness::no_slow_start;
      return true;
    }
    if (tier_ + 1 < tiers_.size()) {
      ++tier_;
      if (strictness_ != Strictness::no_ejection) strictness_ = Strictness::all;
      return true;
    }
    if (strictness_ == Strictness::no_ejection) return false;
    strictness_ = Strictness::no_ejection;
    tier_ = 0;
    return true;
  }

  const Tier& tier() const { return tiers_[tier_]; }
  std::size_t level() const { return tier_; }
  // Those of this level.
  Endpoints endpoints() const { return port_.members(tier()); }
  // The first of any level that `is_it` says true to, if it may be picked. Else null.
  template <class IsIt>
  const Endpoint* find(IsIt is_it) {
    for (const Tier& each : tiers_) {
      const auto members = port_.members(each);
      const auto found = std::ranges::find_if(members, is_it);
      if (found != members.end()) return allows(*found) ? &*found : nullptr;
    }
    return nullptr;
  }

  // One for each pick, however often it looks.
  std::size_t turn() {
    if (!turn_) turn_ = port_.state->turn.fetch_add(1, std::memory_order_relaxed);
    return *turn_;
  }

  const ServicePort& port() const { return port_; }
  const Policy& policy() const { return policy_; }
  Instant now() const { return now_; }

 private:
  bool ignores_ejection() {
    if (strictness_ == Strictness::no_ejection) return true;
    // A level in panic is passed over while another one is not.
    if (!panic_) {
      panic_ = std::ranges::all_of(tiers_, [this](const Tier& tier) {
        return is_panic(port_.members(tier), policy_.outlier, now_);
      });
    }
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
  const std::span<const Tier> tiers_;
  const Policy& policy_;
  const Excluded excluded_;
  const Instant now_;
  const std::uint64_t dice_;
  Strictness strictness_ = Strictness::all;
  std::size_t tier_ = 0;
  std::optional<bool> panic_;
  std::optional<std::size_t> turn_;
};

// Each of the following gives an endpoint of the level, or null where none may be taken.

// The least in_flight / weight; among equals the next in turn, where the heavier have more turns.
const Endpoint* least_request(Candidates& candidates) {
  const Endpoints endpoints = candidates.endpoints();
  const std::vector<std::uint32_t>& rotation = candidates.tier().rotation;
  std::atomic<std::uint64_t>& next = candidates.port().state->turn;
  const std::size_t round = rotation.empty() ? endpoints.size() : rotation.size();
  std::size_t turn = next.load(std::memory_order_relaxed) % round;
  const Endpoint* best = nullptr;
  std::size_t best_turn = turn;
  std::uint64_t best_load = 0;
  for (std::size_t step = 0; step < round; ++step, turn = turn + 1 < round ? turn + 1 : 0) {
    const Endpoint& endpoint = endpoints[rotation.empty() ? turn : rotation[turn]];
    if (!candidates.allows(endpoint)) continue;
    std::uint64_t load = in_flight(endpoint);
    // Cross-multiplied, so that no two different loads are rounded to equal ones.
    if (best == nullptr || load * best->weight < best_load * endpoint.weight) {
      best = &endpoint;
      best_turn = turn;
      best_load = load;
    }
    if (best_load == 0) break;
  }
  if (best != nullptr) next.store(best_turn + 1, std::memory_order_relaxed);
  return best;
}

// The next turn; a turn of one that may not be taken goes to the next in line.
const Endpoint* round_robin(Candidates& candidates) {
  const Endpoints endpoints = candidates.endpoints();
  const std::vector<std::uint32_t>& rotation = candidates.tier().rotation;
  const std::size_t round = rotation.empty() ? endpoints.size() : rotation.size();
  std::size_t turn = candidates.turn();
  for (std::size_t step = 0; step < round; ++step) {
    std::size_t i = turn++ % round;
    if (!rotation.empty()) i = rotation[i];
    if (candidates.allows(endpoints[i])) return &endpoints[i];
  }
  return nullptr;
}

const Endpoint* random_by_weight(Candidates& candidates, Random& random) {
  std::uint64_t total = 0;
  for (const Endpoint& endpoint : candidates.endpoints()) {
    if (candidates.allows(endpoint)) total += endpoint.weight;
  }
  if (total == 0) return nullptr;
  std::uint64_t drawn = random.below(total);
  const Endpoint* last = nullptr;
  for (const Endpoint& endpoint : candidates.endpoints()) {
    if (!candidates.allows(endpoint)) continue;
    last = &endpoint;
    if (drawn < endpoint.weight) break;
    drawn -= endpoint.weight;
  }
  return last;  // the loads may have moved since the first look
}

// The least latency times load for its weight. Who has not answered anything yet gets one request
// first.
const Endpoint* least_ewma(Candidates& candidates) {
  const Endpoints endpoints = candidates.endpoints();
  const std::size_t first = candidates.turn();
  const Endpoint* best = nullptr;
  double best_cost = 0;
  for (std::size_t step = 0; step < endpoints.size(); ++step) {
    const Endpoint& endpoint = endpoints[(first + step) % endpoints.size()];
    if (!candidates.allows(endpoint)) continue;
    const double load = in_flight(endpoint);
    double latency = endpoint.state->latency.value(candidates.now());
    if (latency == 0 && load > 0) latency = unknown_latency_ns;
    const double cost = latency * (load + 1) / endpoint.weight;
    if (best != nullptr && cost >= best_cost) continue;
    best = &endpoint;
    best_cost = cost;
  }
  return best;
}

// The first from the key's place on that may be taken and has room (Mirrokni et al., 2018:
// consistent hashing with bounded loads).
const Endpoint* hashed(Candidates& candidates, std::uint64_t key) {
  const Endpoints endpoints = candidates.endpoints();
  const ConsistentHash& hash = *candidates.tier().hash;
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
  if (!any) return nullptr;
  const auto has_room = [&](const Endpoint& endpoint) {
    if (bound == 0) return true;
    // Rounded up: an endpoint always has room for one.
    const std::uint64_t whole = 100 * weight;
    return in_flight(endpoint) < (load * bound * endpoint.weight + whole - 1) / whole;
  };
  const Endpoint* first = nullptr;
  std::size_t position = hash.position(key);
  for (std::size_t step = 0; step < hash.size(); ++step) {
    const Endpoint& endpoint = endpoints[hash.endpoint(position)];
    position = hash.next(position);
    if (!candidates.allows(endpoint)) continue;
    if (has_room(endpoint)) return &endpoint;
    if (first == nullptr) first = &endpoint;
  }
  return first;  // one had room a moment ago; others took it
}

// The endpoint that this client is bound to, if it still may be picked.
const Endpoint* bound_endpoint(const Service& service, Candidates& candidates,
                               const PickRequest& request) {
  if (!service.client_affinity_timeout) return nullptr;
  const auto bound = candidates.port().state->affinity.find(
      request.client, *service.client_affinity_timeout, candidates.now());
  if (!bound) return nullptr;
  return candidates.find([&](const Endpoint& endpoint) { return endpoint.address == *bound; });
}

const Endpoint* session_endpoint(const Service& service, Candidates& candidates,
                                 const PickRequest& request) {
  if (!request.session || !candidates.policy().session) return nullptr;
  return candidates.find(
      [&](const Endpoint& endpoint) { return session_of(service, endpoint) == *request.session; });
}

struct Choice {
  const Endpoint* endpoint;
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
  if (const auto* held = session_endpoint(service, candidates, request)) {
    return {held, PickReason::session};
  }
  if (const auto* bound = bound_endpoint(service, candidates, request)) {
    return {bound, PickReason::client_affinity};
  }
  for (;;) {
    const Choice choice = balance(service, candidates, request, random);
    if (choice.endpoint != nullptr || !candidates.relax()) return choice;
  }
}

}  // namespace

Pick pick(const Service& service, const ServicePort& port, const PickRequest& request, Instant now,
          Random& random) {
  if (port.endpoints.empty()) return {.reason = PickReason::no_endpoints};
  const std::span<const Tier> tiers = tiers_for(service, port, request);
  if (tiers.empty()) {
    return {.reason = port.pickable_count == 0 ? PickReason::none_ready : PickReason::none_local};
  }
  if (std::ranges::none_of(tiers, [&](const Tier& tier) {
        return any_left(port.members(tier), request.excluded);
      })) {
    return {.reason = request.excluded.empty() ? PickReason::none_ready : PickReason::all_tried};
  }

  Candidates allowed(service, port, request, now, random);
  const std::uint64_t turn = port.state->turn.load(std::memory_order_relaxed);
  const Choice choice = choose(service, allowed, request, random);
  if (request.rehearsal) port.state->turn.store(turn, std::memory_order_relaxed);
  if (choice.endpoint == nullptr) return {.reason = PickReason::all_busy};
  const Endpoint& endpoint = *choice.endpoint;
  if (service.client_affinity_timeout && !request.rehearsal) {
    port.state->affinity.bind(request.client, endpoint.address, *service.client_affinity_timeout,
                              now);
  }
  const std::uint32_t candidates = count_candidates(allowed.endpoints(), request.excluded);
  const bool only = candidates == 1 && allowed.level() + 1 == tiers.size();
  return {.endpoint = &endpoint,
          .reason = only ? PickReason::only_endpoint : choice.reason,
          .candidates = candidates,
          .in_flight = in_flight(endpoint),
          .stands_in = allowed.level() != 0};
}

std::vector<Candidacy> candidacies(const Service& service, const ServicePort& port,
                                   const PickRequest& request, Instant now, Random& random) {
  const bool local = stays_local(service, request);
  std::vector<Candidacy> all;
  all.reserve(port.endpoints.size());
  for (std::size_t i = 0; i < port.endpoints.size(); ++i) {
    const Endpoint& endpoint = port.endpoints[i];
    const bool not_ready = endpoint.health == Health::not_ready;
    all.push_back(not_ready                  ? Candidacy::not_ready
                  : local && !endpoint.local ? Candidacy::elsewhere
                                             : Candidacy::draining);
  }
  const std::span<const Tier> tiers = tiers_for(service, port, request);
  if (tiers.empty()) return all;
  Candidates allowed(service, port, request, now, random);
  bool any = false;  // of a lower level may be picked
  for (const Tier& tier : tiers) {
    bool here = false;
    for (std::uint32_t i = tier.begin; i < tier.end; ++i) {
      all[i] = allowed.candidacy(port.endpoints[i]);
      here |= all[i] == Candidacy::may_be_picked || all[i] == Candidacy::starting_slowly;
      if (any && all[i] == Candidacy::may_be_picked) all[i] = Candidacy::in_reserve;
    }
    any |= here;
  }
  return all;
}

std::string_view to_string(Candidacy candidacy) {
  switch (candidacy) {
    case Candidacy::may_be_picked: return "may be picked";
    case Candidacy::not_ready: return "not ready";
    case Candidacy::draining: return "draining, while others are ready";
    case Candidacy::shut: return "about to stop: nothing is sent there any more";
    case Candidacy::excluded: return "tried in vain for this request";
    case Candidacy::ejected: return "ejected: it failed of late";
    case Candidacy::unhealthy: return "unhealthy: its health check fails";
    case Candidacy::on_probation: return "on probation, and busy with its one request";
    case Candidacy::full: return "full: it has as many requests as its policy allows";
    case Candidacy::starting_slowly: return "starting slowly, not this time";
    case Candidacy::in_reserve: return "in reserve: one that comes before it may be picked";
    case Candidacy::elsewhere: return "on another node, and the traffic policy is Local";
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
    case PickReason::none_local: return "none_local";
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
    case PickReason::all_busy:
    case PickReason::none_local: break;
  }
  return what;
}

}  // namespace

std::string explain(const Pick& pick, const Service& service, const ServicePort& port) {
  if (pick) {
    return explain_endpoint(pick) +
           (pick.stands_in ? "; those that come before it cannot take the request" : "");
  }
  std::string where = fmt::format("service {} port {}", service.name.to_string(), port.port);
  switch (pick.reason) {
    case PickReason::no_endpoints:
      return where + " has no endpoints: no pod with an address matches its selector";
    case PickReason::none_ready:
      return fmt::format("{} has no ready endpoint (0 of {} ready)", where, port.endpoints.size());
    case PickReason::all_tried:
      return fmt::format("{}: every endpoint that is ready failed (tried {} of {})", where,
                         port.pickable_count, port.endpoints.size());
    case PickReason::none_local:
      return where + " has no ready endpoint on this node, and its traffic policy is Local";
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
