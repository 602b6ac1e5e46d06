// Whether a TrafficPolicy is followed, said in its status: the condition Accepted, with the reasons
// of Gateway API's policies (GEP-713): Accepted, Invalid, TargetNotFound, Conflicted.
#pragma once

#include "controllers/shared.h"
#include "kube/scheme.h"

#include <functional>

namespace tulle::controllers {

// What the condition of `policy` has to be. `policies`: all of its namespace. `has_service`:
// whether there is a service of that name in it. `kind`: compile::policy_kind().
kube::Condition accepted_condition(const json::object& policy,
                                   const std::vector<ObjectPtr>& policies,
                                   const std::function<bool(std::string_view)>& has_service,
                                   const kube::KindDefinition& kind);

class TrafficPolicyController final {
 public:
  explicit TrafficPolicyController(Shared& shared);
  rt::Task<void> run();

 private:
  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  // A policy or service that comes or goes may change what holds of any policy beside it.
  void look_again(std::string_view namespace_);

  Shared& shared_;
  kube::KindRef kind_;  // null until there is a policy
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

}  // namespace tulle::controllers
