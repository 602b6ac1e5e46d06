#include "compile/facts.h"

#include "base/text.h"
#include "kube/object.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <array>

namespace tulle::compile {
namespace {

using kube::bool_at;
using kube::integer_at;
using kube::string_at;
using mesh::LoadBalancing;
using mesh::ProtocolHint;
using mesh::ServiceType;

constexpr std::int64_t affinity_timeout_default_s = 10800;
constexpr std::int64_t affinity_timeout_max_s = 86400;

ServiceType read_type(const boost::json::object& object) {
  std::string_view type = string_at(object, "spec.type");
  for (auto known :
       {ServiceType::node_port, ServiceType::load_balancer, ServiceType::external_name}) {
    if (type == to_string(known)) return known;
  }
  return ServiceType::cluster_ip;
}

LoadBalancing read_load_balancing(const boost::json::object& object, Problems& problems) {
  std::string_view wanted = kube::annotation_of(object, load_balancing_annotation);
  if (wanted.empty()) return LoadBalancing::least_request;
  const auto known = mesh::parse_load_balancing(wanted);
  // Those that hash need to be told what: that takes a TrafficPolicy.
  if (known && known != LoadBalancing::ring_hash && known != LoadBalancing::maglev) return *known;
  problems.push_back(
      fmt::format("annotation {}: \"{}\" is none of LeastRequest, RoundRobin, Random, PeakEwma; "
                  "using LeastRequest",
                  load_balancing_annotation, wanted));
  return LoadBalancing::least_request;
}

ProtocolHint read_protocol(std::string_view app_protocol, std::string_view port_name) {
  constexpr std::array<std::string_view, 4> http{"http", "HTTP", "kubernetes.io/ws", "http/1.1"};
  constexpr std::array<std::string_view, 4> http2{"kubernetes.io/h2c", "grpc", "h2c", "http2"};
  constexpr std::array<std::string_view, 6> opaque{"tcp",   "https", "tls", "kubernetes.io/wss",
                                                   "mysql", "mongo"};
  if (std::ranges::find(http, app_protocol) != http.end()) return ProtocolHint::http;
  if (std::ranges::find(http2, app_protocol) != http2.end()) return ProtocolHint::http2;
  if (std::ranges::find(opaque, app_protocol) != opaque.end()) return ProtocolHint::tcp;
  if (!app_protocol.empty()) return ProtocolHint::detect;
  const std::string_view prefix = port_name.substr(0, port_name.find('-'));
  if (prefix == "tcp") return ProtocolHint::tcp;
  return prefix == "grpc" || prefix == "http2" || prefix == "h2c" ? ProtocolHint::http2
                                                                  : ProtocolHint::detect;
}

void read_ports(const boost::json::object& object, mesh::Service& service, Problems& problems) {
  bool has_node_ports =
      service.type == ServiceType::node_port || service.type == ServiceType::load_balancer;
  for (const boost::json::value& value : kube::array_at(object, "spec.ports")) {
    const boost::json::object& port = kube::object_or_empty(value);
    std::string_view protocol = string_at(port, "protocol", "TCP");
    std::int64_t number = integer_at(port, "port");
    std::int64_t node_port = has_node_ports ? integer_at(port, "nodePort") : 0;
    std::string_view name = string_at(port, "name");
    bool known_protocol = protocol == "TCP" || protocol == "UDP";
    if (!known_protocol || number < 1 || number > 65535 || node_port < 0 || node_port > 65535) {
      problems.push_back(fmt::format("port {}/{} is not supported and left out", number, protocol));
      continue;
    }
    service.ports.push_back(
        {.name = std::string(name),
         .port = static_cast<std::uint16_t>(number),
         .transport = protocol == "TCP" ? mesh::Transport::tcp : mesh::Transport::udp,
         .protocol = read_protocol(string_at(port, "appProtocol"), name),
         .node_port = static_cast<std::uint16_t>(node_port)});
  }
}

void add_address(std::vector<IpAddress>& addresses, std::string_view text) {
  auto address = IpAddress::parse(text);
  if (address && std::ranges::find(addresses, *address) == addresses.end()) {
    addresses.push_back(*address);
  }
}

void read_addresses(const boost::json::object& object, mesh::Service& service) {
  std::string_view first = string_at(object, "spec.clusterIP");
  service.headless = first == "None" && service.type != ServiceType::external_name;
  if (service.type == ServiceType::external_name) return;
  add_address(service.cluster_addresses, first);
  for (const boost::json::value& address : kube::array_at(object, "spec.clusterIPs")) {
    add_address(service.cluster_addresses, kube::string_or(address));
  }
  if (service.type != ServiceType::load_balancer) return;
  for (const auto& ingress : kube::array_at(object, "status.loadBalancer.ingress")) {
    add_address(service.load_balancer_addresses, string_at(kube::object_or_empty(ingress), "ip"));
  }
}

std::string read_external_name(const boost::json::object& object) {
  std::string name = to_lower(string_at(object, "spec.externalName"));
  if (name.ends_with('.')) name.pop_back();
  return name;
}

Preference read_preference(const boost::json::object& object, Problems& problems) {
  const std::string_view wanted = string_at(object, "spec.trafficDistribution");
  if (wanted == "PreferSameNode") return Preference::same_node;
  // PreferClose is the older name.
  if (wanted == "PreferSameZone" || wanted == "PreferClose") return Preference::same_zone;
  if (!wanted.empty()) {
    problems.push_back(
        fmt::format("spec.trafficDistribution: \"{}\" is none of PreferSameZone, "
                    "PreferSameNode, PreferClose; no endpoint is preferred",
                    wanted));
  }
  return Preference::none;
}

}  // namespace

mesh::ObjectName object_name(const boost::json::object& object) {
  return {.namespace_name = std::string(kube::namespace_of(object)),
          .name = std::string(kube::name_of(object))};
}

ServiceFacts read_service(const boost::json::object& object, Problems& problems) {
  ServiceFacts facts;
  mesh::Service& service = facts.service;
  service.name = object_name(object);
  service.type = read_type(object);
  service.load_balancing = read_load_balancing(object, problems);
  if (service.type == ServiceType::external_name) {
    service.external_name = read_external_name(object);
  }
  read_addresses(object, service);
  read_ports(object, service, problems);
  if (string_at(object, "spec.sessionAffinity") == "ClientIP") {
    std::int64_t timeout_s = integer_at(
        object, "spec.sessionAffinityConfig.clientIP.timeoutSeconds", affinity_timeout_default_s);
    bool valid = timeout_s > 0 && timeout_s <= affinity_timeout_max_s;
    service.client_affinity_timeout =
        std::chrono::seconds(valid ? timeout_s : affinity_timeout_default_s);
  }
  service.internal_local = string_at(object, "spec.internalTrafficPolicy") == "Local";
  service.external_local = string_at(object, "spec.externalTrafficPolicy") == "Local";
  if (service.external_local && service.type == ServiceType::load_balancer) {
    const std::int64_t port = integer_at(object, "spec.healthCheckNodePort");
    if (port > 0 && port <= 65535)
      service.health_check_node_port = static_cast<std::uint16_t>(port);
  }
  facts.preference = read_preference(object, problems);
  facts.publish_not_ready = bool_at(object, "spec.publishNotReadyAddresses");
  return facts;
}

}  // namespace tulle::compile
