#include "controllers/job_tally.h"

#include "kube/pod.h"

#include <boost/json.hpp>

namespace tulle::controllers {

namespace {

using kube::string_at;

bool is_tracked(const json::object& pod) { return kube::has_finalizer(pod, kJobTracking); }

std::set<std::string, std::less<>> names_at(const json::object& job, std::string_view path) {
  std::set<std::string, std::less<>> names;
  for (const json::value& each : kube::array_at(job, path)) names.emplace(kube::string_or(each));
  return names;
}

// The number at `path` and those of `names` that are released. The others stay in `names`.
std::int64_t settle(const json::object& job, std::string_view path,
                    const std::set<std::string_view>& tracked,
                    std::set<std::string, std::less<>>& names) {
  const std::size_t released =
      std::erase_if(names, [&](const std::string& uid) { return !tracked.contains(uid); });
  return kube::integer_at(job, path) + static_cast<std::int64_t>(released);
}

// Whether the index of an Indexed Job's pod is one that the Job has.
bool has_valid_index(const json::object& job, const json::object& pod) {
  const auto index = completion_index(pod);
  return index && *index < kube::integer_at(job, "spec.completions");
}

void sort_in(const json::object& job, const ObjectPtr& pod, JobTally& tally) {
  const bool tracked = is_tracked(*pod);
  if (is_active(*pod)) {
    (tracked ? tally.active : tally.strays).push_back(pod);
    tally.ready += tracked && is_ready(*pod) ? 1 : 0;
    return;
  }
  const std::string_view phase = string_at(*pod, "status.phase");
  const bool ended = kube::is_final_phase(phase) ||
                     kube::integer_at(*pod, "metadata.deletionGracePeriodSeconds") == 0;
  if (!ended) {
    ++tally.terminating;
    if (const auto index = completion_index(*pod)) tally.indexes_terminating.insert(*index);
  }
  if (!tracked) return;
  const std::string_view uid = kube::uid_of(*pod);
  const bool known = tally.named_succeeded.contains(uid) || tally.named_failed.contains(uid);
  if (known || (is_indexed(job) && !has_valid_index(job, *pod))) {
    if (known || ended) tally.settled.push_back(pod);
  } else if (has_succeeded(*pod)) {
    tally.succeeded.push_back(pod);
  } else if (has_failed(job, *pod)) {
    const bool ignored = judge_failure(job, *pod).action == FailureAction::ignore;
    (ignored ? tally.ignored : tally.failed).push_back(pod);
  }
}

bool fails_its_index(const json::object& job, const json::object& pod) {
  const FailureVerdict verdict = judge_failure(job, pod);
  if (verdict.action == FailureAction::ignore) return false;
  return verdict.action == FailureAction::fail_index ||
         number_annotation(pod, kJobIndexFailures) >=
             kube::integer_at(job, "spec.backoffLimitPerIndex");
}

std::int64_t failures_before(const json::object& pod) {
  return number_annotation(pod, kJobIndexFailures) + number_annotation(pod, kJobIndexIgnored);
}

void find_unreplaced(JobTally& tally) {
  std::set<std::int64_t> active;
  for (const ObjectPtr& pod : tally.active) active.insert(completion_index(*pod).value_or(-1));
  for (const auto* list : {&tally.failed, &tally.ignored}) {
    for (const ObjectPtr& pod : *list) {
      const std::int64_t index = completion_index(*pod).value_or(-1);
      if (active.contains(index) || tally.completed.contains(index) ||
          tally.failed_indexes.contains(index)) {
        continue;
      }
      ObjectPtr& latest = tally.unreplaced[index];
      if (!latest || failures_before(*latest) < failures_before(*pod)) latest = pod;
    }
  }
}

void tally_indexes(const json::object& job, JobTally& tally) {
  const std::int64_t end = kube::integer_at(job, "spec.completions");
  tally.completed =
      IndexSet::parse(string_at(job, "status.completedIndexes"), end).value_or(IndexSet());
  for (const ObjectPtr& pod : tally.succeeded) tally.completed.add(*completion_index(*pod));
  tally.counted_succeeded = tally.completed.size();
  if (!has_backoff_per_index(job)) return;
  tally.failed_indexes =
      IndexSet::parse(string_at(job, "status.failedIndexes"), end).value_or(IndexSet());
  for (const ObjectPtr& pod : tally.failed) {
    const std::int64_t index = *completion_index(*pod);
    if (fails_its_index(job, *pod) && !tally.completed.contains(index)) {
      tally.failed_indexes.add(index);
    }
  }
  find_unreplaced(tally);
}

}  // namespace

bool is_indexed(const json::object& job) {
  return string_at(job, "spec.completionMode") == "Indexed";
}

JobTally tally_job(const json::object& job, const std::vector<ObjectPtr>& pods) {
  JobTally tally;
  tally.named_succeeded = names_at(job, "status.uncountedTerminatedPods.succeeded");
  tally.named_failed = names_at(job, "status.uncountedTerminatedPods.failed");
  std::set<std::string_view> tracked;
  for (const ObjectPtr& pod : pods) {
    if (is_tracked(*pod)) tracked.insert(kube::uid_of(*pod));
  }
  tally.counted_succeeded = settle(job, "status.succeeded", tracked, tally.named_succeeded);
  tally.counted_failed = settle(job, "status.failed", tracked, tally.named_failed);
  for (const ObjectPtr& pod : pods) sort_in(job, pod, tally);
  const auto count = [](const auto& of) { return static_cast<std::int64_t>(of.size()); };
  tally.failed_total = tally.counted_failed + count(tally.named_failed) + count(tally.failed);
  if (is_indexed(job)) {
    tally_indexes(job, tally);
    tally.succeeded_total = tally.counted_succeeded;
  } else {
    tally.succeeded_total =
        tally.counted_succeeded + count(tally.named_succeeded) + count(tally.succeeded);
  }
  return tally;
}

}  // namespace tulle::controllers
