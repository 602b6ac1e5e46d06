// Where a connection or request goes, and why there. Pure: a function of Snapshot and request.
#pragma once

#include "base/address.h"
#include "mesh/snapshot.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace tulle::mesh {

// Where the connection was accepted.
enum class ListenerKind : std::uint8_t {
  capture,          // inside a pod; destination is what the pod dialled
  node_port,        // front door; destination is the local address
  load_balancer,    // front door; destination is the local address
  ingress,          // front door; host and path decide
  tls_passthrough,  // front door; the server name of TLS decides
  health_check,     // front door; leads nowhere, it is answered there (proxy/health_door.h)
};
std::string_view to_string(ListenerKind kind);

struct RouteRequest {
  ListenerKind listener = ListenerKind::capture;
  Transport transport = Transport::tcp;
  SocketAddress destination = {};
  // Of the HTTP request; only ingress looks at them. Host as sent: any case, port allowed. Of TLS
  // that is passed through: the server name.
  std::string_view host = {};
  // Path as sent; a query or fragment is ignored.
  std::string_view path = {};
  std::string_view method = {};
};

enum class RouteReason : std::uint8_t {
  // to a service: pick() an endpoint of `port`
  cluster_address,
  node_port,
  load_balancer,
  ingress_exact_path,
  ingress_prefix_path,
  ingress_default_backend,
  tls_server_name,
  // to `address` itself
  pod_address,  // a pod of this mesh: `workload`
  outside,      // neither a service nor a pod network: leave through the host
  // nowhere: `status`
  unknown_service_address,  // in the service network, but no service has it
  unknown_service_port,     // the service has no such port
  unknown_pod_address,      // in the pod network, but no pod has it
  unknown_door,             // the service of this front-door listener is gone
  no_ingress_rule,          // no host and path match, and there is no default backend
  no_tls_host,              // nobody has the server name any more
  no_ingress_backend,       // a rule matches, but its service or port does not exist
};
std::string_view to_string(RouteReason reason);  // "cluster_address"

enum class RouteTarget : std::uint8_t {
  service,      // pick an endpoint of (service, port)
  workload,     // dial `address` inside the namespace of `workload`
  passthrough,  // dial `address` from the host
  refused,      // answer `status`, or close a TCP connection
};

// Pointers live as long as the Snapshot.
struct Decision {
  RouteReason reason = RouteReason::unknown_service_address;
  const Service* service = nullptr;    // set for target service; where known, for errors too
  const ServicePort* port = nullptr;   // set for target service
  const Workload* workload = nullptr;  // set for target workload
  SocketAddress address = {};          // where to dial for workload and passthrough
  std::uint16_t status = 0;            // HTTP status for target refused
  // Of an Ingress decision: which one ("namespace/name") and its path; empty otherwise.
  std::string_view rule = {};
  std::string_view rule_path = {};

  RouteTarget target() const;
};

Decision route(const Snapshot& snapshot, const RouteRequest& request);

// One sentence for a person, without a full stop: the body of an error, a line of `tulle explain`.
std::string explain(const Decision& decision, const RouteRequest& request);

}  // namespace tulle::mesh
