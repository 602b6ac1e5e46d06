// EndpointSlices and Endpoints: which pods stand behind a Service, and how they are.
#pragma once

#include "controllers/shared.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::controllers {

// The zone of each node that is in one: its label topology.kubernetes.io/zone.
using Zones = std::map<std::string, std::string, std::less<>>;

class EndpointsController final {
 public:
  // As upstream: more endpoints make another slice.
  static constexpr std::size_t endpoints_per_slice_max = 100;
  // Of Endpoints, which is one object for all.
  static constexpr std::size_t addresses_max = 1000;

  explicit EndpointsController(Shared& shared);
  rt::Task<void> run();

 private:
  using ChangeTime = std::optional<kube::Time>;

  // What a service's endpoints follow from has changed.
  void note_change(const NamespacedName& service);
  ChangeTime take_change_time(const NamespacedName& service);

  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  rt::Task<ApiResult<void>> write_slices(ObjectPtr service, std::vector<json::object> wanted,
                                         ChangeTime changed_at);
  rt::Task<ApiResult<void>> write_slice(ObjectPtr service, ObjectPtr existing, json::object wanted,
                                        ChangeTime changed_at);
  rt::Task<ApiResult<void>> write_endpoints(ObjectPtr service, json::object wanted);
  void enqueue_services_of(const json::object& pod);
  void follow_node(const std::string& name, std::string_view zone);

  Shared& shared_;
  Zones zones_;
  // The earliest change of each service that is not in its slices yet: they say it in an
  // annotation, which is where tulle_propagation_seconds begins.
  std::map<NamespacedName, kube::Time> changed_at_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

// The slices (without metadata) of a service over these pods: grouped by the numbers that its
// target ports have in each pod, in order of address. Where the service prefers near endpoints
// (spec.trafficDistribution) each ready one is hinted to its own zone, or node. Pure.
std::vector<json::object> slices_for(const json::object& service,
                                     const std::vector<ObjectPtr>& pods, const Zones& zones);

// The Endpoints object (without metadata) that says the same.
json::object endpoints_for(const json::object& service, const std::vector<ObjectPtr>& pods);

}  // namespace tulle::controllers
