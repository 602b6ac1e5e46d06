#include "controllers/job_failures.h"

#include "base/format.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>

namespace tulle::controllers {

namespace {

using kube::object_or_empty;
using kube::string_at;

constexpr Duration kBackOffMin = std::chrono::seconds(10);
constexpr Duration kBackOffMax = std::chrono::minutes(10);

std::string full_name(const json::object& pod) { return kube::to_string(kube::key_of(pod)); }

// The status of the first container that ended as `requirement` asks, or nullptr.
const json::object* match_exit_codes(const json::object& pod, const json::object& requirement) {
  const std::string_view container = string_at(requirement, "containerName");
  const bool in = string_at(requirement, "operator") == "In";
  const json::array& values = kube::array_at(requirement, "values");
  for (const std::string_view list : {"status.containerStatuses", "status.initContainerStatuses"}) {
    for (const json::value& each : kube::array_at(pod, list)) {
      const json::object& status = object_or_empty(each);
      if (!container.empty() && string_at(status, "name") != container) continue;
      const std::int64_t code = kube::integer_at(status, "state.terminated.exitCode");
      if (code == 0) continue;
      const bool listed = std::ranges::any_of(
          values, [code](const json::value& value) { return value == json::value(code); });
      if (listed == in) return &status;
    }
  }
  return nullptr;
}

// The pod's condition that one of `patterns` fits, or nullptr.
const json::object* match_conditions(const json::object& pod, const json::array& patterns) {
  for (const json::value& each : patterns) {
    const json::object& pattern = object_or_empty(each);
    const json::object* condition = kube::find_condition(pod, string_at(pattern, "type"));
    if (condition != nullptr &&
        string_at(*condition, "status") == string_at(pattern, "status", "True")) {
      return condition;
    }
  }
  return nullptr;
}

// Why `rule` fits the pod, if it does.
std::optional<std::string> match(const json::object& pod, const json::object& rule,
                                 std::size_t number) {
  const std::string_view action = string_at(rule, "action");
  if (const json::object* requirement = kube::find_object(rule, "onExitCodes")) {
    const json::object* status = match_exit_codes(pod, *requirement);
    if (status == nullptr) return std::nullopt;
    return fmt::format(
        "Container {} for pod {} failed with exit code {} matching {} rule at index {}",
        string_at(*status, "name"), full_name(pod),
        kube::integer_at(*status, "state.terminated.exitCode"), action, number);
  }
  const json::object* condition = match_conditions(pod, kube::array_at(rule, "onPodConditions"));
  if (condition == nullptr) return std::nullopt;
  return fmt::format("Pod {} has condition {} matching {} rule at index {}", full_name(pod),
                     string_at(*condition, "type"), action, number);
}

Duration left_after(kube::Time from, Duration wait, kube::Time now) {
  return std::max(Duration::zero(), from + wait - now);
}

}  // namespace

std::optional<std::int64_t> completion_index(const json::object& pod) {
  const std::string_view text = kube::annotation_of(pod, kJobIndex);
  std::int64_t index = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc{} || end != text.data() + text.size() || index < 0) return std::nullopt;
  return index;
}

std::int64_t number_annotation(const json::object& pod, std::string_view key) {
  const std::string_view text = kube::annotation_of(pod, key);
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool replaces_only_failed(const json::object& job) {
  return string_at(job, "spec.podReplacementPolicy") == "Failed" ||
         kube::find_object(job, "spec.podFailurePolicy") != nullptr;
}

bool has_backoff_per_index(const json::object& job) {
  return kube::find(job, "spec.backoffLimitPerIndex") != nullptr;
}

bool has_succeeded(const json::object& pod) {
  return string_at(pod, "status.phase") == "Succeeded";
}

bool has_failed(const json::object& job, const json::object& pod) {
  if (string_at(pod, "status.phase") == "Failed") return true;
  if (!kube::is_deleting(pod) || has_succeeded(pod)) return false;
  const std::int64_t grace = kube::integer_at(pod, "metadata.deletionGracePeriodSeconds");
  return grace == 0 || !replaces_only_failed(job);
}

FailureVerdict judge_failure(const json::object& job, const json::object& pod) {
  std::size_t number = 0;
  for (const json::value& each : kube::array_at(job, "spec.podFailurePolicy.rules")) {
    const json::object& rule = object_or_empty(each);
    auto why = match(pod, rule, number++);
    if (!why) continue;
    const std::string_view action = string_at(rule, "action");
    if (action == "Ignore") return {.action = FailureAction::ignore};
    if (action == "Count") return {.action = FailureAction::count};
    if (action == "FailJob") return {.action = FailureAction::fail_job, .message = *std::move(why)};
    if (action == "FailIndex" && has_backoff_per_index(job)) {
      return {.action = FailureAction::fail_index};
    }
  }
  return {};
}

kube::Time end_time(const json::object& pod) {
  std::optional<kube::Time> latest;
  for (const json::value& each : kube::array_at(pod, "status.containerStatuses")) {
    const auto ended =
        kube::parse_time(string_at(object_or_empty(each), "state.terminated.finishedAt"));
    if (ended) latest = latest ? std::max(*latest, *ended) : *ended;
  }
  if (latest) return *latest;
  if (const auto deleted = kube::parse_time(string_at(pod, "metadata.deletionTimestamp"))) {
    return *deleted -
           std::chrono::seconds(kube::integer_at(pod, "metadata.deletionGracePeriodSeconds"));
  }
  const json::object* ready = kube::find_condition(pod, "Ready");
  if (ready != nullptr) {
    if (const auto since = kube::parse_time(string_at(*ready, "lastTransitionTime"))) return *since;
  }
  return kube::parse_time(string_at(pod, "metadata.creationTimestamp")).value_or(kube::Time{});
}

Duration job_back_off(std::int64_t failures) {
  if (failures <= 0) return Duration::zero();
  Duration wait = kBackOffMin;
  for (std::int64_t i = 1; i < failures && wait < kBackOffMax; ++i) wait *= 2;
  return std::min(wait, kBackOffMax);
}

Duration back_off_left(const json::object& job, const std::vector<ObjectPtr>& pods,
                       kube::Time now) {
  std::optional<kube::Time> success;
  for (const ObjectPtr& pod : pods) {
    if (!has_succeeded(*pod)) continue;
    const kube::Time ended = end_time(*pod);
    success = success ? std::max(*success, ended) : ended;
  }
  std::int64_t failures = 0;
  kube::Time latest{};
  for (const ObjectPtr& pod : pods) {
    if (!has_failed(job, *pod)) continue;
    const kube::Time ended = end_time(*pod);
    if (success && ended <= *success) continue;
    ++failures;
    latest = std::max(latest, ended);
  }
  return left_after(latest, job_back_off(failures), now);
}

Duration index_back_off_left(const json::object& failed, kube::Time now) {
  const std::int64_t failures = number_annotation(failed, kJobIndexFailures) +
                                number_annotation(failed, kJobIndexIgnored) + 1;
  return left_after(end_time(failed), job_back_off(failures), now);
}

}  // namespace tulle::controllers
