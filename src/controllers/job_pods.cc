#include "controllers/job_pods.h"

#include "base/format.h"
#include "controllers/job_failures.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

constexpr std::string_view kIndexVariable = "JOB_COMPLETION_INDEX";
// What the API adds to metadata.generateName has five characters, and a label 63.
constexpr std::size_t kPrefixMax = 58;

void add_index_variable(json::array& containers) {
  for (json::value& each : containers) {
    if (!each.is_object()) continue;
    json::array& variables = kube::ensure_array(each.get_object(), "env");
    const bool has = std::ranges::any_of(variables, [](const json::value& variable) {
      return kube::string_at(kube::object_or_empty(variable), "name") == kIndexVariable;
    });
    if (has) continue;
    const std::string path = fmt::format("metadata.labels['{}']", kJobIndex);
    variables.push_back(
        json::object{{"name", kIndexVariable},
                     {"valueFrom", {{"fieldRef", {{"apiVersion", "v1"}, {"fieldPath", path}}}}}});
  }
}

void set_prefix(const json::object& job, const std::string& suffix, json::object& pod) {
  const std::string_view name = kube::name_of(job).substr(0, kPrefixMax - suffix.size());
  kube::set_at(pod, "metadata.generateName", json::value(std::string(name) + suffix));
}

void set_index(const json::object& job, std::int64_t index, json::object& pod) {
  const std::string text = std::to_string(index);
  kube::set_label(pod, kJobIndex, text);
  kube::set_annotation(pod, kJobIndex, text);
  json::object& spec = kube::ensure_object(pod, "spec");
  if (!spec.contains("hostname"))
    spec["hostname"] = fmt::format("{}-{}", kube::name_of(job), index);
  for (const std::string_view list : {"initContainers", "containers"}) {
    if (spec.contains(list)) add_index_variable(kube::ensure_array(spec, list));
  }
}

// Who replaces a failure inherits the count.
void set_failures(const json::object& job, const json::object* replaced, json::object& pod) {
  std::int64_t failures = 0;
  std::int64_t ignored = 0;
  if (replaced != nullptr) {
    failures = number_annotation(*replaced, kJobIndexFailures);
    ignored = number_annotation(*replaced, kJobIndexIgnored);
    const bool counts = judge_failure(job, *replaced).action != FailureAction::ignore;
    ++(counts ? failures : ignored);
  }
  kube::set_annotation(pod, kJobIndexFailures, std::to_string(failures));
  if (ignored > 0) kube::set_annotation(pod, kJobIndexIgnored, std::to_string(ignored));
}

}  // namespace

json::object make_job_pod(const json::object& job, const JobPodOptions& options) {
  json::object pod = pod_from_template(job, kube::object_at(job, "spec.template"));
  kube::add_finalizer(pod, kJobTracking);
  set_prefix(job, options.index ? fmt::format("-{}-", *options.index) : "-", pod);
  if (options.index) {
    set_index(job, *options.index, pod);
    if (has_backoff_per_index(job)) set_failures(job, options.replaced, pod);
  }
  return pod;
}

}  // namespace tulle::controllers
