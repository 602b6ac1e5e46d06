// Cells of workloads, of what scales and protects them, and of their storage.
#include "kube/object.h"
#include "kube/selector.h"
#include "kube/table_cells.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <string>

namespace tulle::kube {

namespace {

json::value text(std::string_view value) { return json::value(value); }

void append(std::string& list, std::string_view item, std::string_view separator = ",") {
  if (!list.empty()) list += separator;
  list += item;
}

// --- Workloads ----------------------------------------------------------------------------------

json::value replicas_ready(const json::object& object, Time) {
  return text(fmt::format("{}/{}", integer_at(object, "status.readyReplicas"),
                          integer_at(object, "spec.replicas")));
}

json::value workload_selector(const json::object& object, Time) {
  const auto selector = Selector::from_label_selector(object_at(object, "spec.selector"));
  if (!selector) return text("<error>");
  const std::string shown = selector->to_string();
  return text(shown.empty() ? "<none>" : shown);
}

json::value node_selector(const json::object& object, Time) {
  const std::string shown =
      Selector::from_map(object_at(object, "spec.template.spec.nodeSelector")).to_string();
  return text(shown.empty() ? "<none>" : shown);
}

json::value revision_controller(const json::object& revision, Time) {
  const json::object* owner = controller_of(revision);
  if (owner == nullptr) return text("<none>");
  std::string kind(string_at(*owner, "kind"));
  std::ranges::transform(kind, kind.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto group = split_api_version(string_at(*owner, "apiVersion")).first;
  return text(fmt::format("{}.{}/{}", kind, group, string_at(*owner, "name")));
}

// --- Jobs ---------------------------------------------------------------------------------------

json::value job_status(const json::object& job, Time) {
  if (is_condition_true(job, "Complete")) return text("Complete");
  if (is_condition_true(job, "Failed")) return text("Failed");
  if (is_deleting(job)) return text("Terminating");
  if (is_condition_true(job, "Suspended")) return text("Suspended");
  if (is_condition_true(job, "FailureTarget")) return text("FailureTarget");
  if (is_condition_true(job, "SuccessCriteriaMet")) return text("SuccessCriteriaMet");
  return text("Running");
}

json::value job_completions(const json::object& job, Time) {
  const std::int64_t succeeded = integer_at(job, "status.succeeded");
  if (find(job, "spec.completions") != nullptr) {
    return text(fmt::format("{}/{}", succeeded, integer_at(job, "spec.completions")));
  }
  const std::int64_t parallelism = integer_at(job, "spec.parallelism");
  if (parallelism > 1) return text(fmt::format("{}/1 of {}", succeeded, parallelism));
  return text(fmt::format("{}/1", succeeded));
}

json::value job_duration(const json::object& job, Time now) {
  const std::string_view start = string_at(job, "status.startTime");
  if (start.empty()) return text("");
  const auto end = parse_time(string_at(job, "status.completionTime"));
  return text(age(start, end ? *end : now));
}

json::value cron_job_suspend(const json::object& cron_job, Time) {
  return text(bool_at(cron_job, "spec.suspend") ? "True" : "False");
}

json::value cron_job_active(const json::object& cron_job, Time) {
  return array_at(cron_job, "status.active").size();
}

json::value cron_job_last_schedule(const json::object& cron_job, Time now) {
  const std::string_view last = string_at(cron_job, "status.lastScheduleTime");
  return text(last.empty() ? "<none>" : age(last, now));
}

// --- Autoscaling --------------------------------------------------------------------------------

json::value autoscaler_reference(const json::object& autoscaler, Time) {
  const json::object& target = object_at(autoscaler, "spec.scaleTargetRef");
  return text(fmt::format("{}/{}", string_at(target, "kind"), string_at(target, "name")));
}

// The part of a metric that its type names: {"type": "Pods", "pods": {...}}.
const json::object& metric_source(const json::object& metric) {
  for (const char* source : {"resource", "containerResource", "pods", "object", "external"}) {
    if (const json::object* found = find_object(metric, source)) return *found;
  }
  return object_at(metric, "none");
}

// "50%", "100m" or "100m (avg)" of a target or a current value.
std::string metric_value(const json::object& value) {
  if (find(value, "averageUtilization") != nullptr) {
    return fmt::format("{}%", integer_at(value, "averageUtilization"));
  }
  if (find(value, "averageValue") != nullptr) {
    return fmt::format("{} (avg)", scalar_text(*find(value, "averageValue")));
  }
  if (const json::value* plain = find(value, "value")) return scalar_text(*plain);
  return "<unknown>";
}

json::value autoscaler_targets(const json::object& autoscaler, Time) {
  constexpr std::size_t shown_max = 2;
  static const json::value nothing;
  const json::array& metrics = array_at(autoscaler, "spec.metrics");
  const json::array& current = array_at(autoscaler, "status.currentMetrics");
  std::string shown;
  for (std::size_t i = 0; i < std::min(metrics.size(), shown_max); ++i) {
    const json::object& source = metric_source(object_or_empty(metrics[i]));
    const json::value& measured = i < current.size() ? current[i] : nothing;
    const json::object& now = metric_source(object_or_empty(measured));
    const std::string_view name = string_at(source, "name", string_at(source, "metric.name"));
    append(shown,
           fmt::format("{}: {}/{}", name, metric_value(object_at(now, "current")),
                       metric_value(object_at(source, "target"))),
           ", ");
  }
  if (shown.empty()) return text("<none>");
  if (metrics.size() > shown_max) {
    shown += fmt::format(" + {} more...", metrics.size() - shown_max);
  }
  return text(shown);
}

// --- Storage ------------------------------------------------------------------------------------

std::string access_modes(const json::array& modes) {
  std::string shown;
  for (const json::value& mode : modes) {
    const std::string_view name = string_or(mode);
    append(shown, name == "ReadWriteOnce"      ? "RWO"
                  : name == "ReadOnlyMany"     ? "ROX"
                  : name == "ReadWriteMany"    ? "RWX"
                  : name == "ReadWriteOncePod" ? "RWOP"
                                               : name);
  }
  return shown;
}

json::value phase_or_terminating(const json::object& object) {
  return text(is_deleting(object) ? "Terminating" : string_at(object, "status.phase"));
}

json::value claim_status(const json::object& claim, Time) { return phase_or_terminating(claim); }

// Capacity and modes are those of the volume, once there is one.
json::value claim_capacity(const json::object& claim, Time) {
  if (string_at(claim, "spec.volumeName").empty()) return text("");
  return text(string_at(claim, "status.capacity.storage"));
}

json::value claim_access_modes(const json::object& claim, Time) {
  if (string_at(claim, "spec.volumeName").empty()) return text("");
  return text(access_modes(array_at(claim, "status.accessModes")));
}

json::value volume_access_modes(const json::object& volume, Time) {
  return text(access_modes(array_at(volume, "spec.accessModes")));
}

json::value volume_status(const json::object& volume, Time) { return phase_or_terminating(volume); }

json::value volume_claim(const json::object& volume, Time) {
  const json::object* claim = find_object(volume, "spec.claimRef");
  if (claim == nullptr) return text("");
  return text(fmt::format("{}/{}", string_at(*claim, "namespace"), string_at(*claim, "name")));
}

json::value storage_class_name(const json::object& object, Time) {
  constexpr std::string_view is_default = "storageclass.kubernetes.io/is-default-class";
  std::string name(name_of(object));
  if (annotation_of(object, is_default) == "true") name += " (default)";
  return text(name);
}

// --- Quotas -------------------------------------------------------------------------------------

// "pods: 2/10, ..." of the resources that are limits, or that are not.
std::string quota_usage(const json::object& quota, bool limits) {
  std::string shown;
  for (const auto& [resource, hard] : object_at(quota, "status.hard")) {
    if (std::string_view(resource).starts_with("limits.") != limits) continue;
    const json::value* used = object_at(quota, "status.used").if_contains(resource);
    append(shown,
           fmt::format("{}: {}/{}", std::string_view(resource),
                       used == nullptr ? "" : scalar_text(*used), scalar_text(hard)),
           ", ");
  }
  return shown;
}

json::value quota_requests(const json::object& quota, Time) {
  return text(quota_usage(quota, false));
}
json::value quota_limits(const json::object& quota, Time) { return text(quota_usage(quota, true)); }

}  // namespace

CellFunction find_workload_cell(std::string_view name) {
  struct Row {
    std::string_view name;
    CellFunction function;
  };
  static constexpr Row rows[] = {
      {"autoscaler_reference", autoscaler_reference},
      {"autoscaler_targets", autoscaler_targets},
      {"claim_access_modes", claim_access_modes},
      {"claim_capacity", claim_capacity},
      {"claim_status", claim_status},
      {"cron_job_active", cron_job_active},
      {"cron_job_last_schedule", cron_job_last_schedule},
      {"cron_job_suspend", cron_job_suspend},
      {"job_completions", job_completions},
      {"job_duration", job_duration},
      {"job_status", job_status},
      {"node_selector", node_selector},
      {"quota_limits", quota_limits},
      {"quota_requests", quota_requests},
      {"replicas_ready", replicas_ready},
      {"revision_controller", revision_controller},
      {"storage_class_name", storage_class_name},
      {"volume_access_modes", volume_access_modes},
      {"volume_claim", volume_claim},
      {"volume_status", volume_status},
      {"workload_selector", workload_selector},
  };
  const auto* row = std::ranges::find(rows, name, &Row::name);
  return row == std::end(rows) ? nullptr : row->function;
}

}  // namespace tulle::kube
