#include "controllers/placement.h"

#include "kube/node_fit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <boost/json.hpp>

#include <algorithm>
#include <optional>

namespace tulle::controllers {

namespace {

void add_host_ports(const json::array& containers, std::set<HostPort>& ports) {
  for (const json::value& container : containers) {
    for (const json::value& value : kube::array_at(kube::object_or_empty(container), "ports")) {
      const json::object& port = kube::object_or_empty(value);
      const std::int64_t number = kube::integer_at(port, "hostPort");
      if (number == 0) continue;
      const std::string_view address = kube::string_at(port, "hostIP");
      ports.insert({.port = fmt::format("{}/{}", kube::string_at(port, "protocol", "TCP"), number),
                    .address = std::string(address == "0.0.0.0" ? "" : address)});
    }
  }
}

kube::Resources allocatable(const json::object& node) {
  return kube::resources_from(kube::object_at(node, "status.allocatable"));
}

kube::Quantity amount(const kube::Resources& resources, std::string_view name) {
  const auto found = resources.find(name);
  return found == resources.end() ? kube::Quantity() : found->second;
}

// Why the node does not take the pod; empty where it does.
std::vector<std::string> obstacles(const json::object& pod, const Demand& demand,
                                   const json::object& node, const Occupancy& occupancy) {
  const json::object& spec = kube::object_at(pod, "spec");
  if (!kube::selects_node(spec, node)) {
    return {"node(s) didn't match Pod's node affinity/selector"};
  }
  if (!kube::tolerates_node(spec, node, kube::TaintEffect::no_schedule)) {
    return {kube::bool_at(node, "spec.unschedulable") ? "node(s) were unschedulable"
                                                      : "node(s) had untolerated taint(s)"};
  }
  if (!kube::is_condition_true(node, "Ready")) return {"node(s) were not ready"};
  std::vector<std::string> found;
  if (!occupancy.has_ports_for(demand)) {
    found.emplace_back("node(s) didn't have free ports for the requested pod ports");
  }
  for (const std::string& name : occupancy.lacking(demand, node)) {
    found.push_back(name == "pods" ? "Too many pods" : "Insufficient " + name);
  }
  return found;
}

}  // namespace

Demand demand_of(const json::object& pod) {
  Demand demand{.requests = kube::pod_requests(pod), .host_ports = {}};
  demand.requests["pods"] = kube::Quantity::from_integer(1);
  for (const char* list : {"spec.containers", "spec.initContainers"}) {
    add_host_ports(kube::array_at(pod, list), demand.host_ports);
  }
  return demand;
}

void Occupancy::add(const Demand& demand) {
  for (const auto& [name, more] : demand.requests) requests_[name] += more;
  host_ports_.insert(demand.host_ports.begin(), demand.host_ports.end());
}

void Occupancy::remove(const Demand& demand) {
  for (const auto& [name, less] : demand.requests) requests_[name] -= less;
  for (const HostPort& port : demand.host_ports) {
    if (const auto found = host_ports_.find(port); found != host_ports_.end()) {
      host_ports_.erase(found);
    }
  }
}

std::vector<std::string> Occupancy::lacking(const Demand& demand, const json::object& node) const {
  const kube::Resources has = allocatable(node);
  std::vector<std::string> names;
  for (const auto& [name, wanted] : demand.requests) {
    if (wanted.is_zero()) continue;
    kube::Quantity sum = amount(requests_, name);
    sum += wanted;
    if (sum > amount(has, name)) names.push_back(name);
  }
  return names;
}

bool Occupancy::has_ports_for(const Demand& demand) const {
  return std::ranges::none_of(demand.host_ports, [this](const HostPort& wanted) {
    return std::ranges::any_of(
        host_ports_, [&wanted](const HostPort& taken) { return taken.conflicts_with(wanted); });
  });
}

double Occupancy::fullness(const Demand& demand, const json::object& node) const {
  const kube::Resources has = allocatable(node);
  double most = 0;
  for (const char* name : {"cpu", "memory", "pods"}) {
    const auto all = static_cast<double>(amount(has, name).milli_value());
    if (all == 0) continue;
    kube::Quantity sum = amount(requests_, name);
    sum += amount(demand.requests, name);
    most = std::max(most, static_cast<double>(sum.milli_value()) / all);
  }
  return most;
}

std::expected<std::string, std::string> place(const json::object& pod, const Demand& demand,
                                              const std::vector<ObjectPtr>& nodes,
                                              const Occupancies& occupancies) {
  static const Occupancy empty;
  std::map<std::string, int> reasons;
  std::optional<std::pair<double, std::string_view>> best;
  for (const ObjectPtr& node : nodes) {
    const auto found = occupancies.find(kube::name_of(*node));
    const Occupancy& occupancy = found == occupancies.end() ? empty : found->second;
    const auto why_not = obstacles(pod, demand, *node, occupancy);
    for (const std::string& reason : why_not) ++reasons[reason];
    if (!why_not.empty()) continue;
    const std::pair candidate(occupancy.fullness(demand, *node), kube::name_of(*node));
    if (!best || candidate < *best) best = candidate;
  }
  if (best) return std::string(best->second);
  if (nodes.empty()) return std::unexpected("no nodes available to schedule pods");
  std::vector<std::string> said;
  said.reserve(reasons.size());
  for (const auto& [reason, count] : reasons) said.push_back(fmt::format("{} {}", count, reason));
  return std::unexpected(
      fmt::format("0/{} nodes are available: {}.", nodes.size(), fmt::join(said, ", ")));
}

}  // namespace tulle::controllers
