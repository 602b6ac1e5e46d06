// What the failures of a Job's pods come to: podFailurePolicy and the back-off. Pure, in upstream's
// terms and words.
#pragma once

#include "base/time.h"
#include "controllers/shared.h"

#include <optional>
#include <string>
#include <vector>

namespace tulle::controllers {

inline constexpr std::string_view kJobTracking = "batch.kubernetes.io/job-tracking";
inline constexpr std::string_view kJobIndex = "batch.kubernetes.io/job-completion-index";
inline constexpr std::string_view kJobIndexFailures = "batch.kubernetes.io/job-index-failure-count";
inline constexpr std::string_view kJobIndexIgnored =
    "batch.kubernetes.io/job-index-ignored-failure-count";

// The completion index of a pod of an Indexed Job, if it has one.
std::optional<std::int64_t> completion_index(const json::object& pod);
// A number in an annotation; zero where it is none.
std::int64_t number_annotation(const json::object& pod, std::string_view key);

// Only pods that have ended are replaced, not those that were told to end.
bool replaces_only_failed(const json::object& job);
bool has_backoff_per_index(const json::object& job);

bool has_succeeded(const json::object& pod);
// A failure of the Job: it failed, or was told to end before it could succeed. Where only failed
// pods are replaced the latter counts once nobody is going to write a phase any more.
bool has_failed(const json::object& job, const json::object& pod);

enum class FailureAction : std::uint8_t { count, ignore, fail_index, fail_job };

struct FailureVerdict {
  FailureAction action = FailureAction::count;
  std::string message = {};  // of fail_job
};
// The first rule of spec.podFailurePolicy that fits. REQUIRES: has_failed(job, pod).
FailureVerdict judge_failure(const json::object& job, const json::object& pod);

// When the pod ended, as near as its status and metadata tell.
kube::Time end_time(const json::object& pod);

// The wait after `failures` in a row: 10 s, doubled with each, 10 min at most.
Duration job_back_off(std::int64_t failures);
// What is left of the wait after those failures among `pods` that came after the last success.
Duration back_off_left(const json::object& job, const std::vector<ObjectPtr>& pods, kube::Time now);
// The same for an index, of which `failed` is the latest failure.
Duration index_back_off_left(const json::object& failed, kube::Time now);

}  // namespace tulle::controllers
