#include "node/pod_status.h"

#include "base/format.h"
#include "kube/object.h"
#include "kube/pod.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::node {

namespace {

namespace json = boost::json;
using Phase = ContainerView::Phase;

json::object terminated(const ContainerEnd& end, const std::string& container_id) {
  json::object out{{"exitCode", end.code}, {"reason", end.reason}};
  if (end.signal != 0) out["signal"] = end.signal;
  if (!end.message.empty()) out["message"] = end.message;
  if (!end.started_at.empty()) out["startedAt"] = end.started_at;
  if (!end.finished_at.empty()) out["finishedAt"] = end.finished_at;
  if (!container_id.empty()) out["containerID"] = container_id;
  return {{"terminated", std::move(out)}};
}

json::object state_of(const ContainerView& view) {
  if (view.phase == Phase::running) return {{"running", {{"startedAt", view.started_at}}}};
  if (view.phase == Phase::terminated && view.end) {
    return terminated(*view.end, view.container_id);
  }
  json::object waiting{{"reason", view.waiting.reason}};
  if (!view.waiting.message.empty()) waiting["message"] = view.waiting.message;
  return {{"waiting", std::move(waiting)}};
}

json::object container_status(const ContainerView& view) {
  json::object out{{"name", view.name},        {"image", view.image},
                   {"imageID", view.image_id}, {"ready", view.ready},
                   {"started", view.started},  {"restartCount", view.restarts},
                   {"state", state_of(view)},  {"lastState", json::object()}};
  if (view.last) out["lastState"] = terminated(*view.last, view.last_container_id);
  if (!view.container_id.empty()) out["containerID"] = view.container_id;
  return out;
}

bool succeeded(const ContainerView& view) {
  return view.phase == Phase::terminated && view.end && view.end->code == 0;
}

// Whether the next init container may begin.
bool is_done_or_beside(const ContainerView& init) {
  return init.sidecar ? init.started : succeeded(init);
}

// Once the pod's work has begun, a sidecar that starts again does not take that back.
bool initialized(const PodView& view) {
  const bool begun = std::ranges::any_of(view.containers, [](const auto& each) {
    return each.phase != Phase::waiting || each.last.has_value();
  });
  return begun || std::ranges::all_of(view.init_containers, is_done_or_beside);
}

// Whether the container will not run again by itself.
bool over(const ContainerView& view, std::string_view policy) {
  if (view.phase != Phase::terminated) return false;
  return policy == "Never" || (policy == "OnFailure" && succeeded(view));
}

bool runs(const PodView& view) {
  for (const auto* list : {&view.init_containers, &view.containers, &view.ephemeral_containers}) {
    const bool some =
        std::ranges::any_of(*list, [](const auto& each) { return each.phase == Phase::running; });
    if (some) return true;
  }
  return false;
}

// By its main and init containers, whatever runs beside them.
std::string_view phase_of_work(const json::object& pod, const PodView& view) {
  if (view.failure) return "Failed";
  if (view.ended) {
    return std::ranges::all_of(view.containers, succeeded) ? "Succeeded" : "Failed";
  }
  const std::string_view policy = kube::string_at(pod, "spec.restartPolicy", "Always");
  const bool init_failed = std::ranges::any_of(view.init_containers, [&](const auto& each) {
    return !each.sidecar && each.phase == Phase::terminated && !succeeded(each) &&
           policy == "Never";
  });
  if (init_failed) return "Failed";
  if (!initialized(view)) return "Pending";
  const bool all_over =
      std::ranges::all_of(view.containers, [&](const auto& each) { return over(each, policy); });
  if (all_over && !view.containers.empty()) {
    return std::ranges::all_of(view.containers, succeeded) ? "Succeeded" : "Failed";
  }
  // Upstream: running once every container has run, however often one crashed since.
  const bool all_ran = std::ranges::all_of(view.containers, [](const auto& each) {
    return each.phase != Phase::waiting || each.last.has_value();
  });
  return all_ran ? "Running" : "Pending";
}

// Whoever counts or replaces a pod at its end relies on nothing of it running any more.
std::string_view phase_of(const json::object& pod, const PodView& view) {
  const std::string_view phase = phase_of_work(pod, view);
  return kube::is_final_phase(phase) && runs(view) ? "Running" : phase;
}

std::string names_where(const std::vector<ContainerView>& views,
                        bool (*fits)(const ContainerView&)) {
  std::string out;
  for (const ContainerView& view : views) {
    if (!fits(view)) continue;
    out += out.empty() ? view.name : " " + view.name;
  }
  return out;
}

kube::Condition condition(std::string type, std::string reason, std::string message) {
  const bool good = reason.empty();
  return {.type = std::move(type),
          .status = good ? "True" : "False",
          .reason = std::move(reason),
          .message = std::move(message)};
}

void set_conditions(json::object& pod, const PodView& view, std::string_view phase,
                    kube::Time now) {
  kube::set_condition(pod, condition("PodScheduled", "", ""), now);
  const bool complete = phase == "Succeeded";
  if (initialized(view)) {
    kube::set_condition(
        pod, {.type = "Initialized", .status = "True", .reason = complete ? "PodCompleted" : ""},
        now);
  } else {
    const std::string names = names_where(
        view.init_containers, [](const ContainerView& each) { return !is_done_or_beside(each); });
    kube::set_condition(pod,
                        condition("Initialized", "ContainersNotInitialized",
                                  fmt::format("containers with incomplete status: [{}]", names)),
                        now);
  }
  std::string unready = names_where(
      view.init_containers, [](const ContainerView& each) { return each.sidecar && !each.ready; });
  const std::string main_unready =
      names_where(view.containers, [](const ContainerView& each) { return !each.ready; });
  if (!unready.empty() && !main_unready.empty()) unready += ' ';
  unready += main_unready;
  std::string reason;
  std::string message;
  if (kube::is_final_phase(phase)) {
    reason = complete ? "PodCompleted" : "PodFailed";
  } else if (!unready.empty()) {
    reason = "ContainersNotReady";
    message = fmt::format("containers with unready status: [{}]", unready);
  }
  kube::set_condition(pod, condition("ContainersReady", reason, message), now);
  // A gate is a condition that somebody else sets.
  if (reason.empty()) {
    for (const json::value& each : kube::array_at(pod, "spec.readinessGates")) {
      const std::string_view gate = kube::string_at(kube::object_or_empty(each), "conditionType");
      if (kube::is_condition_true(pod, gate)) continue;
      reason = "ReadinessGatesNotReady";
      message = fmt::format(
          "corresponding condition of pod readiness gate "
          "\"{}\" does not exist.",
          gate);
    }
  }
  kube::set_condition(pod, condition("Ready", reason, message), now);
}

json::array statuses(const std::vector<ContainerView>& views) {
  json::array out;
  for (const ContainerView& view : views) out.push_back(container_status(view));
  return out;
}

}  // namespace

json::object make_pod_status(const json::object& pod, const PodView& view, kube::Time now) {
  json::object changed{{"spec", kube::object_at(pod, "spec")},
                       {"status", kube::object_at(pod, "status")}};
  const std::string_view phase = phase_of(pod, view);
  set_conditions(changed, view, phase, now);
  json::object& status = kube::ensure_object(changed, "status");
  status["phase"] = phase;
  if (view.failure) {
    status["reason"] = view.failure->reason;
    status["message"] = view.failure->message;
  }
  status["hostIP"] = view.host_address;
  status["hostIPs"] = json::array{json::object{{"ip", view.host_address}}};
  if (!view.address.empty()) {
    status["podIP"] = view.address;
    status["podIPs"] = json::array{json::object{{"ip", view.address}}};
  }
  if (!status.contains("startTime")) status["startTime"] = view.started_at;
  if (!view.init_containers.empty()) {
    status["initContainerStatuses"] = statuses(view.init_containers);
  }
  status["containerStatuses"] = statuses(view.containers);
  if (!view.ephemeral_containers.empty()) {
    status["ephemeralContainerStatuses"] = statuses(view.ephemeral_containers);
  }
  return std::move(status);
}

}  // namespace tulle::node
