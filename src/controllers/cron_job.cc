#include "controllers/cron_job.h"

#include "base/format.h"
#include "controllers/job_status.h"

#include <boost/json.hpp>

#include <algorithm>
#include <tuple>

namespace tulle::controllers {

namespace {

using kube::string_at;

constexpr std::size_t kConcurrency = 4;
// Timers stand still while the machine sleeps, and clocks on the wall may be put right.
constexpr Duration kLookAgainMax = std::chrono::minutes(1);
// As near to its time as upstream: a little after it, whatever the clock's grain.
constexpr Duration kLookAgainMin = std::chrono::milliseconds(100);

bool is_running(const json::object& cron_job, std::string_view uid) {
  return std::ranges::any_of(kube::array_at(cron_job, "status.active"), [uid](const auto& each) {
    return string_at(kube::object_or_empty(each), "uid") == uid;
  });
}

json::object reference_to(const json::object& job) {
  return {{"apiVersion", kube::api_version_of(job)},
          {"kind", kube::kind_of(job)},
          {"name", kube::name_of(job)},
          {"namespace", kube::namespace_of(job)},
          {"uid", kube::uid_of(job)},
          {"resourceVersion", kube::resource_version_of(job)}};
}

std::vector<ObjectPtr> ended_ones(const std::vector<ObjectPtr>& jobs, std::string_view condition) {
  std::vector<ObjectPtr> found;
  std::ranges::copy_if(jobs, std::back_inserter(found), [condition](const ObjectPtr& job) {
    return kube::is_condition_true(*job, condition) && !kube::is_deleting(*job);
  });
  std::ranges::sort(found, {}, [](const ObjectPtr& job) {
    return std::tuple(string_at(*job, "status.startTime"), kube::name_of(*job));
  });
  return found;
}

}  // namespace

CronJobController::CronJobController(Shared& shared)
    : shared_(shared),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.cron_jobs.on_change([this](const ObjectPtr&, const ObjectPtr& after) {
    if (after) queue_.add(kube::key_of(*after));
  });
  shared_.jobs.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    for (const ObjectPtr& job : {before, after}) {
      if (!job) continue;
      if (const auto owner = controller_key(*job, "CronJob")) queue_.add(*owner);
    }
  });
}

rt::Task<void> CronJobController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "cronjob", reconcile_, kConcurrency);
}

std::vector<ObjectPtr> CronJobController::jobs_of(const json::object& cron_job) const {
  std::vector<ObjectPtr> jobs = in_namespace(shared_.jobs, kube::namespace_of(cron_job));
  std::erase_if(jobs, [&cron_job](const ObjectPtr& job) {
    return !kube::is_controlled_by(*job, kube::uid_of(cron_job));
  });
  return jobs;
}

rt::Task<ApiResult<Reconciled>> CronJobController::reconcile(NamespacedName key) {
  ObjectPtr cron_job = shared_.cron_jobs.get(key);
  if (!cron_job || kube::is_deleting(*cron_job)) co_return Reconciled{};
  CO_TRY(json::object changed, co_await with_ended(cron_job));
  CO_TRY_VOID(co_await write_status(shared_, shared_.cron_jobs, cron_job, std::move(changed)));
  CO_TRY_VOID(co_await remove_old(cron_job));
  cron_job = shared_.cron_jobs.get(key);
  if (!cron_job || kube::bool_at(*cron_job, "spec.suspend")) co_return Reconciled{};
  auto timing = read_cron_timing(*cron_job);
  if (const auto* complaint = std::get_if<kubeclient::EventText>(&timing)) {
    shared_.events.record(*cron_job, *complaint);
    co_return Reconciled{};
  }
  const CronTiming& known = std::get<CronTiming>(timing);
  CO_TRY_VOID(co_await start_if_due(cron_job, known));
  const kube::Time now = api_now(shared_.loop);
  const auto next = known.schedule.next_after(now, known.zone);
  if (!next) co_return Reconciled{};
  co_return Reconciled{.again_after =
                           std::min<Duration>(kLookAgainMax, *next - now + kLookAgainMin)};
}

// The CronJob without those of status.active that have ended.
rt::Task<ApiResult<json::object>> CronJobController::with_ended(ObjectPtr cron_job) {
  json::object changed = *cron_job;
  json::array running;
  for (const json::value& each : kube::array_at(*cron_job, "status.active")) {
    const json::object& reference = kube::object_or_empty(each);
    const std::string name(string_at(reference, "name"));
    const NamespacedName key{.namespace_ = std::string(kube::namespace_of(*cron_job)),
                             .name = name};
    const ObjectPtr job = shared_.jobs.get(key);
    if (!job || kube::uid_of(*job) != string_at(reference, "uid")) {
      shared_.events.record(
          *cron_job, {.reason = "MissingJob", .message = "Active job went missing: " + name});
    } else if (!is_job_finished(*job)) {
      running.push_back(each);
    } else {
      const bool complete = kube::is_condition_true(*job, "Complete");
      shared_.events.record(*cron_job,
                            {.reason = "SawCompletedJob",
                             .message = fmt::format("Saw completed job: {}, condition: {}", name,
                                                    complete ? "Complete" : "Failed")});
      // Texts of RFC 3339 compare as times do.
      const std::string_view at = string_at(*job, "status.completionTime");
      if (complete && at > string_at(changed, "status.lastSuccessfulTime")) {
        kube::set_at(changed, "status.lastSuccessfulTime", json::value(at));
      }
    }
  }
  for (const ObjectPtr& job : jobs_of(*cron_job)) {
    if (is_job_finished(*job) || is_running(*cron_job, kube::uid_of(*job))) continue;
    shared_.events.record(*cron_job,
                          {.type = kubeclient::EventType::warning,
                           .reason = "UnexpectedJob",
                           .message = fmt::format("Saw a job that the controller did not create or "
                                                  "forgot: {}",
                                                  kube::name_of(*job))});
  }
  if (running.empty()) {
    kube::remove_at(changed, "status.active");
  } else {
    kube::set_at(changed, "status.active", std::move(running));
  }
  co_return changed;
}

// As far as the history is longer than it is to be.
rt::Task<ApiResult<void>> CronJobController::remove_old(ObjectPtr cron_job) {
  struct Row {
    std::string_view condition, limit;
  };
  for (const Row& row : {Row{"Complete", "spec.successfulJobsHistoryLimit"},
                         Row{"Failed", "spec.failedJobsHistoryLimit"}}) {
    if (kube::find(*cron_job, row.limit) == nullptr) continue;
    const auto kept = static_cast<std::size_t>(kube::integer_at(*cron_job, row.limit));
    const std::vector<ObjectPtr> ended = ended_ones(jobs_of(*cron_job), row.condition);
    for (std::size_t i = 0; i + kept < ended.size(); ++i) {
      CO_TRY_VOID(co_await remove_job(cron_job, ended[i]));
    }
  }
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> CronJobController::remove_job(ObjectPtr cron_job, ObjectPtr job) {
  const auto key = kube::key_of(*job);
  const auto removed = co_await shared_.client.remove(
      kubeclient::kJobs, {.namespace_ = key.namespace_, .name = key.name},
      {.uid = std::string(kube::uid_of(*job)), .propagation_policy = "Background"});
  if (!removed && !removed.error().is(kube::Reason::not_found)) {
    shared_.events.record(*cron_job, {.type = kubeclient::EventType::warning,
                                      .reason = "FailedDelete",
                                      .message = "Deleted job: " + removed.error().message});
    co_return removed.error();
  }
  shared_.events.record(*cron_job, {.reason = "SuccessfulDelete",
                                    .message = fmt::format("Deleted job {}", key.name)});
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> CronJobController::start_if_due(ObjectPtr cron_job, CronTiming timing) {
  const CronDue due = find_cron_due(*cron_job, timing, api_now(shared_.loop));
  if (due.many_missed) {
    shared_.events.record(*cron_job,
                          {.type = kubeclient::EventType::warning,
                           .reason = "TooManyMissedTimes",
                           .message = "too many missed start times. Set or decrease "
                                      ".spec.startingDeadlineSeconds or check clock skew"});
  }
  if (!due.time) co_return ApiResult<void>();
  const std::string_view policy = string_at(*cron_job, "spec.concurrencyPolicy");
  const json::array& active = kube::array_at(*cron_job, "status.active");
  if (policy == "Forbid" && !active.empty()) {
    shared_.events.record(*cron_job, {.reason = "JobAlreadyActive",
                                      .message = "Not starting job because prior execution is "
                                                 "running and concurrency policy is Forbid"});
    co_return ApiResult<void>();
  }
  json::object job = make_cron_run(*cron_job, timing, *due.time);
  if (policy == "Replace") {
    for (const ObjectPtr& each : jobs_of(*cron_job)) {
      const bool other = kube::name_of(*each) != kube::name_of(job);
      if (other && is_running(*cron_job, kube::uid_of(*each)) && !kube::is_deleting(*each)) {
        CO_TRY_VOID(co_await remove_job(cron_job, each));
      }
    }
  }
  co_return co_await start(cron_job, std::move(job), *due.time);
}

rt::Task<ApiResult<void>> CronJobController::start(ObjectPtr cron_job, json::object job,
                                                   kube::Time due) {
  CO_TRY(const ObjectPtr made, co_await make_job(cron_job, std::move(job)));
  json::object changed = *cron_job;
  if (!is_job_finished(*made) && !is_running(changed, kube::uid_of(*made))) {
    kube::ensure_array(changed, "status.active").push_back(reference_to(*made));
  }
  kube::set_at(changed, "status.lastScheduleTime", json::value(kube::format_time(due)));
  co_return co_await write_status(shared_, shared_.cron_jobs, cron_job, std::move(changed));
}

// One that is there already was made by us when we could not write that down.
rt::Task<ApiResult<ObjectPtr>> CronJobController::make_job(ObjectPtr cron_job, json::object job) {
  const kubeclient::ObjectKey key{.namespace_ = std::string(kube::namespace_of(job)),
                                  .name = std::string(kube::name_of(job))};
  auto made = co_await shared_.client.create(kubeclient::kJobs, std::move(job));
  if (!made && made.error().is(kube::Reason::already_exists)) {
    CO_TRY(const ObjectPtr there, co_await shared_.client.get(kubeclient::kJobs, key));
    if (kube::is_controlled_by(*there, kube::uid_of(*cron_job))) {
      shared_.jobs.observe(there);
      co_return there;
    }
  }
  if (!made) {
    shared_.events.record(*cron_job, {.type = kubeclient::EventType::warning,
                                      .reason = "FailedCreate",
                                      .message = "Error creating job: " + made.error().message});
    co_return made.error();
  }
  shared_.jobs.observe(*made);
  shared_.events.record(*cron_job, {.reason = "SuccessfulCreate",
                                    .message = fmt::format("Created job {}", key.name)});
  co_return *std::move(made);
}

}  // namespace tulle::controllers
