#include "compile/facts.h"

#include "kube/endpoint_slice.h"
#include "kube/object.h"

#include <fmt/format.h>
#include <boost/json.hpp>

namespace tulle::compile {
namespace {

using kube::string_at;
using mesh::Health;

// An absent `ready` or `serving` means yes, an absent `terminating` no (API reference of
// EndpointConditions); `serving` says nothing where only `ready` is given.
Health read_health(const boost::json::object& endpoint) {
  bool ready = kube::bool_at(endpoint, "conditions.ready", true);
  bool serving = kube::bool_at(endpoint, "conditions.serving", ready);
  bool terminating = kube::bool_at(endpoint, "conditions.terminating", false);
  if (ready) return Health::ready;
  return serving && terminating ? Health::draining : Health::not_ready;
}

std::vector<std::string> names_in(const boost::json::object& endpoint, std::string_view list) {
  std::vector<std::string> names;
  for (const boost::json::value& each : kube::array_at(endpoint, list)) {
    names.emplace_back(string_at(kube::object_or_empty(each), "name"));
  }
  return names;
}

}  // namespace

SliceFacts read_slice(const boost::json::object& object, Problems& problems) {
  SliceFacts facts;
  std::string_view service = kube::label_of(object, kube::service_name_label);
  std::string_view space = kube::namespace_of(object);
  if (service.empty()) return facts;
  facts.service = {.namespace_name = std::string(space), .name = std::string(service)};
  facts.priority = read_priority(object, problems);
  const auto changed_at =
      kube::parse_time(kube::annotation_of(object, kube::change_time_annotation));
  if (changed_at) facts.changed_at = *changed_at;
  for (const boost::json::value& value : kube::array_at(object, "ports")) {
    const boost::json::object& port = kube::object_or_empty(value);
    std::string_view protocol = string_at(port, "protocol", "TCP");
    std::int64_t number = kube::integer_at(port, "port");
    if (number < 1 || number > 65535 || (protocol != "TCP" && protocol != "UDP")) continue;
    facts.ports.push_back(
        {.name = std::string(string_at(port, "name")),
         .port = static_cast<std::uint16_t>(number),
         .transport = protocol == "TCP" ? mesh::Transport::tcp : mesh::Transport::udp});
  }
  for (const boost::json::value& value : kube::array_at(object, "endpoints")) {
    const boost::json::object& endpoint = kube::object_or_empty(value);
    // All addresses of one endpoint lead to the same place: the first stands for them.
    const boost::json::array& addresses = kube::array_at(endpoint, "addresses");
    std::string_view text = addresses.empty() ? "" : kube::string_or(addresses[0]);
    auto address = IpAddress::parse(text);
    if (!address) {
      problems.push_back(fmt::format("endpoint \"{}\" is not an IP address; left out", text));
      continue;
    }
    SliceFacts::Host host{.address = *address, .health = read_health(endpoint)};
    if (string_at(endpoint, "targetRef.kind") == "Pod") {
      host.workload = {
          .namespace_name = std::string(string_at(endpoint, "targetRef.namespace", space)),
          .name = std::string(string_at(endpoint, "targetRef.name"))};
    }
    host.hostname = string_at(endpoint, "hostname");
    host.node = string_at(endpoint, "nodeName");
    host.zone = string_at(endpoint, "zone");
    host.hint_zones = names_in(endpoint, "hints.forZones");
    host.hint_nodes = names_in(endpoint, "hints.forNodes");
    facts.hosts.push_back(std::move(host));
  }
  return facts;
}

}  // namespace tulle::compile
