// Jobs: pods that run to their end, until enough of them have succeeded or too many have failed.
// What is to be done is decided in job_tally.h, job_policy.h and job_status.h.
#pragma once

#include "controllers/job_status.h"
#include "controllers/shared.h"

#include <set>
#include <string>
#include <vector>

namespace tulle::controllers {

class JobController final {
 public:
  explicit JobController(Shared& shared);
  rt::Task<void> run();

 private:
  void see_job(const ObjectPtr& before, const ObjectPtr& after);
  void see_pod(const ObjectPtr& before, const ObjectPtr& after);
  bool is_counted_by_job(const json::object& pod) const;

  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  rt::Task<ApiResult<Reconciled>> write(ObjectPtr job);
  rt::Task<ApiResult<std::vector<ObjectPtr>>> claim_pods(ObjectPtr job);
  rt::Task<ApiResult<ObjectPtr>> take_in(ObjectPtr job, ObjectPtr pod);
  rt::Task<ApiResult<void>> read_pods(ObjectPtr job);
  rt::Task<ApiResult<void>> carry_out(ObjectPtr job, JobPodPlan plan);
  rt::Task<ApiResult<void>> create_pods(ObjectPtr job, std::vector<json::object> pods);
  rt::Task<ApiResult<void>> end_pods(ObjectPtr job, std::vector<ObjectPtr> pods, bool count);
  rt::Task<ApiResult<void>> end_pod(ObjectPtr job, ObjectPtr pod, bool count);
  rt::Task<ApiResult<void>> untrack(ObjectPtr pod);
  void tell(const JobStatusChange& change, const JobVerdict& verdict);

  rt::Task<ApiResult<Reconciled>> reconcile_abandoned(NamespacedName pod);

  Shared& shared_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
  // Pods that are tracked, though no Job is going to count them any more.
  kubeclient::WorkQueue abandoned_;
  kubeclient::Reconcile reconcile_abandoned_;
  // Uids of Jobs of which pods may have been created without our being told: the server is asked
  // before more are.
  std::set<std::string, std::less<>> unsure_;
};

}  // namespace tulle::controllers
