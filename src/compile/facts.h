// What the mesh needs of each Kubernetes object: read once, when the object changes, so that the
// documents themselves need not be kept. Reading never fails: what is absent or wrong takes its
// default, and what is wrong is also reported as a problem, a sentence for the user.
#pragma once

#include "kube/scheme.h"
#include "kube/time.h"
#include "mesh/ingress_table.h"
#include "mesh/policy.h"
#include "mesh/snapshot.h"
#include "mesh/tls_table.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::compile {

using Problems = std::vector<std::string>;

inline constexpr std::string_view load_balancing_annotation = "tulle.dev/load-balancing";
inline constexpr std::string_view weight_annotation = "tulle.dev/weight";
inline constexpr std::uint16_t weight_max = 1000;
inline constexpr std::string_view priority_annotation = "tulle.dev/priority";
inline constexpr std::uint8_t priority_max = 9;
inline constexpr std::string_view zone_label = "topology.kubernetes.io/zone";
inline constexpr std::string_view tls_passthrough_annotation = "tulle.dev/tls-passthrough";
inline constexpr std::string_view ingress_class_name = "tulle";
inline constexpr std::string_view ingress_controller_name = "tulle.dev/ingress-controller";

mesh::ObjectName object_name(const boost::json::object& object);

// The annotation tulle.dev/priority of a Pod or EndpointSlice: endpoints of a higher number stand
// in for those of lower ones.
std::uint8_t read_priority(const boost::json::object& object, Problems& problems);

// spec.trafficDistribution.
enum class Preference : std::uint8_t { none, same_zone, same_node };

// v1 Service.
struct ServiceFacts {
  mesh::Service service = {};      // without endpoints and hosts
  bool publish_not_ready = false;  // spec.publishNotReadyAddresses
  Preference preference = Preference::none;
};
ServiceFacts read_service(const boost::json::object& object, Problems& problems);

// discovery.k8s.io/v1 EndpointSlice.
struct SliceFacts {
  struct Port {
    std::string name = {};
    std::uint16_t port = 0;
    mesh::Transport transport = mesh::Transport::tcp;
  };
  struct Host {
    IpAddress address = {};
    mesh::Health health = mesh::Health::not_ready;
    mesh::ObjectName workload = {};
    std::string hostname = {};
    std::string node = {};
    std::string zone = {};
    std::vector<std::string> hint_zones = {};  // hints.forZones
    std::vector<std::string> hint_nodes = {};  // hints.forNodes
  };
  mesh::ObjectName service = {};              // empty: belongs to none
  std::uint8_t priority = 0;                  // of its endpoints, by annotation
  std::optional<kube::Time> changed_at = {};  // by annotation
  std::vector<Port> ports = {};
  std::vector<Host> hosts = {};
};
SliceFacts read_slice(const boost::json::object& object, Problems& problems);

// v1 Pod.
// What its annotations say of its endpoints.
struct PodTraffic {
  std::uint16_t weight = 1;
  std::uint8_t priority = 0;

  friend bool operator==(const PodTraffic&, const PodTraffic&) = default;
};
struct PodFacts {
  mesh::Workload workload = {};
  PodTraffic traffic = {};
};
PodFacts read_pod(const boost::json::object& object, std::string_view cluster_domain,
                  Problems& problems);

// networking.k8s.io/v1 Ingress.
struct IngressFacts {
  std::optional<std::string> ingress_class = {};  // none: the default class
  std::string created = {};                       // orders Ingresses that contradict each other
  std::vector<mesh::IngressTable::Rule> rules = {};
  std::optional<mesh::IngressBackend> default_backend = {};
  struct Tls {
    std::vector<std::string> hosts = {};  // lower case
    std::string secret = {};              // in the Ingress' namespace
  };
  std::vector<Tls> tls = {};
  bool tls_passthrough = false;  // by annotation
};
IngressFacts read_ingress(const boost::json::object& object, Problems& problems);

// networking.k8s.io/v1 IngressClass.
struct IngressClassFacts {
  bool is_ours = false;  // by its controller or its name
  bool is_default = false;
};
IngressClassFacts read_ingress_class(const boost::json::object& object);

// v1 Secret of type kubernetes.io/tls. Null where it holds no certificate and key.
std::shared_ptr<const mesh::Certificate> read_certificate(const boost::json::object& object);

// tulle.dev/v1alpha1 TrafficPolicy.
struct PolicyFacts {
  std::string created = {};                     // orders policies for one service: the oldest holds
  std::vector<mesh::ObjectName> services = {};  // that it is for
  std::shared_ptr<const mesh::Policy> policy = {};
};
// Problems name the field; with any the policy is not to be followed. `kind`: policy_kind().
PolicyFacts read_policy(const boost::json::object& object, const kube::KindDefinition& kind,
                        Problems& problems);
// The definition that policies are checked against. It is made by each call: keep it.
kube::KindRef policy_kind();
// Whether a policy created then, and of that name, holds before another for the same service.
bool holds_before(std::string_view created, const mesh::ObjectName& name,
                  std::string_view other_created, const mesh::ObjectName& other_name);

}  // namespace tulle::compile
