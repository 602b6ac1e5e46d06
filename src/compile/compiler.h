// Kubernetes objects in, mesh Snapshots out.
//
// Feed it every change of the watched resources, in any order, and build() after each batch: only
// what a change touches is compiled anew. Objects that refer to others which are not there (yet)
// are no error; the Snapshot says what is known now.
#pragma once

#include "compile/facts.h"
#include "compile/nearness.h"
#include "mesh/snapshot_builder.h"

#include <boost/json/fwd.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tulle::compile {

enum class Kind : std::uint8_t {
  service,
  endpoint_slice,
  pod,
  ingress,
  ingress_class,
  traffic_policy,
  secret,
  node,
};
std::string_view to_string(Kind kind);  // "Service"

// What to list and watch for a Compiler.
struct WatchedResource {
  Kind kind;
  std::string_view group;  // "" for the core group
  std::string_view version;
  std::string_view resource;
};
inline constexpr std::array<WatchedResource, 8> watched_resources{{
    {Kind::service, "", "v1", "services"},
    {Kind::endpoint_slice, "discovery.k8s.io", "v1", "endpointslices"},
    {Kind::pod, "", "v1", "pods"},
    {Kind::ingress, "networking.k8s.io", "v1", "ingresses"},
    {Kind::ingress_class, "networking.k8s.io", "v1", "ingressclasses"},
    {Kind::traffic_policy, "tulle.dev", "v1alpha1", "trafficpolicies"},
    {Kind::secret, "", "v1", "secrets"},
    {Kind::node, "", "v1", "nodes"},
}};

// Something in an object that the mesh cannot follow as written, and what it does instead.
struct Problem {
  Kind kind = Kind::service;
  mesh::ObjectName object = {};
  std::string text = {};
};

// A resource of one thread. Keeps what it needs of the objects, not the objects.
class Compiler final {
 public:
  // `here`: where the proxy is that the Snapshots are for; an empty zone: that of its Node, by the
  // label topology.kubernetes.io/zone.
  explicit Compiler(mesh::Networks networks = {}, Place here = {});
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  // Adds or replaces the object, of which metadata.name (and namespace) must be there.
  void upsert(Kind kind, const boost::json::object& object);
  // Does nothing when absent. IngressClasses have an empty namespace_name.
  void remove(Kind kind, const mesh::ObjectName& name);

  // The Snapshot of all that was fed. The same pointer as before if nothing in it changed.
  mesh::SnapshotPtr build();

  // When the changes of endpoints were made that came between the last build() and the one before,
  // as far as their EndpointSlices say so.
  const std::vector<kube::Time>& change_times() const { return change_times_of_last_; }

  // All that is wrong now, ordered by kind, object and text.
  std::vector<Problem> problems() const;

 private:
  using ObjectName = mesh::ObjectName;
  using ProblemKey = std::pair<Kind, ObjectName>;
  template <class T>
  using ByName = std::unordered_map<ObjectName, T>;

  void upsert_slice(const ObjectName& name, SliceFacts facts);
  void upsert_pod(PodFacts facts);
  void upsert_policy(const ObjectName& name, const boost::json::object& object, Problems& found);
  void remove_slice(const ObjectName& name);
  void remove_pod(const ObjectName& name);
  void remove_policy(const ObjectName& name);
  std::shared_ptr<const mesh::Policy> policy_of(const ObjectName& service) const;

  void upsert_node(const ObjectName& name, const boost::json::object& object);
  void set_zone(std::string of_node);

  void compile_service(const ObjectName& name);
  void add_slice(mesh::Service& service, const SliceFacts& slice, const ServiceFacts& of,
                 bool by_hints) const;
  using IngressEntry = std::pair<const ObjectName*, const IngressFacts*>;
  void compile_ingress();
  void compile_tls(const std::vector<IngressEntry>& oldest_first);
  void upsert_secret(const ObjectName& name, const boost::json::object& object);
  bool is_ours(const IngressFacts& ingress) const;
  PodTraffic traffic_of(const ObjectName& pod) const;

  mesh::Networks networks_;
  Place here_;
  const bool zone_is_told_;
  mesh::SnapshotBuilder builder_;
  mesh::SnapshotPtr last_;
  std::vector<kube::Time> change_times_;
  std::vector<kube::Time> change_times_of_last_;

  ByName<ServiceFacts> services_;
  ByName<SliceFacts> slices_;
  ByName<std::set<ObjectName>> slices_of_service_;
  ByName<PodFacts> pods_;
  // Which services a pod's weight and priority touch. May name a service that the pod has left:
  // that costs one needless compilation and is forgotten with the pod.
  ByName<std::set<ObjectName>> services_of_pod_;
  ByName<PolicyFacts> policies_;
  ByName<std::set<ObjectName>> policies_of_service_;
  kube::KindRef policy_kind_;  // null: none was fed yet
  std::map<ObjectName, IngressFacts> ingresses_;
  std::map<ObjectName, IngressClassFacts> ingress_classes_;

  ByName<std::shared_ptr<const mesh::Certificate>> certificates_;
  std::shared_ptr<const mesh::TlsTable> tls_;  // of the last build()

  std::set<ObjectName> dirty_services_;
  bool dirty_ingress_ = false;
  bool changed_ = true;  // build() owes a new Snapshot
  std::map<ProblemKey, Problems> problems_;
  std::vector<std::pair<ObjectName, std::string>> ingress_conflicts_;  // of the last build()
};

}  // namespace tulle::compile
