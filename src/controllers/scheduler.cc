#include "controllers/scheduler.h"

#include "kube/pod.h"

#include <fmt/format.h>
#include <boost/json.hpp>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 8;

std::string_view node_of(const json::object& pod) { return kube::string_at(pod, "spec.nodeName"); }

// One that is ours to place: other schedulers have their own.
bool wants_node(const json::object& pod) {
  const std::string_view scheduler = kube::string_at(pod, "spec.schedulerName");
  return node_of(pod).empty() && !kube::is_deleting(pod) && !kube::has_ended(pod) &&
         (scheduler.empty() || scheduler == "default-scheduler") &&
         kube::array_at(pod, "spec.schedulingGates").empty();
}

// What a node change means for those that wait: its labels, taints, resources and readiness.
bool places_as_before(const ObjectPtr& before, const ObjectPtr& after) {
  return before && after && kube::object_at(*before, "spec") == kube::object_at(*after, "spec") &&
         kube::labels_of(*before) == kube::labels_of(*after) &&
         kube::object_at(*before, "status.allocatable") ==
             kube::object_at(*after, "status.allocatable") &&
         kube::is_condition_true(*before, "Ready") == kube::is_condition_true(*after, "Ready");
}

}  // namespace

SchedulerController::SchedulerController(Shared& shared)
    : shared_(shared),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.pods.on_change(
      [this](const ObjectPtr& before, const ObjectPtr& after) { see(before, after); });
  shared_.nodes.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    if (!places_as_before(before, after)) try_again();
  });
}

rt::Task<void> SchedulerController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "scheduler", reconcile_, kConcurrency);
}

void SchedulerController::see(const ObjectPtr& before, const ObjectPtr& after) {
  const NamespacedName key = kube::key_of(after ? *after : *before);
  if (after && wants_node(*after)) {
    queue_.add(key);
    return;
  }
  waiting_.erase(key);
  if (!after || kube::has_ended(*after) || node_of(*after).empty()) {
    if (placed_.contains(key)) {
      release(key);
      try_again();
    }
    return;
  }
  hold(key, {.node = std::string(node_of(*after)), .demand = demand_of(*after)});
}

void SchedulerController::hold(const NamespacedName& key, Placed placed) {
  release(key);
  occupancies_[placed.node].add(placed.demand);
  placed_.emplace(key, std::move(placed));
}

void SchedulerController::release(const NamespacedName& key) {
  const auto held = placed_.find(key);
  if (held == placed_.end()) return;
  occupancies_[held->second.node].remove(held->second.demand);
  placed_.erase(held);
}

void SchedulerController::try_again() {
  for (const NamespacedName& key : waiting_) queue_.add(key);
}

rt::Task<ApiResult<Reconciled>> SchedulerController::reconcile(NamespacedName key) {
  const ObjectPtr pod = shared_.pods.get(key);
  if (!pod || !wants_node(*pod)) co_return Reconciled{};
  std::vector<ObjectPtr> nodes;
  nodes.reserve(shared_.nodes.objects().size());
  for (const auto& [name, node] : shared_.nodes.objects()) nodes.push_back(node);
  Demand demand = demand_of(*pod);
  const auto node = place(*pod, demand, nodes, occupancies_);
  if (!node) {
    waiting_.insert(key);
    CO_TRY_VOID(co_await say_why(pod, node.error()));
    co_return Reconciled{};
  }
  // Nobody else is given the place while the write is under way.
  hold(key, {.node = *node, .demand = std::move(demand)});
  const auto bound = co_await bind(pod, *node);
  if (!bound) {
    release(key);
    try_again();
    if (const ObjectPtr now = shared_.pods.get(key)) see(nullptr, now);
    co_return bound.error();
  }
  co_return Reconciled{};
}

rt::Task<ApiResult<void>> SchedulerController::bind(ObjectPtr pod, std::string node) {
  json::object bound = *pod;
  kube::set_at(bound, "spec.nodeName", json::value(node));
  CO_TRY(const ObjectPtr written,
         co_await shared_.client.update(kubeclient::kPods, std::move(bound), ""));
  shared_.pods.observe(written);
  shared_.events.record(*written,
                        {.reason = "Scheduled",
                         .message = fmt::format("Successfully assigned {} to {}",
                                                kube::to_string(kube::key_of(*pod)), node)});
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> SchedulerController::say_why(ObjectPtr pod, std::string why) {
  json::object changed = *pod;
  kube::set_condition(
      changed,
      {.type = "PodScheduled", .status = "False", .reason = "Unschedulable", .message = why},
      api_now(shared_.loop));
  shared_.events.record(*pod, {.type = kubeclient::EventType::warning,
                               .reason = "FailedScheduling",
                               .message = std::move(why)});
  co_return co_await write_status(shared_, shared_.pods, pod, std::move(changed));
}

}  // namespace tulle::controllers
