// EndpointSlices: which pods stand behind a Service, and how they are.
#pragma once

#include "controllers/endpoint_members.h"
#include "controllers/legacy_endpoints.h"
#include "controllers/shared.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::controllers {

// A slice that is there.
struct ExistingSlice {
  ObjectPtr object;
  std::string ports_text;  // as Member::ports_text
  std::vector<IpAddress> addresses;
};

// A slice that shall be there.
struct PlannedSlice {
  ObjectPtr over;  // the object to write it over; null: a new one
  std::vector<MemberPtr> members;
};

struct SlicePlan {
  std::vector<PlannedSlice> slices;
  std::vector<ObjectPtr> unwanted;
};

class EndpointsController final {
 public:
  // As upstream: more endpoints make another slice.
  static constexpr std::size_t endpoints_per_slice_max = 100;

  explicit EndpointsController(Shared& shared);
  rt::Task<void> run();

 private:
  using ChangeTime = std::optional<kube::Time>;
  // What is kept of a service, to do only what a change asks for.
  struct Followed {
    struct Written {
      std::string version;
      std::vector<MemberPtr> members;
    };
    Members members;
    std::map<std::string, Written, std::less<>> slices;  // by name, as last written or found right
  };

  // What a service's endpoints follow from has changed.
  void note_change(const NamespacedName& service);
  ChangeTime take_change_time(const NamespacedName& service);
  void enqueue_services_of(const json::object& pod);
  void follow_node(const std::string& name, std::string_view zone);

  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  std::vector<ExistingSlice> slices_of(const json::object& service, const Followed& followed) const;
  rt::Task<ApiResult<void>> write_slices(ObjectPtr service, std::vector<MemberPtr> members,
                                         ChangeTime changed_at);
  rt::Task<ApiResult<void>> write_slice(ObjectPtr service, PlannedSlice slice,
                                        ChangeTime changed_at);
  rt::Task<ApiResult<void>> remove_slice(ObjectPtr service, ObjectPtr slice);
  // Whether the slice is one that was written here, or found right, as it is.
  bool wrote(const NamespacedName& service, const json::object& slice) const;
  // Whether the slice is as planned already.
  static bool holds(const PlannedSlice& slice, Followed& followed);

  Shared& shared_;
  Zones zones_;
  // The earliest change of each service that is not in its slices yet: they say it in an
  // annotation, which is where tulle_propagation_seconds begins.
  std::map<NamespacedName, kube::Time> changed_at_;
  std::map<NamespacedName, Followed> followed_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
  LegacyEndpoints legacy_;
};

// The slices of a service over these members: grouped by their ports. A member stays in the slice
// that has its address, so that who comes or goes changes one slice; where it is new it takes the
// first free place. A service without members has one slice that says so. Pure.
// REQUIRES: members by ports, then address.
SlicePlan plan_slices(const std::vector<MemberPtr>& members,
                      const std::vector<ExistingSlice>& existing);

// A slice of these members, without metadata.
json::object render_slice(const std::vector<MemberPtr>& members);

}  // namespace tulle::controllers
