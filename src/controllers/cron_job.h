// CronJobs: a Job whenever the schedule says so.
#pragma once

#include "controllers/cron_policy.h"
#include "controllers/shared.h"

#include <vector>

namespace tulle::controllers {

class CronJobController final {
 public:
  explicit CronJobController(Shared& shared);
  rt::Task<void> run();

 private:
  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  rt::Task<ApiResult<json::object>> with_ended(ObjectPtr cron_job);
  rt::Task<ApiResult<void>> remove_old(ObjectPtr cron_job);
  rt::Task<ApiResult<void>> remove_job(ObjectPtr cron_job, ObjectPtr job);
  rt::Task<ApiResult<void>> start_if_due(ObjectPtr cron_job, CronTiming timing);
  rt::Task<ApiResult<void>> start(ObjectPtr cron_job, json::object job, kube::Time due);
  rt::Task<ApiResult<ObjectPtr>> make_job(ObjectPtr cron_job, json::object job);
  std::vector<ObjectPtr> jobs_of(const json::object& cron_job) const;

  Shared& shared_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

}  // namespace tulle::controllers
