#include "mesh/route.h"

#include "mesh/ingress_table.h"
#include "mesh/tls_table.h"

#include <fmt/format.h>

namespace tulle::mesh {
namespace {

constexpr std::uint16_t status_not_found = 404;
constexpr std::uint16_t status_bad_gateway = 502;
constexpr std::uint16_t status_unavailable = 503;

Decision refuse(RouteReason reason, std::uint16_t status, const Service* service = nullptr) {
  return {.reason = reason, .service = service, .status = status};
}

Decision route_capture(const Snapshot& snapshot, const RouteRequest& request) {
  const SocketAddress& to = request.destination;
  if (const Service* service = snapshot.service_by_address(to.ip)) {
    const ServicePort* port = service->find_port(to.port, request.transport);
    if (!port) return refuse(RouteReason::unknown_service_port, status_bad_gateway, service);
    return {.reason = RouteReason::cluster_address, .service = service, .port = port};
  }
  if (const Workload* workload = snapshot.workload_by_address(to.ip)) {
    return {.reason = RouteReason::pod_address, .workload = workload, .address = to};
  }
  if (snapshot.networks().services.contains(to.ip)) {
    return refuse(RouteReason::unknown_service_address, status_bad_gateway);
  }
  if (snapshot.networks().pods.contains(to.ip)) {
    return refuse(RouteReason::unknown_pod_address, status_bad_gateway);
  }
  return {.reason = RouteReason::outside, .address = to};
}

Decision route_door(const Snapshot& snapshot, const RouteRequest& request, DoorKind kind) {
  const Door* door = snapshot.door(kind, request.transport, request.destination);
  const Service* service = door ? snapshot.service(door->service) : nullptr;
  const ServicePort* port =
      service ? service->find_port(door->service_port, request.transport) : nullptr;
  if (!port) return refuse(RouteReason::unknown_door, status_unavailable, service);
  return {
      .reason = kind == DoorKind::node_port ? RouteReason::node_port : RouteReason::load_balancer,
      .service = service,
      .port = port};
}

RouteReason reason_of(const IngressMatch& match) {
  if (match.is_default) return RouteReason::ingress_default_backend;
  switch (match.type) {
    case PathType::exact: return RouteReason::ingress_exact_path;
    case PathType::prefix: break;
  }
  return RouteReason::ingress_prefix_path;
}

const ServicePort* backend_port(const Service* service, const IngressBackend& backend) {
  if (!service) return nullptr;
  return backend.port_name.empty() ? service->find_port(backend.port_number, Transport::tcp)
                                   : service->find_port(backend.port_name);
}

Decision route_ingress(const Snapshot& snapshot, const RouteRequest& request) {
  auto match = snapshot.ingress().match(request.host, request.path);
  if (!match) return refuse(RouteReason::no_ingress_rule, status_not_found);
  const Service* service = snapshot.service(match->backend->service);
  const ServicePort* port = backend_port(service, *match->backend);
  Decision decision{.service = service, .port = port};
  decision.rule = match->ingress;
  decision.rule_path = match->path;
  decision.reason = port ? reason_of(*match) : RouteReason::no_ingress_backend;
  decision.status = port ? 0 : status_unavailable;
  return decision;
}

Decision route_tls(const Snapshot& snapshot, const RouteRequest& request) {
  const TlsHost* host = snapshot.tls()->find(request.host);
  if (!host || host->certificate) return refuse(RouteReason::no_tls_host, status_not_found);
  const Service* service = snapshot.service(host->backend.service);
  const ServicePort* port = backend_port(service, host->backend);
  Decision decision{.service = service, .port = port};
  decision.rule = host->ingress;
  decision.reason = port ? RouteReason::tls_server_name : RouteReason::no_ingress_backend;
  decision.status = port ? 0 : status_unavailable;
  return decision;
}

}  // namespace

RouteTarget Decision::target() const {
  switch (reason) {
    case RouteReason::cluster_address:
    case RouteReason::node_port:
    case RouteReason::load_balancer:
    case RouteReason::ingress_exact_path:
    case RouteReason::ingress_prefix_path:
    case RouteReason::ingress_default_backend:
    case RouteReason::tls_server_name: return RouteTarget::service;
    case RouteReason::pod_address: return RouteTarget::workload;
    case RouteReason::outside: return RouteTarget::passthrough;
    case RouteReason::unknown_service_address:
    case RouteReason::unknown_service_port:
    case RouteReason::unknown_pod_address:
    case RouteReason::unknown_door:
    case RouteReason::no_ingress_rule:
    case RouteReason::no_tls_host:
    case RouteReason::no_ingress_backend: break;
  }
  return RouteTarget::refused;
}

Decision route(const Snapshot& snapshot, const RouteRequest& request) {
  switch (request.listener) {
    case ListenerKind::capture: return route_capture(snapshot, request);
    case ListenerKind::node_port: return route_door(snapshot, request, DoorKind::node_port);
    case ListenerKind::load_balancer: return route_door(snapshot, request, DoorKind::load_balancer);
    case ListenerKind::tls_passthrough: return route_tls(snapshot, request);
    case ListenerKind::health_check: return {.reason = RouteReason::unknown_door};
    case ListenerKind::ingress: break;
  }
  return route_ingress(snapshot, request);
}

std::string_view to_string(ListenerKind kind) {
  switch (kind) {
    case ListenerKind::capture: return "capture";
    case ListenerKind::node_port: return "node_port";
    case ListenerKind::load_balancer: return "load_balancer";
    case ListenerKind::ingress: return "ingress";
    case ListenerKind::tls_passthrough: return "tls_passthrough";
    case ListenerKind::health_check: return "health_check";
  }
  return "";
}

std::string_view to_string(RouteReason reason) {
  switch (reason) {
    case RouteReason::cluster_address: return "cluster_address";
    case RouteReason::node_port: return "node_port";
    case RouteReason::load_balancer: return "load_balancer";
    case RouteReason::ingress_exact_path: return "ingress_exact_path";
    case RouteReason::ingress_prefix_path: return "ingress_prefix_path";
    case RouteReason::ingress_default_backend: return "ingress_default_backend";
    case RouteReason::tls_server_name: return "tls_server_name";
    case RouteReason::no_tls_host: return "no_tls_host";
    case RouteReason::pod_address: return "pod_address";
    case RouteReason::outside: return "outside";
    case RouteReason::unknown_service_address: return "unknown_service_address";
    case RouteReason::unknown_service_port: return "unknown_service_port";
    case RouteReason::unknown_pod_address: return "unknown_pod_address";
    case RouteReason::unknown_door: return "unknown_door";
    case RouteReason::no_ingress_rule: return "no_ingress_rule";
    case RouteReason::no_ingress_backend: return "no_ingress_backend";
  }
  return "";
}

std::string explain(const Decision& decision, const RouteRequest& request) {
  std::string dialled = request.destination.to_string();
  std::string service = decision.service ? decision.service->name.to_string() : "";
  switch (decision.reason) {
    case RouteReason::cluster_address: return fmt::format("{} is service {}", dialled, service);
    case RouteReason::node_port:
      return fmt::format("node port {} is service {}", request.destination.port, service);
    case RouteReason::load_balancer:
      return fmt::format("load balancer {} is service {}", dialled, service);
    case RouteReason::ingress_exact_path:
      return fmt::format("ingress {}: exact path {} goes to service {}", decision.rule,
                         decision.rule_path, service);
    case RouteReason::ingress_prefix_path:
      return fmt::format("ingress {}: prefix {} goes to service {}", decision.rule,
                         decision.rule_path, service);
    case RouteReason::ingress_default_backend:
      return fmt::format("ingress {}: the default backend is service {}", decision.rule, service);
    case RouteReason::tls_server_name:
      return fmt::format("ingress {}: TLS for {} is passed through to service {}", decision.rule,
                         request.host, service);
    case RouteReason::no_tls_host:
      return fmt::format("no ingress passes TLS for \"{}\" through", request.host);
    case RouteReason::pod_address:
      return fmt::format("{} is pod {}", dialled,
                         decision.workload ? decision.workload->name.to_string() : "");
    case RouteReason::outside: return fmt::format("{} is outside the mesh", dialled);
    case RouteReason::unknown_service_address: return fmt::format("no service has {}", dialled);
    case RouteReason::unknown_service_port:
      return fmt::format("service {} has no port {}/{}", service, request.destination.port,
                         to_string(request.transport));
    case RouteReason::unknown_pod_address: return fmt::format("no pod has {}", dialled);
    case RouteReason::unknown_door:
      return fmt::format("no service listens at {} any more", dialled);
    case RouteReason::no_ingress_rule:
      return fmt::format("no ingress rule matches host \"{}\" and path \"{}\"", request.host,
                         request.path);
    case RouteReason::no_ingress_backend:
      return fmt::format("ingress {}: the service or port behind \"{}\" does not exist",
                         decision.rule,
                         decision.rule_path.empty() ? request.host : decision.rule_path);
  }
  return "";
}

}  // namespace tulle::mesh
