#include "base/address.h"
#include "controllers/endpoints.h"

#include <boost/json.hpp>

#include <algorithm>
#include <map>

namespace tulle::controllers {

namespace {

std::string address_of(const json::object& pod) {
  return std::string(kube::string_at(pod, "status.podIP"));
}

// The container port of this name and protocol; 0 where the pod has none.
std::int64_t named_port(const json::object& pod, std::string_view name, std::string_view protocol) {
  for (const auto& container : kube::array_at(pod, "spec.containers")) {
    for (const auto& value : kube::array_at(kube::object_or_empty(container), "ports")) {
      const auto& port = kube::object_or_empty(value);
      if (kube::string_at(port, "name") == name &&
          kube::string_at(port, "protocol", "TCP") == protocol) {
        return kube::integer_at(port, "containerPort");
      }
    }
  }
  return 0;
}

std::int64_t target_of(const json::object& port, const json::object& pod) {
  const json::value* target = port.if_contains("targetPort");
  if (target == nullptr) return kube::integer_at(port, "port");
  if (const auto* name = target->if_string()) {
    return named_port(pod, *name, kube::string_at(port, "protocol", "TCP"));
  }
  const auto number = kube::integer_at(port, "targetPort");
  return number != 0 ? number : kube::integer_at(port, "port");
}

// The ports of a slice, as they are in this pod.
json::array ports_in(const json::object& service, const json::object& pod) {
  json::array ports;
  for (const auto& value : kube::array_at(service, "spec.ports")) {
    const auto& port = kube::object_or_empty(value);
    const std::int64_t number = target_of(port, pod);
    if (number == 0) continue;  // a named port that this pod does not have
    json::object out{{"name", kube::string_at(port, "name")},
                     {"port", number},
                     {"protocol", kube::string_at(port, "protocol", "TCP")}};
    if (const auto* protocol = port.if_contains("appProtocol")) out["appProtocol"] = *protocol;
    ports.push_back(std::move(out));
  }
  return ports;
}

json::object reference_to(const json::object& pod) {
  return {{"kind", "Pod"},
          {"namespace", kube::namespace_of(pod)},
          {"name", kube::name_of(pod)},
          {"uid", kube::uid_of(pod)}};
}

std::string_view hostname_in(const json::object& service, const json::object& pod) {
  const bool of_service = kube::string_at(pod, "spec.subdomain") == kube::name_of(service);
  return of_service ? kube::string_at(pod, "spec.hostname") : std::string_view{};
}

json::array names(std::string_view one) { return {json::object{{"name", one}}}; }

// For whom an endpoint is, where the service prefers near ones.
json::object hints_for(const json::object& service, std::string_view node, std::string_view zone) {
  json::object hints;
  const std::string_view wanted = kube::string_at(service, "spec.trafficDistribution");
  if (wanted.empty()) return hints;
  if (!zone.empty()) hints["forZones"] = names(zone);
  if (wanted == "PreferSameNode" && !node.empty()) hints["forNodes"] = names(node);
  return hints;
}

json::object endpoint_of(const json::object& service, const json::object& pod,
                         const Zones& zones = {}) {
  const bool publish = kube::bool_at(service, "spec.publishNotReadyAddresses");
  const bool serving = is_ready(pod);
  const bool terminating = kube::is_deleting(pod);
  json::object endpoint{{"addresses", json::array{address_of(pod)}},
                        {"conditions",
                         {{"ready", publish || (serving && !terminating)},
                          {"serving", serving},
                          {"terminating", terminating}}},
                        {"targetRef", reference_to(pod)}};
  const std::string_view node = kube::string_at(pod, "spec.nodeName");
  if (!node.empty()) endpoint["nodeName"] = node;
  const auto zone = zones.find(node);
  if (zone != zones.end()) endpoint["zone"] = zone->second;
  if (kube::bool_at(endpoint, "conditions.ready")) {
    auto hints = hints_for(service, node, zone != zones.end() ? zone->second : std::string_view());
    if (!hints.empty()) endpoint["hints"] = std::move(hints);
  }
  if (const auto hostname = hostname_in(service, pod); !hostname.empty()) {
    endpoint["hostname"] = hostname;
  }
  return endpoint;
}

bool has_place(const json::object& pod) {
  const std::string_view phase = kube::string_at(pod, "status.phase");
  return phase != "Succeeded" && phase != "Failed" && !address_of(pod).empty();
}

// Pods with an address, by what their ports are, each group by address.
std::map<std::string, std::vector<ObjectPtr>> by_ports(const json::object& service,
                                                       std::vector<ObjectPtr> pods) {
  std::erase_if(pods, [](const ObjectPtr& pod) { return !has_place(*pod); });
  std::ranges::sort(pods, {}, [](const ObjectPtr& pod) {
    const auto ip = IpAddress::parse(address_of(*pod));
    return ip ? *ip : IpAddress();
  });
  std::map<std::string, std::vector<ObjectPtr>> groups;
  for (ObjectPtr& pod : pods) {
    groups[json::serialize(ports_in(service, *pod))].push_back(std::move(pod));
  }
  return groups;
}

}  // namespace

std::vector<json::object> slices_for(const json::object& service,
                                     const std::vector<ObjectPtr>& pods, const Zones& zones) {
  std::vector<json::object> slices;
  for (const auto& [text, members] : by_ports(service, pods)) {
    for (std::size_t begin = 0; begin < members.size();
         begin += EndpointsController::endpoints_per_slice_max) {
      json::array endpoints;
      const std::size_t end =
          std::min(members.size(), begin + EndpointsController::endpoints_per_slice_max);
      for (std::size_t i = begin; i < end; ++i) {
        endpoints.push_back(endpoint_of(service, *members[i], zones));
      }
      slices.push_back({{"addressType", "IPv4"},
                        {"ports", ports_in(service, *members[begin])},
                        {"endpoints", std::move(endpoints)}});
    }
  }
  // A service without pods has one slice that says so.
  if (slices.empty()) {
    slices.push_back(
        {{"addressType", "IPv4"}, {"ports", json::array()}, {"endpoints", json::array()}});
  }
  return slices;
}

json::object endpoints_for(const json::object& service, const std::vector<ObjectPtr>& pods) {
  json::array subsets;
  for (const auto& [text, members] : by_ports(service, pods)) {
    json::array ready;
    json::array not_ready;
    for (const ObjectPtr& pod : members) {
      const json::object endpoint = endpoint_of(service, *pod);
      if (kube::bool_at(endpoint, "conditions.terminating")) continue;
      json::object address{{"ip", address_of(*pod)}, {"targetRef", endpoint.at("targetRef")}};
      for (const std::string_view field : {"nodeName", "hostname"}) {
        if (const auto* value = endpoint.if_contains(field)) address[field] = *value;
      }
      const bool in = kube::bool_at(endpoint, "conditions.ready");
      json::array& list = in ? ready : not_ready;
      if (list.size() < EndpointsController::addresses_max) list.push_back(std::move(address));
    }
    if (ready.empty() && not_ready.empty()) continue;
    json::object subset;
    if (!ready.empty()) subset["addresses"] = std::move(ready);
    if (!not_ready.empty()) subset["notReadyAddresses"] = std::move(not_ready);
    json::array ports = ports_in(service, *members.front());
    for (auto& port : ports) {
      json::object* object = port.if_object();
      if (object != nullptr && kube::string_at(*object, "name").empty()) object->erase("name");
    }
    subset["ports"] = std::move(ports);
    subsets.push_back(std::move(subset));
  }
  json::object endpoints;
  if (!subsets.empty()) endpoints["subsets"] = std::move(subsets);
  return endpoints;
}

}  // namespace tulle::controllers
