#include "controllers/job_policy.h"

#include "base/format.h"
#include "controllers/job_pods.h"
#include "controllers/replica_set.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

using kube::integer_at;
using kube::object_or_empty;
using kube::string_at;

JobVerdict failed(std::string reason, std::string message) {
  return {
      .outcome = JobOutcome::failed, .reason = std::move(reason), .message = std::move(message)};
}

JobVerdict complete(std::string reason, std::string message) {
  return {
      .outcome = JobOutcome::complete, .reason = std::move(reason), .message = std::move(message)};
}

std::optional<JobVerdict> judged_before(const json::object& job) {
  struct Row {
    std::string_view condition;
    JobOutcome outcome;
  };
  for (const Row& row : {Row{"FailureTarget", JobOutcome::failed},
                         Row{"SuccessCriteriaMet", JobOutcome::complete}}) {
    if (!kube::is_condition_true(job, row.condition)) continue;
    const json::object& condition = *kube::find_condition(job, row.condition);
    return JobVerdict{.outcome = row.outcome,
                      .reason = std::string(string_at(condition, "reason")),
                      .message = std::string(string_at(condition, "message"))};
  }
  return std::nullopt;
}

// Restarts in place count like pods that fail.
bool restarts_reach_limit(const json::object& job, const JobTally& tally) {
  if (string_at(job, "spec.template.spec.restartPolicy") != "OnFailure") return false;
  std::int64_t restarts = 0;
  for (const ObjectPtr& pod : tally.active) {
    for (const auto* list : {"status.initContainerStatuses", "status.containerStatuses"}) {
      for (const json::value& each : kube::array_at(*pod, list)) {
        restarts += integer_at(object_or_empty(each), "restartCount");
      }
    }
  }
  return restarts > 0 && restarts >= integer_at(job, "spec.backoffLimit");
}

std::optional<JobVerdict> judge_failures(const json::object& job, const JobTally& tally,
                                         kube::Time now) {
  for (const ObjectPtr& pod : tally.failed) {
    FailureVerdict verdict = judge_failure(job, *pod);
    if (verdict.action == FailureAction::fail_job) {
      return failed("PodFailurePolicy", std::move(verdict.message));
    }
  }
  if (tally.failed_total > integer_at(job, "spec.backoffLimit", 6) ||
      restarts_reach_limit(job, tally)) {
    return failed("BackoffLimitExceeded", "Job has reached the specified backoff limit");
  }
  const auto left = deadline_left(job, now);
  if (left && *left <= Duration::zero()) {
    return failed("DeadlineExceeded", "Job was active longer than specified deadline");
  }
  if (!has_backoff_per_index(job)) return std::nullopt;
  const std::int64_t failures = tally.failed_indexes.size();
  const json::value* failures_max = kube::find(job, "spec.maxFailedIndexes");
  if (failures_max != nullptr && failures > integer_at(job, "spec.maxFailedIndexes")) {
    return failed("MaxFailedIndexesExceeded",
                  "Job has exceeded the specified maximal number of failed indexes");
  }
  if (failures > 0 && failures + tally.succeeded_total >= integer_at(job, "spec.completions")) {
    return failed("FailedIndexes", "Job has failed indexes");
  }
  return std::nullopt;
}

bool fits_success_rule(const json::object& job, const json::object& rule, const IndexSet& done) {
  const std::int64_t completions = integer_at(job, "spec.completions");
  const bool has_count = kube::find(rule, "succeededCount") != nullptr;
  const std::int64_t count = integer_at(rule, "succeededCount");
  if (kube::find(rule, "succeededIndexes") == nullptr) return has_count && done.size() >= count;
  const auto wanted = IndexSet::parse(string_at(rule, "succeededIndexes"), completions);
  if (!wanted) return false;
  return done.common(*wanted) >= (has_count ? count : wanted->size());
}

std::optional<JobVerdict> judge_success(const json::object& job, const JobTally& tally) {
  std::size_t number = 0;
  for (const json::value& rule : kube::array_at(job, "spec.successPolicy.rules")) {
    if (fits_success_rule(job, object_or_empty(rule), tally.completed)) {
      return complete("SuccessPolicy", fmt::format("Matched rules at index {}", number));
    }
    ++number;
  }
  // Without a number of completions the first success says that there is no work left, and those
  // that are still at it come to their end.
  const bool reached = kube::find(job, "spec.completions") == nullptr
                           ? tally.succeeded_total > 0 && tally.active.empty()
                           : tally.succeeded_total >= integer_at(job, "spec.completions");
  if (!reached) return std::nullopt;
  return complete("CompletionsReached", "Reached expected number of succeeded pods");
}

std::int64_t wanted_active(const json::object& job, const JobTally& tally) {
  const std::int64_t parallelism = integer_at(job, "spec.parallelism", 1);
  if (kube::find(job, "spec.completions") == nullptr) {
    // Whoever works on the last of it may go on, as far as may be.
    const auto active = static_cast<std::int64_t>(tally.active.size());
    return tally.succeeded_total > 0 ? std::min(active, parallelism) : parallelism;
  }
  const std::int64_t left = integer_at(job, "spec.completions") - tally.succeeded_total;
  return std::clamp<std::int64_t>(left, 0, parallelism);
}

// Pods that must go whatever their number: those of an index that has one already, or is none.
std::vector<ObjectPtr> take_redundant(const json::object& job, const JobTally& tally,
                                      std::vector<ObjectPtr>& active) {
  std::vector<ObjectPtr> redundant;
  if (!is_indexed(job)) return redundant;
  std::set<std::int64_t> seen;
  std::erase_if(active, [&](const ObjectPtr& pod) {
    const auto index = completion_index(*pod);
    const bool good = index && *index < integer_at(job, "spec.completions") &&
                      !tally.completed.contains(*index) && seen.insert(*index).second;
    if (!good) redundant.push_back(pod);
    return !good;
  });
  return redundant;
}

// Pods for `count` indexes that have none; those that wait for a back-off are passed over.
void plan_indexes(const json::object& job, const JobTally& tally, std::int64_t count,
                  kube::Time now, JobPodPlan& plan) {
  std::set<std::int64_t> taken;
  for (const ObjectPtr& pod : tally.active) taken.insert(completion_index(*pod).value_or(-1));
  if (replaces_only_failed(job)) {
    taken.insert(tally.indexes_terminating.begin(), tally.indexes_terminating.end());
  }
  const std::int64_t end = integer_at(job, "spec.completions");
  for (std::int64_t index = 0; index < end && count > 0; ++index) {
    if (taken.contains(index) || tally.completed.contains(index) ||
        tally.failed_indexes.contains(index)) {
      continue;
    }
    const auto failure = tally.unreplaced.find(index);
    const json::object* replaced =
        failure == tally.unreplaced.end() ? nullptr : failure->second.get();
    if (replaced != nullptr) {
      const Duration left = index_back_off_left(*replaced, now);
      if (left > Duration::zero()) {
        plan.again_after =
            plan.again_after == Duration::zero() ? left : std::min(plan.again_after, left);
        continue;
      }
    }
    plan.create.push_back(make_job_pod(job, {.index = index, .replaced = replaced}));
    --count;
  }
}

}  // namespace

std::optional<Duration> deadline_left(const json::object& job, kube::Time now) {
  if (kube::find(job, "spec.activeDeadlineSeconds") == nullptr) return std::nullopt;
  if (kube::bool_at(job, "spec.suspend")) return std::nullopt;
  const auto started = kube::parse_time(string_at(job, "status.startTime"));
  const std::chrono::seconds limit(integer_at(job, "spec.activeDeadlineSeconds"));
  return started ? *started + limit - now : Duration(limit);
}

JobVerdict judge_job(const json::object& job, const JobTally& tally, kube::Time now) {
  if (auto before = judged_before(job)) return *std::move(before);
  if (auto failure = judge_failures(job, tally, now)) return *std::move(failure);
  return judge_success(job, tally).value_or(JobVerdict());
}

JobPodPlan plan_job_pods(const json::object& job, const JobTally& tally,
                         const std::vector<ObjectPtr>& pods, kube::Time now) {
  JobPodPlan plan{.end = tally.strays};
  std::vector<ObjectPtr> active = tally.active;
  if (kube::bool_at(job, "spec.suspend")) {
    plan.end.insert(plan.end.end(), active.begin(), active.end());
    return plan;
  }
  std::ranges::copy(take_redundant(job, tally, active), std::back_inserter(plan.end));
  const std::int64_t wanted = wanted_active(job, tally);
  const auto have = static_cast<std::int64_t>(active.size());
  if (have > wanted) {
    sort_victims_first(active);
    plan.end.insert(plan.end.end(), active.begin(), active.begin() + (have - wanted));
  }
  const std::int64_t others = replaces_only_failed(job) ? tally.terminating : 0;
  const std::int64_t missing = std::min<std::int64_t>(kJobBurstMax, wanted - have - others);
  if (missing <= 0) return plan;
  if (has_backoff_per_index(job)) {
    plan_indexes(job, tally, missing, now, plan);
    return plan;
  }
  plan.again_after = back_off_left(job, pods, now);
  if (plan.again_after > Duration::zero()) return plan;
  if (is_indexed(job)) {
    plan_indexes(job, tally, missing, now, plan);
  } else {
    plan.create.assign(static_cast<std::size_t>(missing), make_job_pod(job, {}));
  }
  return plan;
}

}  // namespace tulle::controllers
