// What `kubectl get pods` says about a pod. Follows upstream's printPod, whose rules are not
// written down anywhere else.
#include "kube/object.h"
#include "kube/table_cells.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <optional>
#include <string>

namespace tulle::kube {

namespace {

struct PodSummary {
  std::int64_t ready = 0;
  std::int64_t total = 0;
  std::int64_t restarts = 0;
  std::optional<Time> last_restart;
  std::string status;
};

// Restarts of some containers, and when the last of them ended.
struct Restarts {
  std::int64_t count = 0;
  std::optional<Time> last;

  void add(const json::object& container) {
    count += integer_at(container, "restartCount");
    const auto ended = parse_time(string_at(container, "lastState.terminated.finishedAt"));
    if (ended && (!last || *last < *ended)) last = *ended;
  }
};

// Why a container ended: its reason, or the signal or exit code. `prefix` is "Init:" or empty.
std::string termination(const json::object& terminated, std::string_view prefix) {
  const std::string_view reason = string_at(terminated, "reason");
  if (!reason.empty()) return fmt::format("{}{}", prefix, reason);
  if (const auto signal = integer_at(terminated, "signal"); signal != 0)
    return fmt::format("{}Signal:{}", prefix, signal);
  return fmt::format("{}ExitCode:{}", prefix, integer_at(terminated, "exitCode"));
}

bool is_sidecar(const json::object& pod, std::string_view container) {
  for (const json::value& value : array_at(pod, "spec.initContainers")) {
    const json::object& spec = object_or_empty(value);
    if (string_at(spec, "name") == container) return string_at(spec, "restartPolicy") == "Always";
  }
  return false;
}

// Why init container number `index` holds the pod up; nothing if it does not.
std::optional<std::string> init_problem(const json::object& container, std::size_t index,
                                        std::size_t count, bool sidecar) {
  const json::object* terminated = find_object(container, "state.terminated");
  if (terminated != nullptr && integer_at(*terminated, "exitCode") == 0) return std::nullopt;
  if (sidecar && bool_at(container, "started")) return std::nullopt;
  if (terminated != nullptr) return termination(*terminated, "Init:");
  const std::string_view waiting = string_at(container, "state.waiting.reason");
  if (!waiting.empty() && waiting != "PodInitializing") return fmt::format("Init:{}", waiting);
  return fmt::format("Init:{}/{}", index, count);
}

// Goes over the containers that run side by side with the pod; fills ready, restarts, status.
void summarize_containers(const json::object& pod, Restarts restarts, PodSummary& summary) {
  bool has_running = false;
  const json::array& containers = array_at(pod, "status.containerStatuses");
  for (std::size_t i = containers.size(); i-- > 0;) {
    const json::object& container = object_or_empty(containers[i]);
    restarts.add(container);
    const std::string_view waiting = string_at(container, "state.waiting.reason");
    const json::object* terminated = find_object(container, "state.terminated");
    if (!waiting.empty()) {
      summary.status = waiting;
    } else if (terminated != nullptr) {
      summary.status = termination(*terminated, {});
    } else if (bool_at(container, "ready") && find_object(container, "state.running") != nullptr) {
      has_running = true;
      ++summary.ready;
    }
  }
  summary.restarts = restarts.count;
  summary.last_restart = restarts.last;
  // One container that ended does not make a running pod completed.
  if (summary.status == "Completed" && has_running)
    summary.status = is_condition_true(pod, "Ready") ? "Running" : "NotReady";
}

PodSummary summarize(const json::object& pod) {
  PodSummary summary;
  const std::string_view phase = string_at(pod, "status.phase");
  const std::string_view reason = string_at(pod, "status.reason");
  summary.status = reason.empty() ? phase : reason;
  const json::object* scheduled = find_condition(pod, "PodScheduled");
  if (scheduled != nullptr && string_at(*scheduled, "reason") == "SchedulingGated")
    summary.status = "SchedulingGated";

  const json::array& init_containers = array_at(pod, "spec.initContainers");
  summary.total = static_cast<std::int64_t>(array_at(pod, "spec.containers").size());
  for (const json::value& value : init_containers)
    if (string_at(object_or_empty(value), "restartPolicy") == "Always") ++summary.total;

  Restarts all_init;
  Restarts sidecars;
  bool initializing = false;
  const json::array& init_statuses = array_at(pod, "status.initContainerStatuses");
  for (std::size_t i = 0; i < init_statuses.size() && !initializing; ++i) {
    const json::object& container = object_or_empty(init_statuses[i]);
    const bool sidecar = is_sidecar(pod, string_at(container, "name"));
    all_init.add(container);
    if (sidecar) sidecars.add(container);
    if (auto problem = init_problem(container, i, init_containers.size(), sidecar)) {
      summary.status = *std::move(problem);
      initializing = true;
    } else if (sidecar && bool_at(container, "ready") && bool_at(container, "started")) {
      ++summary.ready;
    }
  }
  summary.restarts = all_init.count;
  summary.last_restart = all_init.last;
  if (!initializing || is_condition_true(pod, "Initialized"))
    summarize_containers(pod, sidecars, summary);

  if (is_deleting(pod)) {
    if (reason == "NodeLost")
      summary.status = "Unknown";
    else if (phase != "Succeeded" && phase != "Failed")
      summary.status = "Terminating";
  }
  return summary;
}

}  // namespace

json::value pod_ready(const json::object& pod, Time) {
  const PodSummary summary = summarize(pod);
  return json::value(fmt::format("{}/{}", summary.ready, summary.total));
}

json::value pod_status(const json::object& pod, Time) { return json::value(summarize(pod).status); }

json::value pod_restarts(const json::object& pod, Time now) {
  const PodSummary summary = summarize(pod);
  if (summary.restarts == 0 || !summary.last_restart)
    return json::value(std::to_string(summary.restarts));
  return json::value(
      fmt::format("{} ({} ago)", summary.restarts, human_duration(now - *summary.last_restart)));
}

json::value pod_readiness_gates(const json::object& pod, Time) {
  const json::array& gates = array_at(pod, "spec.readinessGates");
  if (gates.empty()) return "<none>";
  std::size_t passed = 0;
  for (const json::value& gate : gates)
    if (is_condition_true(pod, string_at(object_or_empty(gate), "conditionType"))) ++passed;
  return json::value(fmt::format("{}/{}", passed, gates.size()));
}

}  // namespace tulle::kube
