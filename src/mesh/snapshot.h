// The mesh as one worker sees it at one moment: services, endpoints, workloads, front doors.
//
// A Snapshot is immutable and shared: std::shared_ptr<const Snapshot>. Hold it while you use any
// pointer or reference taken from it. A long stream need not hold it: what must outlive the choice
// (the in-flight count) has its own owner, see mesh/live_state.h.
// Two successive Snapshots share every service and workload that did not change.
// SnapshotBuilder (mesh/snapshot_builder.h) makes them.
#pragma once

#include "base/address.h"
#include "mesh/consistent_hash.h"
#include "mesh/gate.h"
#include "mesh/latency_histogram.h"
#include "mesh/live_state.h"
#include "mesh/object_name.h"
#include "mesh/policy.h"
#include "mesh/shared_map.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::mesh {

class IngressTable;  // mesh/ingress_table.h
class TlsTable;      // mesh/tls_table.h

enum class Transport : std::uint8_t { tcp, udp };
std::string_view to_string(Transport transport);  // "TCP", "UDP"

// What appProtocol or the port's name says of the bytes. `detect` looks at the first ones, and so
// does `http2`, which says that the endpoints speak HTTP/2 with prior knowledge.
enum class ProtocolHint : std::uint8_t { detect, http, http2, tcp };
std::string_view to_string(ProtocolHint hint);

enum class ServiceType : std::uint8_t { cluster_ip, node_port, load_balancer, external_name };
std::string_view to_string(ServiceType type);  // "ClusterIP"

enum class Health : std::uint8_t {
  ready,      // takes requests
  draining,   // terminating but still serving: takes requests only when nothing is ready
  not_ready,  // never picked
};
std::string_view to_string(Health health);

struct Endpoint {
  SocketAddress address = {};  // the identity, across Snapshots
  Health health = Health::not_ready;
  std::uint16_t weight = 1;   // 1..1000, from the pod annotation tulle.dev/weight
  ObjectName workload = {};   // the pod; empty: not a pod, reach it from the host
  std::string hostname = {};  // pod's hostname if it has a subdomain of this service
  std::string node = {};
  // One of a higher level takes a request only where none of a lower one can: what stands in for
  // others, and what is farther away (compile/nearness.h).
  std::uint8_t level = 0;
  bool local = false;                         // on the node of this proxy
  std::shared_ptr<EndpointState> state = {};  // never null in a Snapshot
  std::shared_ptr<Gate> connections = {};     // where the policy limits them
};

// Endpoints that share the requests among them: those of one level.
struct Tier {
  std::uint32_t begin = 0;  // indexes into the endpoints of the port
  std::uint32_t end = 0;
  // With unequal weights: the endpoints in the order of turns, counted from `begin`.
  std::vector<std::uint32_t> rotation = {};
  // Where the policy is RingHash or Maglev; its endpoints are counted from `begin`.
  std::shared_ptr<const ConsistentHash> hash = {};

  std::uint32_t size() const { return end - begin; }
};

struct ServicePort {
  std::string name = {};  // may be empty if it is the only one
  std::uint16_t port = 0;
  Transport transport = Transport::tcp;
  ProtocolHint protocol = ProtocolHint::detect;
  std::uint16_t node_port = 0;  // 0: none

  // Pickable ones first, each group by level, then by address, those of this node before others.
  std::vector<Endpoint> endpoints = {};
  // How many of them may be picked: the ready ones, or the draining ones if none is ready.
  std::uint32_t pickable_count = 0;
  // The pickable ones, lowest level first; none of them is empty.
  std::vector<Tier> tiers = {};
  // The same of those on this node alone, where a traffic policy of the service is Local: the ready
  // ones, or the draining ones if none of this node is ready.
  std::vector<Tier> local_tiers = {};
  std::shared_ptr<PortState> state = {};             // never null in a Snapshot
  std::shared_ptr<Gate> gate = {};                   // where the policy limits requests
  std::shared_ptr<LatencyHistogram> latencies = {};  // where the policy hedges

  std::span<const Endpoint> pickable() const { return {endpoints.data(), pickable_count}; }
  std::span<const Endpoint> members(const Tier& tier) const {
    return {endpoints.data() + tier.begin, tier.size()};
  }
  // The pickable one at this address, or null.
  const Endpoint* find_pickable(const SocketAddress& address) const;
};

// An address behind a service, whatever its ports: what DNS answers for headless services.
struct ServiceHost {
  IpAddress address = {};
  std::string hostname = {};  // empty: addressed by its dashed address
  bool published = false;     // ready, or the service publishes not-ready addresses
};

struct Service {
  ObjectName name = {};
  ServiceType type = ServiceType::cluster_ip;
  bool headless = false;
  std::vector<IpAddress> cluster_addresses = {};        // empty: headless or ExternalName
  std::vector<IpAddress> load_balancer_addresses = {};  // from status
  std::string external_name = {};                       // lower case, no dot at the end
  bool internal_local = false;  // internalTrafficPolicy: Local; else Cluster
  bool external_local = false;  // externalTrafficPolicy: Local, for node ports and load balancers
  // Where a load balancer before this node asks whether the service is here; 0: nowhere.
  std::uint16_t health_check_node_port = 0;
  LoadBalancing load_balancing = LoadBalancing::least_request;       // by policy or annotation
  std::shared_ptr<const Policy> policy = {};                         // null: none, see the_policy()
  std::optional<std::chrono::seconds> client_affinity_timeout = {};  // sessionAffinity: ClientIP
  std::vector<ServicePort> ports = {};
  std::vector<ServiceHost> hosts = {};  // by address

  const Policy& the_policy() const { return policy ? *policy : Policy::none(); }
  const ServicePort* find_port(std::uint16_t port, Transport transport) const;
  const ServicePort* find_port(std::string_view port_name) const;
};

// A pod as the mesh sees it.
struct Workload {
  ObjectName name = {};
  std::string uid = {};
  std::optional<IpAddress> address = {};  // none: not yet, ended, or not its own (hostNetwork)
  std::string hostname = {};              // spec.hostname, else the pod's name
  std::string subdomain = {};
  std::vector<std::string> search_domains = {};  // in order; lower case, no dot at the end
  std::string service_account = {};
  std::string node = {};

  friend bool operator==(const Workload&, const Workload&) = default;
};

enum class DoorKind : std::uint8_t { node_port, load_balancer, health_check };

// A listener of the front door that a service asks for.
struct Door {
  DoorKind kind = DoorKind::node_port;
  Transport transport = Transport::tcp;
  // Where only a load balancer has an ip of its own: listen on the configured addresses.
  SocketAddress address = {};
  ObjectName service = {};
  std::uint16_t service_port = 0;  // 0: a health check is of all

  friend bool operator==(const Door&, const Door&) = default;
};

// Where a Service listens in pods and nobody takes what comes: a port of a cluster address without
// an endpoint to be picked.
struct UnservedPort {
  Transport transport = Transport::tcp;
  SocketAddress address = {};

  friend auto operator<=>(const UnservedPort&, const UnservedPort&) = default;
};

struct Networks {
  Cidr services{.network = IpAddress::v4(10, 96, 0, 0), .prefix_length = 12};
  Cidr pods{.network = IpAddress::v4(10, 244, 0, 0), .prefix_length = 16};
  std::string cluster_domain = "cluster.local";  // lower case, no dot at the end
};

class Snapshot final {
 public:
  // Grows by one with every build of one builder; 0 is the empty one.
  std::uint64_t generation() const { return generation_; }
  const Networks& networks() const { return networks_; }

  // All return null when there is none. O(1) in the number of services.
  const Service* service(const ObjectNameView& name) const;
  const Service* service_by_address(const IpAddress& cluster_address) const;
  // The same with shared ownership, for whoever must hold a service longer than the Snapshot.
  std::shared_ptr<const Service> shared_service(const ObjectNameView& name) const;
  const Workload* workload(const ObjectNameView& name) const;
  const Workload* workload_by_address(const IpAddress& address) const;
  // Whether any service or workload is in it.
  bool has_namespace(std::string_view name) const { return namespaces_->contains(name); }

  std::size_t service_count() const { return services_.size(); }
  std::size_t workload_count() const { return workloads_.size(); }
  void for_each_service(const std::function<void(const Service&)>& visit) const;
  void for_each_workload(const std::function<void(const Workload&)>& visit) const;

  // Every listener that services ask for, ordered by (kind, transport, address). The same pointer
  // as in the Snapshot before if none changed.
  const std::shared_ptr<const std::vector<Door>>& doors() const { return doors_; }
  // The door that listens at `address` (but for load balancers: any ip, the port decides), or null.
  const Door* door(DoorKind kind, Transport transport, const SocketAddress& address) const;

  // In order. The same pointer as in the Snapshot before if it is the same ones.
  const std::shared_ptr<const std::vector<UnservedPort>>& unserved() const { return unserved_; }

  // The services whose policy has a health check, by name. The same pointer as in the Snapshot
  // before if it is the same ones.
  const std::shared_ptr<const std::vector<ObjectName>>& checked() const { return checked_; }

  const IngressTable& ingress() const { return *ingress_; }
  // The same pointer as in the Snapshot before if nothing in it changed.
  const std::shared_ptr<const TlsTable>& tls() const { return tls_; }

 private:
  friend class SnapshotBuilder;
  Snapshot() = default;

  std::uint64_t generation_ = 0;
  Networks networks_;
  SharedMap<ObjectName, std::shared_ptr<const Service>> services_;
  SharedMap<IpAddress, std::shared_ptr<const Service>> services_by_address_;
  SharedMap<ObjectName, std::shared_ptr<const Workload>> workloads_;
  SharedMap<IpAddress, std::shared_ptr<const Workload>> workloads_by_address_;
  std::shared_ptr<const std::set<std::string, std::less<>>> namespaces_;
  std::shared_ptr<const std::vector<Door>> doors_;
  std::shared_ptr<const std::vector<UnservedPort>> unserved_;
  std::shared_ptr<const IngressTable> ingress_;
  std::shared_ptr<const TlsTable> tls_;
  std::shared_ptr<const std::vector<ObjectName>> checked_;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace tulle::mesh
