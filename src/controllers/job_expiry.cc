#include "controllers/job_expiry.h"

#include "controllers/job_status.h"

#include <boost/json.hpp>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 4;

// How long the Job is kept yet; nothing where that is for ever.
std::optional<Duration> left_of(const json::object& job, kube::Time now) {
  const auto finished = job_finish_time(job);
  if (!finished || kube::find(job, "spec.ttlSecondsAfterFinished") == nullptr) return std::nullopt;
  return *finished + std::chrono::seconds(kube::integer_at(job, "spec.ttlSecondsAfterFinished")) -
         now;
}

}  // namespace

JobExpiryController::JobExpiryController(Shared& shared)
    : shared_(shared),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.jobs.on_change([this](const ObjectPtr&, const ObjectPtr& after) {
    if (after && is_job_finished(*after)) queue_.add(kube::key_of(*after));
  });
}

rt::Task<void> JobExpiryController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "job-expiry", reconcile_, kConcurrency);
}

rt::Task<ApiResult<Reconciled>> JobExpiryController::reconcile(NamespacedName key) {
  const ObjectPtr job = shared_.jobs.get(key);
  if (!job || kube::is_deleting(*job)) co_return Reconciled{};
  const auto left = left_of(*job, api_now(shared_.loop));
  if (!left) co_return Reconciled{};
  if (*left > Duration::zero()) co_return Reconciled{.again_after = *left};
  // Only as it is known here: its time may just have been changed.
  const auto removed = co_await shared_.client.remove(
      kubeclient::kJobs, {.namespace_ = key.namespace_, .name = key.name},
      {.uid = std::string(kube::uid_of(*job)),
       .resource_version = std::string(kube::resource_version_of(*job)),
       .propagation_policy = "Foreground"});
  if (!removed && !removed.error().is(kube::Reason::not_found)) co_return removed.error();
  co_return Reconciled{};
}

}  // namespace tulle::controllers
