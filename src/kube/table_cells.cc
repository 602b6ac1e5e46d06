#include "kube/table_cells.h"

#include "base/text.h"
#include "kube/object.h"
#include "kube/selector.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <boost/json.hpp>

#include <algorithm>
#include <set>
#include <string>

namespace tulle::kube {

namespace {

constexpr std::string_view none = "<none>";
// So many entries of a list are shown before "+ 2 more...".
constexpr std::size_t shown_max = 3;

json::value text(std::string_view value) { return json::value(value); }
json::value text_or_none(std::string_view value) { return text(value.empty() ? none : value); }

std::string with_more(std::vector<std::string> list, std::string_view empty) {
  if (list.empty()) return std::string(empty);
  const std::size_t count = list.size();
  if (count <= shown_max) return fmt::format("{}", fmt::join(list, ","));
  list.resize(shown_max);
  return fmt::format("{} + {} more...", fmt::join(list, ","), count - shown_max);
}

// The first of the paths that holds a string which is not empty.
std::string_view first_string(const json::object& object,
                              std::initializer_list<std::string_view> paths) {
  for (const std::string_view path : paths)
    if (const auto found = string_at(object, path); !found.empty()) return found;
  return {};
}

// "k=v,k2=v2" in order of key.
json::value format_labels(const json::object& labels) {
  return text_or_none(Selector::from_map(labels).to_string());
}

// --- Any kind -----------------------------------------------------------------------------------

json::value object_age(const json::object& object, Time now) {
  return text(age(string_at(object, "metadata.creationTimestamp"), now));
}

json::value data_count(const json::object& object, Time) {
  return object_at(object, "data").size() + object_at(object, "binaryData").size();
}

json::value secrets_count(const json::object& object, Time) {
  return array_at(object, "secrets").size();
}

// --- Services and their endpoints ---------------------------------------------------------------

std::string ingress_points(const json::object& object) {
  std::vector<std::string> points;
  for (const json::value& value : array_at(object, "status.loadBalancer.ingress")) {
    const std::string point(first_string(object_or_empty(value), {"ip", "hostname"}));
    if (!point.empty() && std::ranges::find(points, point) == points.end()) points.push_back(point);
  }
  std::ranges::sort(points);
  return fmt::format("{}", fmt::join(points, ","));
}

json::value service_cluster_ip(const json::object& service, Time) {
  const json::array& addresses = array_at(service, "spec.clusterIPs");
  return text_or_none(addresses.empty() ? string_at(service, "spec.clusterIP")
                                        : string_or(addresses.front()));
}

json::value service_external_ip(const json::object& service, Time) {
  const std::string_view type = string_at(service, "spec.type", "ClusterIP");
  if (type == "ExternalName") return text(string_at(service, "spec.externalName"));
  std::string addresses = type == "LoadBalancer" ? ingress_points(service) : "";
  for (const json::value& value : array_at(service, "spec.externalIPs")) {
    if (!addresses.empty()) addresses += ',';
    addresses += string_or(value);
  }
  if (!addresses.empty()) return text(addresses);
  return text(type == "LoadBalancer" ? "<pending>" : none);
}

json::value service_ports(const json::object& service, Time) {
  std::vector<std::string> ports;
  for (const json::value& value : array_at(service, "spec.ports")) {
    const json::object& port = object_or_empty(value);
    const auto node_port = integer_at(port, "nodePort");
    const std::string_view protocol = string_at(port, "protocol", "TCP");
    const auto number = integer_at(port, "port");
    ports.push_back(node_port > 0 ? fmt::format("{}:{}/{}", number, node_port, protocol)
                                  : fmt::format("{}/{}", number, protocol));
  }
  return text_or_none(fmt::format("{}", fmt::join(ports, ",")));
}

json::value service_selector(const json::object& service, Time) {
  return format_labels(object_at(service, "spec.selector"));
}

json::value endpoints_addresses(const json::object& endpoints, Time) {
  std::vector<std::string> list;
  for (const json::value& value : array_at(endpoints, "subsets")) {
    const json::object& subset = object_or_empty(value);
    const json::array& addresses = array_at(subset, "addresses");
    const auto ip = [](const json::value& address) {
      return std::string(string_at(object_or_empty(address), "ip"));
    };
    // A headless service may have no ports.
    const json::array& ports = array_at(subset, "ports");
    if (ports.empty())
      for (const json::value& address : addresses) list.push_back(ip(address));
    for (const json::value& port : ports)
      for (const json::value& address : addresses) {
        const std::string host = ip(address);
        list.push_back(fmt::format(fmt::runtime(host.contains(':') ? "[{}]:{}" : "{}:{}"), host,
                                   integer_at(object_or_empty(port), "port")));
      }
  }
  return text(with_more(std::move(list), none));
}

json::value slice_ports(const json::object& slice, Time) {
  std::vector<std::string> list;
  for (const json::value& value : array_at(slice, "ports")) {
    const json::object& port = object_or_empty(value);
    if (const auto number = integer_at(port, "port"); number != 0)
      list.push_back(std::to_string(number));
    else
      list.emplace_back(string_at(port, "name", "*"));
  }
  return text(with_more(std::move(list), "<unset>"));
}

json::value slice_endpoints(const json::object& slice, Time) {
  std::vector<std::string> list;
  for (const json::value& value : array_at(slice, "endpoints"))
    for (const json::value& address : array_at(object_or_empty(value), "addresses"))
      list.emplace_back(string_or(address));
  return text(with_more(std::move(list), "<unset>"));
}

json::value ingress_hosts(const json::object& ingress, Time) {
  const json::array& rules = array_at(ingress, "spec.rules");
  std::vector<std::string> hosts;
  bool more = false;
  for (const json::value& rule : rules) {
    more |= hosts.size() == shown_max;
    const std::string_view host = string_at(object_or_empty(rule), "host");
    if (!more && !host.empty()) hosts.emplace_back(host);
  }
  if (hosts.empty()) return "*";
  const std::string list = fmt::format("{}", fmt::join(hosts, ","));
  return text(more ? fmt::format("{} + {} more...", list, rules.size() - shown_max) : list);
}

json::value ingress_address(const json::object& ingress, Time) {
  return text(ingress_points(ingress));
}

json::value ingress_ports(const json::object& ingress, Time) {
  return text(array_at(ingress, "spec.tls").empty() ? "80" : "80, 443");
}

json::value ingress_class_parameters(const json::object& ingress_class, Time) {
  const json::object* parameters = find_object(ingress_class, "spec.parameters");
  if (parameters == nullptr) return text(none);
  const std::string_view group = string_at(*parameters, "apiGroup");
  return text(fmt::format("{}{}{}/{}", string_at(*parameters, "kind"), group.empty() ? "" : ".",
                          group, string_at(*parameters, "name")));
}

// --- Nodes --------------------------------------------------------------------------------------

json::value node_status(const json::object& node, Time) {
  const json::object* ready = find_condition(node, "Ready");
  std::string status = ready == nullptr                        ? "Unknown"
                       : string_at(*ready, "status") == "True" ? "Ready"
                                                               : "NotReady";
  if (bool_at(node, "spec.unschedulable")) status += ",SchedulingDisabled";
  return text(status);
}

json::value node_roles(const json::object& node, Time) {
  constexpr std::string_view prefix = "node-role.kubernetes.io/";
  std::set<std::string_view> roles;
  for (const auto& label : labels_of(node)) {
    const std::string_view key(label.key().data(), label.key().size());
    if (key.starts_with(prefix) && key.size() > prefix.size())
      roles.insert(key.substr(prefix.size()));
    else if (key == "kubernetes.io/role" && !string_or(label.value()).empty())
      roles.insert(string_or(label.value()));
  }
  return text_or_none(fmt::format("{}", fmt::join(roles, ",")));
}

// --- Events: of core/v1, or of events.k8s.io/v1 with its other field names ----------------------

json::value event_first_seen(const json::object& event, Time now) {
  return text(
      age(first_string(event, {"firstTimestamp", "deprecatedFirstTimestamp", "eventTime"}), now));
}

json::value event_last_seen(const json::object& event, Time now) {
  return text(age(
      first_string(event, {"series.lastObservedTime", "lastTimestamp", "deprecatedLastTimestamp",
                           "firstTimestamp", "deprecatedFirstTimestamp", "eventTime"}),
      now));
}

json::value event_count(const json::object& event, Time) {
  for (const std::string_view path : {"series.count", "count", "deprecatedCount"})
    if (const auto count = integer_at(event, path); count != 0) return count;
  return 1;
}

json::value event_object(const json::object& event, Time) {
  const json::object* target = find_object(event, "involvedObject");
  if (target == nullptr) target = &object_at(event, "regarding");
  const std::string kind = to_lower(string_at(*target, "kind"));
  const std::string_view name = string_at(*target, "name");
  return text(name.empty() ? kind : fmt::format("{}/{}", kind, name));
}

json::value event_subobject(const json::object& event, Time) {
  return text(first_string(event, {"involvedObject.fieldPath", "regarding.fieldPath"}));
}

json::value event_source(const json::object& event, Time) {
  const auto component = first_string(event, {"source.component", "deprecatedSource.component",
                                              "reportingComponent", "reportingController"});
  const auto host =
      first_string(event, {"source.host", "deprecatedSource.host", "reportingInstance"});
  return text(host.empty() ? std::string(component) : fmt::format("{}, {}", component, host));
}

json::value event_message(const json::object& event, Time) {
  std::string_view message = first_string(event, {"message", "note"});
  constexpr std::string_view blanks = " \t\r\n";
  const auto begin = std::min(message.find_first_not_of(blanks), message.size());
  message.remove_prefix(begin);
  return text(message.substr(0, message.find_last_not_of(blanks) + 1));
}

}  // namespace

CellFunction find_cell_function(std::string_view name) {
  struct Row {
    std::string_view name;
    CellFunction function;
  };
  static constexpr Row rows[] = {
      {"age", object_age},
      {"data_count", data_count},
      {"endpoints_addresses", endpoints_addresses},
      {"event_count", event_count},
      {"event_first_seen", event_first_seen},
      {"event_last_seen", event_last_seen},
      {"event_message", event_message},
      {"event_object", event_object},
      {"event_source", event_source},
      {"event_subobject", event_subobject},
      {"ingress_address", ingress_address},
      {"ingress_class_parameters", ingress_class_parameters},
      {"ingress_hosts", ingress_hosts},
      {"ingress_ports", ingress_ports},
      {"node_roles", node_roles},
      {"node_status", node_status},
      {"pod_readiness_gates", pod_readiness_gates},
      {"pod_ready", pod_ready},
      {"pod_restarts", pod_restarts},
      {"pod_status", pod_status},
      {"secrets_count", secrets_count},
      {"service_cluster_ip", service_cluster_ip},
      {"service_external_ip", service_external_ip},
      {"service_ports", service_ports},
      {"service_selector", service_selector},
      {"slice_endpoints", slice_endpoints},
      {"slice_ports", slice_ports},
  };
  const auto* row = std::ranges::find(rows, name, &Row::name);
  return row == std::end(rows) ? find_workload_cell(name) : row->function;
}

}  // namespace tulle::kube
