#include "mesh/snapshot_builder.h"

#include "mesh/ingress_table.h"
#include "mesh/tls_table.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <ranges>

namespace tulle::mesh {
namespace {

// A rotation holds at most this many turns; weights that need more are rounded to fit.
constexpr std::uint64_t rotation_turns_max = 4096;

bool weights_differ(std::span<const Endpoint> endpoints) {
  return std::ranges::any_of(endpoints,
                             [&](const Endpoint& e) { return e.weight != endpoints[0].weight; });
}

std::vector<std::uint64_t> turns_per_endpoint(std::span<const Endpoint> endpoints) {
  std::vector<std::uint64_t> turns;
  std::uint64_t divisor = 0;
  std::uint64_t total = 0;
  for (const Endpoint& endpoint : endpoints) {
    turns.push_back(endpoint.weight);
    divisor = std::gcd(divisor, turns.back());
    total += turns.back();
  }
  for (std::uint64_t& count : turns) {
    count = total / divisor <= rotation_turns_max
                ? count / divisor
                : std::max<std::uint64_t>(1, count * rotation_turns_max / total);
  }
  return turns;
}

// Smooth weighted round robin without state: the j-th turn of an endpoint with n turns is due at
// (j + 1/2) / n of a round, and turns are taken in the order they are due.
std::vector<std::uint32_t> make_rotation(std::span<const Endpoint> endpoints) {
  if (endpoints.empty() || !weights_differ(endpoints)) return {};
  std::vector<std::pair<double, std::uint32_t>> due;
  std::vector<std::uint64_t> turns = turns_per_endpoint(endpoints);
  for (std::uint32_t i = 0; i < turns.size(); ++i) {
    for (std::uint64_t j = 0; j < turns[i]; ++j) {
      due.emplace_back((static_cast<double>(j) + 0.5) / static_cast<double>(turns[i]), i);
    }
  }
  std::ranges::sort(due);
  std::vector<std::uint32_t> rotation;
  rotation.reserve(due.size());
  for (const auto& [when, index] : due) rotation.push_back(index);
  return rotation;
}

std::uint32_t count_pickable(const std::vector<Endpoint>& ordered) {
  if (ordered.empty() || ordered.front().health == Health::not_ready) return 0;
  auto same = std::ranges::count(ordered, ordered.front().health, &Endpoint::health);
  return static_cast<std::uint32_t>(same);
}

std::optional<ConsistentHash::Kind> hash_kind(LoadBalancing policy) {
  switch (policy) {
    case LoadBalancing::ring_hash: return ConsistentHash::Kind::ring;
    case LoadBalancing::maglev: return ConsistentHash::Kind::maglev;
    case LoadBalancing::least_request:
    case LoadBalancing::round_robin:
    case LoadBalancing::random:
    case LoadBalancing::peak_ewma: break;
  }
  return std::nullopt;
}

bool same_endpoints(std::span<const Endpoint> a, std::span<const Endpoint> b) {
  return std::ranges::equal(a, b, [](const Endpoint& left, const Endpoint& right) {
    return left.address == right.address && left.weight == right.weight;
  });
}

// Where they are in order: of one health, one tier for each level.
std::vector<Tier> divide(const std::vector<Endpoint>& ordered, bool local_only) {
  std::vector<Tier> tiers;
  for (std::uint32_t i = 0; i < ordered.size(); ++i) {
    const Endpoint& endpoint = ordered[i];
    if (endpoint.health == Health::not_ready) break;
    if (!tiers.empty() && ordered[tiers[0].begin].health != endpoint.health) break;
    if (local_only && !endpoint.local) continue;
    if (tiers.empty() || ordered[tiers.back().begin].level != endpoint.level) {
      tiers.push_back({.begin = i});
    }
    tiers.back().end = i + 1;
  }
  return tiers;
}

// The hash over these endpoints that a port already has, or null.
std::shared_ptr<const ConsistentHash> find_hash(const ServicePort& port, bool local_only,
                                                std::span<const Endpoint> members) {
  const std::vector<Tier>& tiers = local_only ? port.local_tiers : port.tiers;
  const auto same = std::ranges::find_if(
      tiers, [&](const Tier& tier) { return same_endpoints(port.members(tier), members); });
  return same == tiers.end() ? nullptr : same->hash;
}

// `before`: the port of the Snapshot before, if it was balanced in the same way. Else null.
std::vector<Tier> make_tiers(const ServicePort& port, LoadBalancing policy, bool local_only,
                             const ServicePort* before) {
  std::vector<Tier> tiers = divide(port.endpoints, local_only);
  const auto kind = hash_kind(policy);
  for (Tier& tier : tiers) {
    const std::span<const Endpoint> members = port.members(tier);
    if (policy != LoadBalancing::random) tier.rotation = make_rotation(members);
    if (!kind) continue;
    if (before != nullptr) tier.hash = find_hash(*before, local_only, members);
    if (!tier.hash) {
      tier.hash = std::make_shared<const ConsistentHash>(
          ConsistentHash::make(*kind, members, turns_per_endpoint(members)));
    }
  }
  return tiers;
}

// What was learned of an endpoint holds no more once it has become ready anew.
void note_readiness(EndpointState& state, bool ready) {
  if (ready && !state.known_ready) {
    state.outlier.forget();
    state.slow_start.store(0, std::memory_order_relaxed);
  }
  state.known_ready = ready;
}

// Null where the policy does not limit them. Who has a place keeps it across policies.
std::shared_ptr<Gate> connections_gate(EndpointState& state, const Policy& policy) {
  if (policy.circuit_breaking.connections_per_endpoint_max == 0) return nullptr;
  if (!state.connections_gate) state.connections_gate = std::make_shared<Gate>();
  return state.connections_gate;
}

// What lives on from the port of the Snapshot before, or begins now.
void set_live_state(ServicePort& port, const ServicePort* before, const Policy& policy) {
  port.state = before ? before->state : std::make_shared<PortState>();
  if (policy.circuit_breaking.limits()) {
    port.gate = before && before->gate ? before->gate : std::make_shared<Gate>();
  }
  if (policy.hedging_percentile != 0) {
    port.latencies =
        before && before->latencies ? before->latencies : std::make_shared<LatencyHistogram>();
  }
}

std::vector<Door> doors_of(const Service& service) {
  std::vector<Door> doors;
  for (const ServicePort& port : service.ports) {
    Door door{.transport = port.transport, .service = service.name, .service_port = port.port};
    if (port.node_port != 0) {
      door.address = {.ip = {}, .port = port.node_port};
      doors.push_back(door);
    }
    door.kind = DoorKind::load_balancer;
    for (const IpAddress& ip : service.load_balancer_addresses) {
      door.address = {.ip = ip, .port = port.port};
      doors.push_back(door);
    }
  }
  if (service.health_check_node_port != 0) {
    doors.push_back({.kind = DoorKind::health_check,
                     .address = {.ip = {}, .port = service.health_check_node_port},
                     .service = service.name});
  }
  return doors;
}

std::vector<UnservedPort> unserved_by(const Service& service) {
  std::vector<UnservedPort> unserved;
  for (const ServicePort& port : service.ports) {
    if (!(service.internal_local ? port.local_tiers : port.tiers).empty()) continue;
    unserved.reserve(unserved.size() + service.cluster_addresses.size());
    for (const IpAddress& ip : service.cluster_addresses) {
      unserved.push_back({.transport = port.transport, .address = {.ip = ip, .port = port.port}});
    }
  }
  return unserved;
}

}  // namespace

template <class Item>
void SnapshotBuilder::Contributions<Item>::set(const ObjectName& service, std::vector<Item> items) {
  const auto present = by_service_.find(service);
  if (present == by_service_.end() ? items.empty() : present->second == items) return;
  changed_ = true;
  if (items.empty()) {
    by_service_.erase(present);
  } else {
    by_service_.insert_or_assign(service, std::move(items));
  }
}

template <class Item>
std::optional<std::vector<Item>> SnapshotBuilder::Contributions<Item>::gather() {
  if (!std::exchange(changed_, false)) return std::nullopt;
  std::vector<Item> all;
  for (const auto& [service, items] : by_service_) {
    all.insert(all.end(), items.begin(), items.end());
  }
  return all;
}

SnapshotBuilder::SnapshotBuilder(Networks networks) {
  next_.networks_ = std::move(networks);
  next_.doors_ = std::make_shared<const std::vector<Door>>();
  next_.unserved_ = std::make_shared<const std::vector<UnservedPort>>();
  next_.ingress_ = std::make_shared<const IngressTable>();
  next_.tls_ = std::make_shared<const TlsTable>();
  next_.checked_ = std::make_shared<const std::vector<ObjectName>>();
  next_.namespaces_ = std::make_shared<const std::set<std::string, std::less<>>>();
}

void SnapshotBuilder::enter(const std::string& namespace_name) {
  if (++namespaces_[namespace_name] == 1) namespaces_changed_ = true;
}

void SnapshotBuilder::leave(const std::string& namespace_name) {
  const auto found = namespaces_.find(namespace_name);
  if (--found->second != 0) return;
  namespaces_.erase(found);
  namespaces_changed_ = true;
}

void SnapshotBuilder::put(Service service) {
  std::shared_ptr<const Service> before = next_.shared_service(service.name);
  for (ServicePort& port : service.ports) finish_port(port, service, before.get());
  std::ranges::sort(service.hosts, {}, &ServiceHost::address);
  if (before) {
    forget_addresses(*before);
  } else {
    enter(service.name.namespace_name);
  }
  auto shared = std::make_shared<const Service>(std::move(service));
  next_.services_.set(shared->name, shared);
  for (const IpAddress& address : shared->cluster_addresses) {
    next_.services_by_address_.set(address, shared);
  }
  doors_.set(shared->name, doors_of(*shared));
  unserved_.set(shared->name, unserved_by(*shared));
  const bool is_checked = shared->the_policy().health_check.has_value();
  checked_changed_ |=
      is_checked ? checked_.insert(shared->name).second : checked_.erase(shared->name) > 0;
}

void SnapshotBuilder::finish_port(ServicePort& port, const Service& service,
                                  const Service* before) {
  std::ranges::sort(port.endpoints, {}, [](const Endpoint& e) {
    return std::tuple(e.health, e.level, !e.local, e.address);
  });
  for (Endpoint& endpoint : port.endpoints) {
    endpoint.weight = std::max<std::uint16_t>(endpoint.weight, 1);
    endpoint.state = endpoint_state(endpoint.address, port.transport);
    note_readiness(*endpoint.state, endpoint.health == Health::ready);
    endpoint.connections = connections_gate(*endpoint.state, service.the_policy());
  }
  port.pickable_count = count_pickable(port.endpoints);
  // A port is found again by number and transport.
  const ServicePort* same = before ? before->find_port(port.port, port.transport) : nullptr;
  const bool like_before = same && before->load_balancing == service.load_balancing;
  const ServicePort* const alike = like_before ? same : nullptr;
  port.tiers = make_tiers(port, service.load_balancing, false, alike);
  if (service.internal_local || service.external_local) {
    port.local_tiers = make_tiers(port, service.load_balancing, true, alike);
  }
  set_live_state(port, same, service.the_policy());
}

std::shared_ptr<EndpointState> SnapshotBuilder::endpoint_state(const SocketAddress& address,
                                                               Transport transport) {
  if (endpoint_states_.size() > 2 * endpoint_states_kept_ + 64) drop_dead_states();
  std::weak_ptr<EndpointState>& known = endpoint_states_[{transport, address}];
  std::shared_ptr<EndpointState> state = known.lock();
  if (!state) known = state = std::make_shared<EndpointState>();
  return state;
}

void SnapshotBuilder::drop_dead_states() {
  std::erase_if(endpoint_states_, [](const auto& entry) { return entry.second.expired(); });
  endpoint_states_kept_ = endpoint_states_.size();
}

void SnapshotBuilder::forget_addresses(const Service& service) {
  for (const IpAddress& address : service.cluster_addresses) {
    const Service* holder = next_.service_by_address(address);
    if (holder && holder->name == service.name) next_.services_by_address_.erase(address);
  }
}

void SnapshotBuilder::remove_service(const ObjectName& name) {
  std::shared_ptr<const Service> before = next_.shared_service(name);
  if (!before) return;
  forget_addresses(*before);
  next_.services_.erase(name);
  leave(name.namespace_name);
  doors_.set(name, {});
  unserved_.set(name, {});
  if (checked_.erase(name) > 0) checked_changed_ = true;
}

void SnapshotBuilder::put(Workload workload) {
  remove_workload(workload.name);
  enter(workload.name.namespace_name);
  auto shared = std::make_shared<const Workload>(std::move(workload));
  next_.workloads_.set(shared->name, shared);
  if (shared->address) next_.workloads_by_address_.set(*shared->address, shared);
}

void SnapshotBuilder::remove_workload(const ObjectName& name) {
  const auto* found = next_.workloads_.find(name);
  if (!found) return;
  std::shared_ptr<const Workload> before = *found;
  next_.workloads_.erase(name);
  leave(name.namespace_name);
  if (!before->address) return;
  const Workload* holder = next_.workload_by_address(*before->address);
  if (holder == before.get()) next_.workloads_by_address_.erase(*before->address);
}

void SnapshotBuilder::set_ingress(std::shared_ptr<const IngressTable> ingress) {
  next_.ingress_ = std::move(ingress);
}

void SnapshotBuilder::set_tls(std::shared_ptr<const TlsTable> tls) { next_.tls_ = std::move(tls); }

SnapshotPtr SnapshotBuilder::build() {
  if (auto doors = doors_.gather()) {
    std::ranges::sort(*doors, {}, [](const Door& d) {
      return std::tie(d.kind, d.transport, d.address, d.service);
    });
    auto repeated = std::ranges::unique(
        *doors, {}, [](const Door& d) { return std::tie(d.kind, d.transport, d.address); });
    doors->erase(repeated.begin(), repeated.end());
    next_.doors_ = std::make_shared<const std::vector<Door>>(*std::move(doors));
  }
  if (auto unserved = unserved_.gather()) {
    std::ranges::sort(*unserved);
    next_.unserved_ = std::make_shared<const std::vector<UnservedPort>>(*std::move(unserved));
  }
  if (std::exchange(checked_changed_, false)) {
    next_.checked_ =
        std::make_shared<const std::vector<ObjectName>>(checked_.begin(), checked_.end());
  }
  if (std::exchange(namespaces_changed_, false)) {
    const auto names = std::views::keys(namespaces_);
    next_.namespaces_ =
        std::make_shared<const std::set<std::string, std::less<>>>(names.begin(), names.end());
  }
  auto made = std::shared_ptr<Snapshot>(new Snapshot);
  made->generation_ = ++next_.generation_;
  made->networks_ = next_.networks_;
  made->services_ = next_.services_.share();
  made->services_by_address_ = next_.services_by_address_.share();
  made->workloads_ = next_.workloads_.share();
  made->workloads_by_address_ = next_.workloads_by_address_.share();
  made->namespaces_ = next_.namespaces_;
  made->doors_ = next_.doors_;
  made->unserved_ = next_.unserved_;
  made->ingress_ = next_.ingress_;
  made->tls_ = next_.tls_;
  made->checked_ = next_.checked_;
  return made;
}

}  // namespace tulle::mesh
