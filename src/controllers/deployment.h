// Deployments: ReplicaSets for each revision of the template, and the way from one to the next.
#pragma once

#include "controllers/shared.h"

#include <vector>

namespace tulle::controllers {

class DeploymentController final {
 public:
  explicit DeploymentController(Shared& shared);
  rt::Task<void> run();

 private:
  // The sets of one deployment: the one of the current template, or null, and the others, oldest
  // first.
  struct Sets {
    ObjectPtr newest;
    std::vector<ObjectPtr> old;
  };

  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  rt::Task<ApiResult<Sets>> claim_sets(ObjectPtr deployment);
  rt::Task<ApiResult<void>> advance(ObjectPtr deployment, Sets& sets);
  rt::Task<ApiResult<void>> ensure_newest(ObjectPtr deployment, Sets& sets, std::int64_t replicas);
  rt::Task<ApiResult<void>> create_newest(ObjectPtr deployment, Sets& sets, std::int64_t replicas,
                                          std::int64_t revision);
  rt::Task<ApiResult<void>> follow_scale(ObjectPtr deployment, Sets& sets);
  rt::Task<ApiResult<void>> roll(ObjectPtr deployment, Sets& sets);
  rt::Task<ApiResult<void>> recreate(ObjectPtr deployment, Sets& sets);
  rt::Task<ApiResult<void>> scale(ObjectPtr deployment, ObjectPtr& set, std::int64_t replicas);
  rt::Task<ApiResult<void>> forget_history(ObjectPtr deployment, const Sets& sets);
  rt::Task<ApiResult<Duration>> update_status(ObjectPtr deployment, const Sets& sets);
  void set_progress(json::object& deployment, const json::object& before, const Sets& sets,
                    Duration& again_after) const;
  bool has_pods(const Sets& sets) const;

  Shared& shared_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

}  // namespace tulle::controllers
