#include "controllers/endpoint_members.h"

#include "kube/pod.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace tulle::controllers {

namespace {

std::string_view address_of(const json::object& pod) {
  return kube::string_at(pod, "status.podIP");
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
                         std::string_view zone) {
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
  if (!zone.empty()) endpoint["zone"] = zone;
  if (kube::bool_at(endpoint, "conditions.ready")) {
    auto hints = hints_for(service, node, zone);
    if (!hints.empty()) endpoint["hints"] = std::move(hints);
  }
  if (const auto hostname = hostname_in(service, pod); !hostname.empty()) {
    endpoint["hostname"] = hostname;
  }
  return endpoint;
}

bool has_place(const json::object& pod) {
  return !kube::has_ended(pod) && !address_of(pod).empty();
}

MemberPtr member_of(const json::object& service, const json::object& pod, std::string_view zone) {
  if (!has_place(pod)) return nullptr;
  auto made = std::make_shared<Member>();
  made->address = IpAddress::parse(address_of(pod)).value_or(IpAddress());
  made->ports = ports_in(service, pod);
  made->ports_text = json::serialize(made->ports);
  made->endpoint = endpoint_of(service, pod, zone);
  return made;
}

std::string_view zone_of(std::string_view node, const Zones& zones) {
  const auto found = zones.find(node);
  return found == zones.end() ? std::string_view() : found->second;
}

}  // namespace

std::vector<std::span<const MemberPtr>> groups_of(const std::vector<MemberPtr>& members) {
  std::vector<std::span<const MemberPtr>> groups;
  for (auto begin = members.begin(); begin != members.end();) {
    const auto end = std::find_if(begin, members.end(), [&begin](const MemberPtr& member) {
      return member->ports_text != (*begin)->ports_text;
    });
    groups.emplace_back(begin, end);
    begin = end;
  }
  return groups;
}

Members::Known Members::look_at(const ObjectPtr& pod, const Zones& zones) const {
  const std::string_view node = kube::string_at(*pod, "spec.nodeName");
  const std::string_view zone = zone_of(node, zones);
  const bool selected = selector_.matches(kube::labels_of(*pod));
  return {.pod = pod,
          .zone = std::string(zone),
          .node = std::string(node),
          .member = selected ? member_of(*service_, *pod, zone) : nullptr,
          .pass = pass_};
}

std::vector<MemberPtr> Members::update(const ObjectPtr& service, const std::vector<ObjectPtr>& pods,
                                       const Zones& zones) {
  if (std::exchange(service_, service) != service) {
    known_.clear();
    selector_ = kube::Selector::from_map(kube::object_at(*service, "spec.selector"));
  }
  ++pass_;
  std::vector<MemberPtr> members;
  members.reserve(pods.size());
  for (const ObjectPtr& pod : pods) {
    Known& known = known_[pod.get()];
    if (!known.pod || known.zone != zone_of(known.node, zones)) known = look_at(pod, zones);
    known.pass = pass_;
    if (known.member) members.push_back(known.member);
  }
  if (known_.size() > pods.size()) {
    std::erase_if(known_, [this](const auto& entry) { return entry.second.pass != pass_; });
  }
  std::ranges::sort(members, {}, [](const MemberPtr& member) {
    return std::tie(member->ports_text, member->address);
  });
  return members;
}

}  // namespace tulle::controllers
