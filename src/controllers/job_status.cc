#include "controllers/job_status.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

using kube::string_at;

void put_names(json::object& uncounted, std::string_view field,
               const std::set<std::string, std::less<>>& names) {
  if (names.empty()) return;
  uncounted[field] = json::array(names.begin(), names.end());
}

void put_condition(json::object& job, const kube::Condition& condition, kube::Time now) {
  if (!kube::set_condition(job, condition, now)) return;
  for (json::value& each : kube::ensure_array(job, "status.conditions")) {
    json::object* entry = each.if_object();
    if (entry == nullptr || string_at(*entry, "type") != condition.type) continue;
    (*entry)["lastProbeTime"] = kube::format_time(now);
  }
}

bool may_be_released(const JobTally& tally, const JobVerdict& verdict, const ObjectPtr& pod) {
  if (verdict.outcome != JobOutcome::goes_on) return true;
  const auto kept = tally.unreplaced.find(completion_index(*pod).value_or(-1));
  return kept == tally.unreplaced.end() || kept->second != pod;
}

// Names who has ended, and says who may be released when that is written.
void name_ended(const JobTally& tally, const JobVerdict& verdict, JobStatusChange& change) {
  auto succeeded = tally.named_succeeded;
  auto failed = tally.named_failed;
  const auto name = [&](const ObjectPtr& pod, std::set<std::string, std::less<>>* names) {
    if (succeeded.size() + failed.size() >= JobStatusChange::names_max) return;
    if (names != nullptr) names->emplace(kube::uid_of(*pod));
    change.release.push_back(pod);
  };
  const bool indexed = is_indexed(change.job);
  for (const ObjectPtr& pod : tally.succeeded) name(pod, indexed ? nullptr : &succeeded);
  for (const ObjectPtr& pod : tally.failed) {
    if (may_be_released(tally, verdict, pod)) name(pod, &failed);
  }
  for (const ObjectPtr& pod : tally.ignored) {
    if (may_be_released(tally, verdict, pod)) name(pod, nullptr);
  }
  json::object uncounted;
  put_names(uncounted, "succeeded", succeeded);
  put_names(uncounted, "failed", failed);
  kube::set_at(change.job, "status.uncountedTerminatedPods", std::move(uncounted));
}

void put_numbers(const JobTally& tally, json::object& job) {
  json::object& status = kube::ensure_object(job, "status");
  put_count(status, "active", static_cast<std::int64_t>(tally.active.size()));
  put_count(status, "succeeded", tally.counted_succeeded);
  put_count(status, "failed", tally.counted_failed);
  status["ready"] = tally.ready;
  status["terminating"] = tally.terminating;
  if (!is_indexed(job)) return;
  const std::string completed = tally.completed.to_string();
  if (completed.empty()) {
    status.erase("completedIndexes");
  } else {
    status["completedIndexes"] = completed;
  }
  if (has_backoff_per_index(job)) status["failedIndexes"] = tally.failed_indexes.to_string();
}

// Suspending ends a Job's time, resuming begins it anew.
void follow_suspension(JobStatusChange& change, kube::Time now) {
  json::object& job = change.job;
  const bool was = kube::is_condition_true(job, "Suspended");
  if (kube::bool_at(job, "spec.suspend")) {
    change.suspended = !was;
    if (!was) {
      kube::remove_at(job, "status.startTime");
      put_condition(job,
                    {.type = "Suspended",
                     .status = "True",
                     .reason = "JobSuspended",
                     .message = "Job suspended"},
                    now);
    }
    return;
  }
  change.resumed = was;
  if (was) {
    put_condition(
        job,
        {.type = "Suspended", .status = "False", .reason = "JobResumed", .message = "Job resumed"},
        now);
  }
  if (was || kube::find(job, "status.startTime") == nullptr) {
    kube::set_at(job, "status.startTime", json::value(kube::format_time(now)));
  }
}

void put_verdict(const JobTally& tally, const JobVerdict& verdict, JobStatusChange& change,
                 kube::Time now) {
  if (verdict.outcome == JobOutcome::goes_on) return;
  const bool failed = verdict.outcome == JobOutcome::failed;
  kube::Condition condition{.type = failed ? "FailureTarget" : "SuccessCriteriaMet",
                            .status = "True",
                            .reason = verdict.reason,
                            .message = verdict.message};
  put_condition(change.job, condition, now);
  const bool busy = !tally.active.empty() || !tally.strays.empty() || tally.terminating > 0;
  const bool uncounted = !change.release.empty() || !tally.settled.empty() ||
                         !tally.named_succeeded.empty() || !tally.named_failed.empty();
  if (busy || uncounted) return;
  condition.type = failed ? "Failed" : "Complete";
  put_condition(change.job, condition, now);
  if (!failed)
    kube::set_at(change.job, "status.completionTime", json::value(kube::format_time(now)));
  change.finished = true;
}

const json::object* terminal_condition(const json::object& job) {
  for (const std::string_view type : {"Complete", "Failed"}) {
    if (kube::is_condition_true(job, type)) return kube::find_condition(job, type);
  }
  return nullptr;
}

}  // namespace

JobStatusChange next_job_status(const json::object& job, const JobTally& tally,
                                const JobVerdict& verdict, kube::Time now) {
  JobStatusChange change{.job = job, .release = {}};
  put_numbers(tally, change.job);
  name_ended(tally, verdict, change);
  follow_suspension(change, now);
  put_verdict(tally, verdict, change, now);
  change.release.insert(change.release.end(), tally.settled.begin(), tally.settled.end());
  return change;
}

bool is_job_finished(const json::object& job) { return terminal_condition(job) != nullptr; }

std::optional<kube::Time> job_finish_time(const json::object& job) {
  const json::object* condition = terminal_condition(job);
  if (condition == nullptr) return std::nullopt;
  const auto time = kube::parse_time(string_at(*condition, "lastTransitionTime"));
  return time ? std::optional(*time) : std::nullopt;
}

}  // namespace tulle::controllers
