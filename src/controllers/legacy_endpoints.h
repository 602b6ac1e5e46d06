// Endpoints, the older form of what EndpointSlices say. One object holds all addresses of a
// Service, so that writing it costs as much as the Service is large, however little has changed;
// and hardly anybody reads it. So it follows at a distance: what changes within a while is told
// together.
#pragma once

#include "controllers/endpoint_members.h"
#include "controllers/shared.h"
#include "rt/scope.h"

#include <map>
#include <vector>

namespace tulle::controllers {

class LegacyEndpoints final {
 public:
  // As upstream; what is beyond is left out.
  static constexpr std::size_t addresses_max = 1000;
  // How long a change waits for others: this, and some more for each address.
  static constexpr Duration pause_min = std::chrono::milliseconds(100);
  static constexpr Duration pause_per_address = std::chrono::milliseconds(5);

  explicit LegacyEndpoints(Shared& shared);
  void start();

  // The service has these members now. By ports.
  void follow(const ObjectPtr& service, std::vector<MemberPtr> members);

 private:
  struct Wanted {
    ObjectPtr service;
    std::vector<MemberPtr> members;
  };

  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  rt::Task<ApiResult<void>> write(ObjectPtr service, json::object wanted);

  Shared& shared_;
  std::map<NamespacedName, Wanted> wanted_;  // not written yet
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
  rt::Scope scope_;
};

// The Endpoints object of these members (without metadata). By ports. Pure.
json::object render_endpoints(const std::vector<MemberPtr>& members);

}  // namespace tulle::controllers
