#include "mesh/snapshot.h"

#include <algorithm>
#include <tuple>

namespace tulle::mesh {

std::string_view to_string(Transport transport) {
  switch (transport) {
    case Transport::tcp: return "TCP";
    case Transport::udp: return "UDP";
  }
  return "";
}

std::string_view to_string(ProtocolHint hint) {
  switch (hint) {
    case ProtocolHint::detect: return "detect";
    case ProtocolHint::http: return "http";
    case ProtocolHint::http2: return "http2";
    case ProtocolHint::tcp: return "tcp";
  }
  return "";
}

std::string_view to_string(ServiceType type) {
  switch (type) {
    case ServiceType::cluster_ip: return "ClusterIP";
    case ServiceType::node_port: return "NodePort";
    case ServiceType::load_balancer: return "LoadBalancer";
    case ServiceType::external_name: return "ExternalName";
  }
  return "";
}

std::string_view to_string(Health health) {
  switch (health) {
    case Health::ready: return "ready";
    case Health::draining: return "draining";
    case Health::not_ready: return "not ready";
  }
  return "";
}

const Endpoint* ServicePort::find_pickable(const SocketAddress& address) const {
  const auto found = std::ranges::find(pickable(), address, &Endpoint::address);
  return found == pickable().end() ? nullptr : &*found;
}

const ServicePort* Service::find_port(std::uint16_t port, Transport transport) const {
  auto found = std::ranges::find_if(
      ports, [&](const ServicePort& p) { return p.port == port && p.transport == transport; });
  return found == ports.end() ? nullptr : &*found;
}

const ServicePort* Service::find_port(std::string_view port_name) const {
  auto found = std::ranges::find(ports, port_name, &ServicePort::name);
  return found == ports.end() ? nullptr : &*found;
}

const Service* Snapshot::service(const ObjectNameView& name) const {
  const auto* found = services_.find(name);
  return found ? found->get() : nullptr;
}

const Service* Snapshot::service_by_address(const IpAddress& cluster_address) const {
  const auto* found = services_by_address_.find(cluster_address);
  return found ? found->get() : nullptr;
}

std::shared_ptr<const Service> Snapshot::shared_service(const ObjectNameView& name) const {
  const auto* found = services_.find(name);
  return found ? *found : nullptr;
}

const Workload* Snapshot::workload(const ObjectNameView& name) const {
  const auto* found = workloads_.find(name);
  return found ? found->get() : nullptr;
}

const Workload* Snapshot::workload_by_address(const IpAddress& address) const {
  const auto* found = workloads_by_address_.find(address);
  return found ? found->get() : nullptr;
}

void Snapshot::for_each_service(const std::function<void(const Service&)>& visit) const {
  services_.for_each([&](const ObjectName&, const auto& service) { visit(*service); });
}

void Snapshot::for_each_workload(const std::function<void(const Workload&)>& visit) const {
  workloads_.for_each([&](const ObjectName&, const auto& workload) { visit(*workload); });
}

const Door* Snapshot::door(DoorKind kind, Transport transport, const SocketAddress& address) const {
  SocketAddress wanted = address;
  if (kind != DoorKind::load_balancer) wanted.ip = IpAddress();
  auto key = std::tie(kind, transport, wanted);
  auto found = std::ranges::lower_bound(*doors_, key, {}, [](const Door& door) {
    return std::tie(door.kind, door.transport, door.address);
  });
  bool same =
      found != doors_->end() && std::tie(found->kind, found->transport, found->address) == key;
  return same ? &*found : nullptr;
}

}  // namespace tulle::mesh
