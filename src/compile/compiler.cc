#include "compile/compiler.h"

#include "kube/object.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <tuple>

namespace tulle::compile {

using mesh::Endpoint;
using mesh::Health;
using mesh::Service;
using mesh::ServiceHost;
using mesh::ServicePort;

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::service: return "Service";
    case Kind::endpoint_slice: return "EndpointSlice";
    case Kind::pod: return "Pod";
    case Kind::ingress: return "Ingress";
    case Kind::ingress_class: return "IngressClass";
    case Kind::traffic_policy: return "TrafficPolicy";
    case Kind::secret: return "Secret";
    case Kind::node: return "Node";
  }
  return "";
}

Compiler::Compiler(mesh::Networks networks, Place here)
    : networks_(networks),
      here_(std::move(here)),
      zone_is_told_(!here_.zone.empty()),
      builder_(std::move(networks)) {}

void Compiler::upsert(Kind kind, const boost::json::object& object) {
  mesh::ObjectName name = object_name(object);
  Problems found;
  switch (kind) {
    case Kind::service:
      services_.insert_or_assign(name, read_service(object, found));
      dirty_services_.insert(name);
      break;
    case Kind::endpoint_slice: upsert_slice(name, read_slice(object, found)); break;
    case Kind::pod: upsert_pod(read_pod(object, networks_.cluster_domain, found)); break;
    case Kind::ingress:
      ingresses_.insert_or_assign(name, read_ingress(object, found));
      dirty_ingress_ = true;
      break;
    case Kind::ingress_class:
      ingress_classes_.insert_or_assign(name, read_ingress_class(object));
      dirty_ingress_ = true;
      break;
    case Kind::traffic_policy: upsert_policy(name, object, found); break;
    case Kind::secret: upsert_secret(name, object); break;
    case Kind::node: upsert_node(name, object); break;
  }
  if (found.empty()) {
    problems_.erase({kind, name});
  } else {
    problems_.insert_or_assign({kind, name}, std::move(found));
  }
}

void Compiler::remove(Kind kind, const mesh::ObjectName& name) {
  problems_.erase({kind, name});
  switch (kind) {
    case Kind::service:
      if (services_.erase(name) > 0) dirty_services_.insert(name);
      break;
    case Kind::endpoint_slice: remove_slice(name); break;
    case Kind::pod: remove_pod(name); break;
    case Kind::ingress:
      if (ingresses_.erase(name) > 0) dirty_ingress_ = true;
      break;
    case Kind::ingress_class:
      if (ingress_classes_.erase(name) > 0) dirty_ingress_ = true;
      break;
    case Kind::traffic_policy: remove_policy(name); break;
    case Kind::secret:
      if (certificates_.erase(name) > 0) dirty_ingress_ = true;
      break;
    case Kind::node:
      if (name.name == here_.node) set_zone("");
      break;
  }
}

void Compiler::upsert_slice(const mesh::ObjectName& name, SliceFacts facts) {
  const auto before = slices_.find(name);
  const bool same_change = before != slices_.end() && before->second.changed_at == facts.changed_at;
  if (facts.changed_at && !same_change) change_times_.push_back(*facts.changed_at);
  remove_slice(name);
  if (facts.service.empty()) return;
  dirty_services_.insert(facts.service);
  slices_of_service_[facts.service].insert(name);
  for (const SliceFacts::Host& host : facts.hosts) {
    if (!host.workload.empty()) services_of_pod_[host.workload].insert(facts.service);
  }
  slices_.insert_or_assign(name, std::move(facts));
}

void Compiler::remove_slice(const mesh::ObjectName& name) {
  auto found = slices_.find(name);
  if (found == slices_.end()) return;
  const mesh::ObjectName& service = found->second.service;
  dirty_services_.insert(service);
  auto of_service = slices_of_service_.find(service);
  of_service->second.erase(name);
  if (of_service->second.empty()) slices_of_service_.erase(of_service);
  slices_.erase(found);
}

void Compiler::upsert_pod(PodFacts facts) {
  const mesh::ObjectName name = facts.workload.name;
  auto before = pods_.find(name);
  // Most changes of a pod are of its status and mean nothing here.
  bool same = before != pods_.end() && before->second.workload == facts.workload;
  if (!same) {
    builder_.put(facts.workload);
    changed_ = true;
  }
  if (traffic_of(name) != facts.traffic) {
    if (auto touched = services_of_pod_.find(name); touched != services_of_pod_.end()) {
      dirty_services_.insert(touched->second.begin(), touched->second.end());
    }
  }
  pods_.insert_or_assign(name, std::move(facts));
}

void Compiler::remove_pod(const mesh::ObjectName& name) {
  if (pods_.erase(name) == 0) return;
  services_of_pod_.erase(name);
  builder_.remove_workload(name);
  changed_ = true;
}

// One that cannot be followed leaves what it said before in force.
void Compiler::upsert_policy(const mesh::ObjectName& name, const boost::json::object& object,
                             Problems& found) {
  if (!policy_kind_) policy_kind_ = policy_kind();
  PolicyFacts facts = read_policy(object, *policy_kind_, found);
  const auto before = policies_.find(name);
  const bool known = before != policies_.end();
  if (!found.empty()) {
    found.push_back(known ? "what it said before stays" : "it is not followed");
    return;
  }
  const bool same = known && before->second.services == facts.services &&
                    before->second.created == facts.created &&
                    *before->second.policy == *facts.policy;
  if (same) return;  // mostly its status
  remove_policy(name);
  for (const mesh::ObjectName& service : facts.services) {
    policies_of_service_[service].insert(name);
    dirty_services_.insert(service);
  }
  policies_.insert_or_assign(name, std::move(facts));
}

void Compiler::remove_policy(const mesh::ObjectName& name) {
  const auto found = policies_.find(name);
  if (found == policies_.end()) return;
  for (const mesh::ObjectName& service : found->second.services) {
    dirty_services_.insert(service);
    const auto of_service = policies_of_service_.find(service);
    of_service->second.erase(name);
    if (of_service->second.empty()) policies_of_service_.erase(of_service);
  }
  policies_.erase(found);
}

std::shared_ptr<const mesh::Policy> Compiler::policy_of(const mesh::ObjectName& service) const {
  const auto names = policies_of_service_.find(service);
  if (names == policies_of_service_.end()) return nullptr;
  const auto oldest = std::ranges::min_element(
      names->second, [this](const mesh::ObjectName& a, const mesh::ObjectName& b) {
        return holds_before(policies_.at(a).created, a, policies_.at(b).created, b);
      });
  return policies_.at(*oldest).policy;
}

PodTraffic Compiler::traffic_of(const mesh::ObjectName& pod) const {
  auto found = pods_.find(pod);
  return found == pods_.end() ? PodTraffic{} : found->second.traffic;
}

void Compiler::upsert_node(const mesh::ObjectName& name, const boost::json::object& object) {
  if (name.name == here_.node) set_zone(std::string(kube::label_of(object, zone_label)));
}

void Compiler::set_zone(std::string of_node) {
  if (zone_is_told_ || here_.zone == of_node) return;
  here_.zone = std::move(of_node);
  for (const auto& [name, facts] : services_) dirty_services_.insert(name);
}

mesh::SnapshotPtr Compiler::build() {
  change_times_of_last_ = std::exchange(change_times_, {});
  for (const mesh::ObjectName& name : dirty_services_) compile_service(name);
  changed_ |= !dirty_services_.empty() || dirty_ingress_;
  dirty_services_.clear();
  if (dirty_ingress_) compile_ingress();
  dirty_ingress_ = false;
  if (changed_) last_ = builder_.build();
  changed_ = false;
  return last_;
}

namespace {

// While its controller moves an endpoint it may be in two slices: the healthier one holds.
void keep_healthiest(Service& service) {
  for (ServicePort& port : service.ports) {
    std::ranges::sort(port.endpoints, {},
                      [](const Endpoint& e) { return std::pair(e.address, e.health); });
    auto repeated = std::ranges::unique(port.endpoints, {}, &Endpoint::address);
    port.endpoints.erase(repeated.begin(), repeated.end());
  }
  std::ranges::sort(service.hosts, {},
                    [](const ServiceHost& h) { return std::pair(h.address, !h.published); });
  auto repeated = std::ranges::unique(service.hosts, {}, &ServiceHost::address);
  service.hosts.erase(repeated.begin(), repeated.end());
}

bool has_hints(const SliceFacts::Host& host) {
  return !host.hint_zones.empty() || !host.hint_nodes.empty();
}

bool all_ready_have_hints(const SliceFacts* slice) {
  return std::ranges::all_of(slice->hosts, [](const SliceFacts::Host& host) {
    return host.health != Health::ready || has_hints(host);
  });
}

}  // namespace

void Compiler::compile_service(const mesh::ObjectName& name) {
  auto found = services_.find(name);
  if (found == services_.end()) {
    builder_.remove_service(name);
    return;
  }
  Service service = found->second.service;
  std::vector<const SliceFacts*> slices;
  if (auto names = slices_of_service_.find(name); names != slices_of_service_.end()) {
    for (const mesh::ObjectName& slice : names->second) slices.push_back(&slices_.at(slice));
  }
  const bool by_hints = std::ranges::all_of(slices, all_ready_have_hints);
  for (const SliceFacts* slice : slices) add_slice(service, *slice, found->second, by_hints);
  keep_healthiest(service);
  service.policy = policy_of(name);
  if (service.policy && service.policy->load_balancing) {
    service.load_balancing = *service.policy->load_balancing;
  }
  builder_.put(std::move(service));
}

void Compiler::add_slice(Service& service, const SliceFacts& slice, const ServiceFacts& of,
                         bool by_hints) const {
  auto health_of = [&](const SliceFacts::Host& host) {
    return of.publish_not_ready ? Health::ready : host.health;
  };
  auto level_of = [&](const SliceFacts::Host& host, const PodTraffic& traffic) {
    const Nearness nearness = by_hints && has_hints(host)
                                  ? nearness_by_hints(here_, host)
                                  : nearness_by_preference(of.preference, here_, host);
    const std::uint8_t priority = std::max(traffic.priority, slice.priority);
    return static_cast<std::uint8_t>(priority * kNearnessCount +
                                     static_cast<std::uint8_t>(nearness));
  };
  for (const SliceFacts::Host& host : slice.hosts) {
    service.hosts.push_back({.address = host.address,
                             .hostname = host.hostname,
                             .published = health_of(host) == Health::ready});
  }
  for (const SliceFacts::Port& slice_port : slice.ports) {
    auto port = std::ranges::find_if(service.ports, [&](const ServicePort& p) {
      return p.name == slice_port.name && p.transport == slice_port.transport;
    });
    if (port == service.ports.end()) continue;
    for (const SliceFacts::Host& host : slice.hosts) {
      const PodTraffic traffic = traffic_of(host.workload);
      port->endpoints.push_back({.address = {.ip = host.address, .port = slice_port.port},
                                 .health = health_of(host),
                                 .weight = traffic.weight,
                                 .workload = host.workload,
                                 .hostname = host.hostname,
                                 .node = host.node,
                                 .level = level_of(host, traffic),
                                 .local = !host.node.empty() && host.node == here_.node});
    }
  }
}

bool Compiler::is_ours(const IngressFacts& ingress) const {
  if (ingress.ingress_class) {
    auto found = ingress_classes_.find({.namespace_name = "", .name = *ingress.ingress_class});
    return found == ingress_classes_.end() ? *ingress.ingress_class == ingress_class_name
                                           : found->second.is_ours;
  }
  return std::ranges::any_of(ingress_classes_, [](const auto& entry) {
    return entry.second.is_ours && entry.second.is_default;
  });
}

// Of most secrets nothing is kept.
void Compiler::upsert_secret(const mesh::ObjectName& name, const boost::json::object& object) {
  auto certificate = read_certificate(object);
  const auto before = certificates_.find(name);
  const bool known = before != certificates_.end();
  if (!certificate) {
    if (known) remove(Kind::secret, name);
    return;
  }
  if (known && *before->second == *certificate) return;
  certificates_.insert_or_assign(name, std::move(certificate));
  dirty_ingress_ = true;
}

void Compiler::compile_tls(const std::vector<IngressEntry>& oldest_first) {
  auto table = std::make_shared<mesh::TlsTable>();
  const auto add = [&](const mesh::ObjectName& ingress, const std::string& host,
                       mesh::TlsHost entry) {
    entry.ingress = ingress.to_string();
    if (host.empty() || table->add(host, std::move(entry))) return;
    ingress_conflicts_.emplace_back(
        ingress, fmt::format("tls host \"{}\": an older Ingress has it, which stays", host));
  };
  for (const auto& [name, facts] : oldest_first) {
    if (facts->tls_passthrough) {
      std::set<std::string> hosts;  // of several paths the first counts
      for (const auto& rule : facts->rules) {
        if (hosts.insert(rule.host).second) add(*name, rule.host, {.backend = rule.backend});
      }
      continue;
    }
    for (const IngressFacts::Tls& tls : facts->tls) {
      const auto found =
          certificates_.find({.namespace_name = name->namespace_name, .name = tls.secret});
      if (found == certificates_.end()) {
        ingress_conflicts_.emplace_back(
            *name, fmt::format("tls: there is no secret \"{}\" with tls.crt and tls.key; its hosts "
                               "are not served over TLS",
                               tls.secret));
        continue;
      }
      for (const std::string& host : tls.hosts) add(*name, host, {.certificate = found->second});
    }
  }
  if (tls_ && *tls_ == *table) return;
  tls_ = table;
  builder_.set_tls(std::move(table));
}

void Compiler::compile_ingress() {
  // Of contradicting rules the oldest Ingress holds, so that nobody's traffic is taken away.
  std::vector<IngressEntry> ours;
  for (const auto& [name, facts] : ingresses_) {
    if (is_ours(facts)) ours.emplace_back(&name, &facts);
  }
  std::ranges::sort(
      ours, {}, [](const auto& entry) { return std::tie(entry.second->created, *entry.first); });
  ingress_conflicts_.clear();
  auto table = std::make_shared<mesh::IngressTable>();
  for (const auto& [name, facts] : ours) {
    for (const mesh::IngressTable::Rule& rule : facts->rules) {
      if (table->add(rule)) continue;
      ingress_conflicts_.emplace_back(
          *name, fmt::format("host \"{}\" path \"{}\": an older rule for the same host and path "
                             "stays; left out",
                             rule.host, rule.path));
    }
    if (facts->default_backend && !table->set_default(name->to_string(), *facts->default_backend)) {
      ingress_conflicts_.emplace_back(*name, "an older Ingress has a default backend, which stays");
    }
  }
  compile_tls(ours);
  builder_.set_ingress(std::move(table));
}

std::vector<Problem> Compiler::problems() const {
  std::vector<Problem> all;
  for (const auto& [key, texts] : problems_) {
    for (const std::string& text : texts) {
      all.push_back({.kind = key.first, .object = key.second, .text = text});
    }
  }
  for (const auto& [ingress, text] : ingress_conflicts_) {
    all.push_back({.kind = Kind::ingress, .object = ingress, .text = text});
  }
  std::ranges::sort(all, {}, [](const Problem& p) { return std::tie(p.kind, p.object, p.text); });
  return all;
}

}  // namespace tulle::compile
