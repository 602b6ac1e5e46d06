#include "controllers/job.h"

#include "kube/selector.h"
#include "rt/combine.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 8;
// The cache does not have the Job of a pod yet.
constexpr Duration kLookAgain = std::chrono::seconds(1);
constexpr std::string_view kManager = "kubernetes.io/job-controller";

bool is_ours(const json::object& job) {
  return kube::string_at(job, "spec.managedBy", kManager) == kManager;
}

Duration earlier(Duration a, Duration b) {
  if (a == Duration::zero() || b == Duration::zero()) return std::max(a, b);
  return std::min(a, b);
}

}  // namespace

JobController::JobController(Shared& shared)
    : shared_(shared),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }),
      abandoned_(shared.loop),
      reconcile_abandoned_(
          [this](NamespacedName pod) { return reconcile_abandoned(std::move(pod)); }) {
  shared_.jobs.on_change(
      [this](const ObjectPtr& before, const ObjectPtr& after) { see_job(before, after); });
  shared_.pods.on_change(
      [this](const ObjectPtr& before, const ObjectPtr& after) { see_pod(before, after); });
}

rt::Task<void> JobController::run() {
  rt::Scope workers(shared_.loop);
  workers.spawn(kubeclient::run_workers(shared_.loop, queue_, "job", reconcile_, kConcurrency));
  workers.spawn(kubeclient::run_workers(shared_.loop, abandoned_, "job-tracking",
                                        reconcile_abandoned_, kConcurrency));
  co_await workers.idle();
}

void JobController::see_job(const ObjectPtr& before, const ObjectPtr& after) {
  if (after) queue_.add(kube::key_of(*after));
  const json::object& job = after ? *after : *before;
  const bool gone = !after || (before && kube::uid_of(*before) != kube::uid_of(*after));
  if (gone && before) unsure_.erase(std::string(kube::uid_of(*before)));
  if (!gone && !kube::is_deleting(job) && !is_job_finished(job)) return;
  for (const ObjectPtr& pod : in_namespace(shared_.pods, kube::namespace_of(job))) {
    if (kube::has_finalizer(*pod, kJobTracking) && !is_counted_by_job(*pod)) {
      abandoned_.add(kube::key_of(*pod));
    }
  }
}

void JobController::see_pod(const ObjectPtr& before, const ObjectPtr& after) {
  for (const ObjectPtr& pod : {before, after}) {
    if (!pod) continue;
    if (const auto owner = controller_key(*pod, "Job")) queue_.add(*owner);
  }
  if (!after) return;
  if (kube::has_finalizer(*after, kJobTracking) && !is_counted_by_job(*after)) {
    abandoned_.add(kube::key_of(*after));
  }
  if (kube::controller_of(*after) == nullptr && is_active(*after)) {
    for (const auto& job : in_namespace(shared_.jobs, kube::namespace_of(*after))) {
      queue_.add(kube::key_of(*job));
    }
  }
}

// Whether there is a Job that will release the pod when it has counted it.
bool JobController::is_counted_by_job(const json::object& pod) const {
  const auto owner = controller_key(pod, "Job");
  const ObjectPtr job = owner ? shared_.jobs.get(*owner) : nullptr;
  if (!job || !kube::is_controlled_by(pod, kube::uid_of(*job))) return false;
  return !is_ours(*job) || (!kube::is_deleting(*job) && !is_job_finished(*job));
}

rt::Task<ApiResult<Reconciled>> JobController::reconcile(NamespacedName key) {
  ObjectPtr job = shared_.jobs.get(key);
  if (!job || !is_ours(*job) || kube::is_deleting(*job) || is_job_finished(*job)) {
    co_return Reconciled{};
  }
  if (unsure_.contains(kube::uid_of(*job))) CO_TRY_VOID(co_await read_pods(job));
  CO_TRY(const auto pods, co_await claim_pods(job));
  const kube::Time now = api_now(shared_.loop);
  const JobTally tally = tally_job(*job, pods);
  const JobVerdict verdict = judge_job(*job, tally, now);
  JobPodPlan plan;
  ApiResult<void> done;
  if (verdict.outcome == JobOutcome::goes_on) {
    plan = plan_job_pods(*job, tally, pods, now);
    done = co_await carry_out(job, plan);
  } else {
    done = co_await end_pods(job, tally.strays, false);
    if (done) done = co_await end_pods(job, tally.active, true);
  }
  CO_TRY(Reconciled written, co_await write(job));
  if (!done) co_return done.error();
  written.again_after = earlier(written.again_after, plan.again_after);
  co_return written;
}

// The status, once the pods are as they should be; then those that it knows of are released.
rt::Task<ApiResult<Reconciled>> JobController::write(ObjectPtr job) {
  CO_TRY(const auto pods, co_await claim_pods(job));
  const kube::Time now = api_now(shared_.loop);
  const JobTally tally = tally_job(*job, pods);
  const JobVerdict verdict = judge_job(*job, tally, now);
  JobStatusChange change = next_job_status(*job, tally, verdict, now);
  CO_TRY_VOID(co_await write_status(shared_, shared_.jobs, job, change.job));
  tell(change, verdict);
  std::vector<rt::Task<ApiResult<void>>> tasks;
  tasks.reserve(change.release.size());
  for (ObjectPtr& pod : change.release) tasks.push_back(untrack(std::move(pod)));
  const auto outcomes = co_await rt::all(shared_.loop, std::move(tasks));
  CO_TRY_VOID(first_failure(outcomes));
  const auto deadline = deadline_left(change.job, now);
  co_return Reconciled{.again_after =
                           deadline ? std::max(*deadline, Duration::zero()) : Duration::zero()};
}

// All pods of the Job, orphans that match taken in on the way.
rt::Task<ApiResult<std::vector<ObjectPtr>>> JobController::claim_pods(ObjectPtr job) {
  const auto selector = kube::Selector::from_label_selector(kube::object_at(*job, "spec.selector"));
  if (!selector) co_return selector.error();
  std::vector<ObjectPtr> claimed;
  for (ObjectPtr& pod : in_namespace(shared_.pods, kube::namespace_of(*job))) {
    if (kube::is_controlled_by(*pod, kube::uid_of(*job))) {
      claimed.push_back(std::move(pod));
      continue;
    }
    const bool orphan = kube::controller_of(*pod) == nullptr && is_active(*pod);
    if (!orphan || !selector->matches(kube::labels_of(*pod))) continue;
    CO_TRY(ObjectPtr taken, co_await take_in(job, std::move(pod)));
    claimed.push_back(std::move(taken));
  }
  co_return claimed;
}

// In one write: one that is ours and not tracked would be a stray.
rt::Task<ApiResult<ObjectPtr>> JobController::take_in(ObjectPtr job, ObjectPtr pod) {
  json::object changed = *pod;
  kube::ensure_array(changed, "metadata.ownerReferences")
      .push_back(kube::controller_reference_to(*job));
  kube::add_finalizer(changed, kJobTracking);
  CO_TRY(ObjectPtr written, co_await shared_.client.update(kubeclient::kPods, changed, {}));
  shared_.pods.observe(written);
  co_return written;
}

// Puts what the server has into the cache.
rt::Task<ApiResult<void>> JobController::read_pods(ObjectPtr job) {
  CO_TRY(const kubeclient::List list,
         co_await shared_.client.list(kubeclient::kPods,
                                      {.namespace_ = std::string(kube::namespace_of(*job))}));
  for (const ObjectPtr& pod : list.items) shared_.pods.observe(pod);
  unsure_.erase(std::string(kube::uid_of(*job)));
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> JobController::carry_out(ObjectPtr job, JobPodPlan plan) {
  CO_TRY_VOID(co_await end_pods(job, std::move(plan.end), false));
  if (plan.create.empty()) co_return ApiResult<void>();
  const std::string uid(kube::uid_of(*job));
  unsure_.insert(uid);
  CO_TRY_VOID(co_await create_pods(std::move(job), std::move(plan.create)));
  unsure_.erase(uid);
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> JobController::create_pods(ObjectPtr job,
                                                     std::vector<json::object> pods) {
  std::vector<rt::Task<ApiResult<void>>> tasks;
  tasks.reserve(pods.size());
  for (json::object& pod : pods) tasks.push_back(create_pod(shared_, job, std::move(pod)));
  const auto outcomes = co_await rt::all(shared_.loop, std::move(tasks));
  co_return first_failure(outcomes);
}

rt::Task<ApiResult<void>> JobController::end_pods(ObjectPtr job, std::vector<ObjectPtr> pods,
                                                  bool count) {
  std::vector<rt::Task<ApiResult<void>>> tasks;
  pods.resize(std::min(pods.size(), kJobBurstMax));
  tasks.reserve(pods.size());
  for (ObjectPtr& pod : pods) tasks.push_back(end_pod(job, std::move(pod), count));
  const auto outcomes = co_await rt::all(shared_.loop, std::move(tasks));
  co_return first_failure(outcomes);
}

// `count`: its end is a failure of the Job.
rt::Task<ApiResult<void>> JobController::end_pod(ObjectPtr job, ObjectPtr pod, bool count) {
  if (!count) CO_TRY_VOID(co_await untrack(pod));
  co_return co_await delete_pod(shared_, std::move(job), std::move(pod));
}

rt::Task<ApiResult<void>> JobController::untrack(ObjectPtr pod) {
  json::object changed = *pod;
  if (!kube::remove_finalizer(changed, kJobTracking)) co_return ApiResult<void>();
  const auto written = co_await shared_.client.update(kubeclient::kPods, std::move(changed), {});
  if (!written && !written.error().is(kube::Reason::not_found)) co_return written.error();
  if (written) shared_.pods.observe(*written);
  co_return ApiResult<void>();
}

void JobController::tell(const JobStatusChange& change, const JobVerdict& verdict) {
  if (change.suspended) {
    shared_.events.record(change.job, {.reason = "Suspended", .message = "Job suspended"});
  }
  if (change.resumed) {
    shared_.events.record(change.job, {.reason = "Resumed", .message = "Job resumed"});
  }
  if (!change.finished) return;
  if (verdict.outcome == JobOutcome::failed) {
    shared_.events.record(change.job, {.type = kubeclient::EventType::warning,
                                       .reason = verdict.reason,
                                       .message = verdict.message});
  } else {
    shared_.events.record(change.job, {.reason = "Completed", .message = "Job completed"});
  }
}

rt::Task<ApiResult<Reconciled>> JobController::reconcile_abandoned(NamespacedName key) {
  const ObjectPtr pod = shared_.pods.get(key);
  if (!pod || !kube::has_finalizer(*pod, kJobTracking) || is_counted_by_job(*pod)) {
    co_return Reconciled{};
  }
  const auto owner = controller_key(*pod, "Job");
  if (owner && !shared_.jobs.get(*owner)) {
    // The cache may be behind: what decides is the server's word.
    const auto job = co_await shared_.client.get(
        kubeclient::kJobs, {.namespace_ = owner->namespace_, .name = owner->name});
    if (!job && !job.error().is(kube::Reason::not_found)) co_return job.error();
    if (job && kube::is_controlled_by(*pod, kube::uid_of(**job))) {
      co_return Reconciled{.again_after = kLookAgain};
    }
  }
  CO_TRY_VOID(co_await untrack(pod));
  co_return Reconciled{};
}

}  // namespace tulle::controllers
