#include "controllers/disruption.h"

#include "controllers/rollout.h"
#include "kube/selector.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <map>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 4;

bool selects(const json::object& budget, const json::object& pod) {
  const json::object* selector = kube::find_object(budget, "spec.selector");
  if (selector == nullptr) return false;
  const auto parsed = kube::Selector::from_label_selector(*selector);
  return parsed && parsed->matches(kube::labels_of(pod));
}

bool is_percent(const json::value& value) { return value.is_string(); }

// Whether the numbers of the budget are shares of what its workloads should have.
bool needs_scale(const json::object& budget) {
  const json::value* min_available = kube::find(budget, "spec.minAvailable");
  return min_available == nullptr || is_percent(*min_available);
}

// When the eviction of `pod` was granted, if it still counts.
std::optional<kube::Time> disrupted_at(const json::object& budget, std::string_view pod,
                                       kube::Time now) {
  const json::value* at = kube::object_at(budget, "status.disruptedPods").if_contains(pod);
  if (at == nullptr) return std::nullopt;
  const auto since = kube::parse_time(kube::string_or(*at));
  if (!since || *since + disrupted_max <= now) return std::nullopt;
  return *since;
}

// Those of status.disruptedPods that are still there and not yet seen to go; `again_after` becomes
// the time until the first of them no longer counts.
json::object still_disrupted(const json::object& budget, const std::vector<ObjectPtr>& pods,
                             kube::Time now, Duration& again_after) {
  json::object still;
  for (const ObjectPtr& pod : pods) {
    const std::string_view name = kube::name_of(*pod);
    const auto since = disrupted_at(budget, name, now);
    if (!since || kube::is_deleting(*pod)) continue;
    still[name] = kube::format_time(*since);
    const Duration left = *since + disrupted_max - now;
    again_after = again_after == Duration{} ? left : std::min(again_after, left);
  }
  return still;
}

json::object with_status(const json::object& budget, const Budgeting& weighed,
                         json::object disrupted, kube::Time now) {
  json::object changed = budget;
  json::object& status = kube::ensure_object(changed, "status");
  status["currentHealthy"] = weighed.healthy;
  status["desiredHealthy"] = weighed.desired;
  status["disruptionsAllowed"] = weighed.allowed;
  status["expectedPods"] = weighed.expected;
  status["observedGeneration"] = kube::generation_of(budget);
  if (disrupted.empty()) {
    status.erase("disruptedPods");
  } else {
    status["disruptedPods"] = std::move(disrupted);
  }
  const bool enough = weighed.allowed > 0;
  kube::set_condition(changed,
                      {.type = "DisruptionAllowed",
                       .status = enough ? "True" : "False",
                       .reason = enough ? "SufficientPods" : "InsufficientPods",
                       .message = ""},
                      now);
  return changed;
}

// Nothing may be disrupted while it is unknown how many pods there should be.
json::object with_failure(const json::object& budget, std::string_view why, kube::Time now) {
  json::object changed = budget;
  kube::set_at(changed, "status.disruptionsAllowed", 0);
  kube::set_at(changed, "status.observedGeneration", kube::generation_of(budget));
  kube::set_condition(changed,
                      {.type = "DisruptionAllowed",
                       .status = "False",
                       .reason = "SyncFailed",
                       .message = std::string(why)},
                      now);
  return changed;
}

}  // namespace

Budgeting weigh_budget(const json::object& budget, const std::vector<ObjectPtr>& pods,
                       std::int64_t expected_scale, kube::Time now) {
  Budgeting weighed;
  const auto count = static_cast<std::int64_t>(pods.size());
  const json::value* min_available = kube::find(budget, "spec.minAvailable");
  if (const json::value* max = kube::find(budget, "spec.maxUnavailable")) {
    weighed.expected = expected_scale;
    weighed.desired =
        std::max<std::int64_t>(0, expected_scale - scaled(max, expected_scale, Round::up, "0%"));
  } else {
    weighed.expected = needs_scale(budget) ? expected_scale : count;
    weighed.desired = scaled(min_available, weighed.expected, Round::up, "0%");
  }
  weighed.healthy = std::ranges::count_if(pods, [&](const ObjectPtr& pod) {
    return is_ready(*pod) && !kube::is_deleting(*pod) &&
           !disrupted_at(budget, kube::name_of(*pod), now);
  });
  if (weighed.expected > 0) {
    weighed.allowed = std::max<std::int64_t>(0, weighed.healthy - weighed.desired);
  }
  return weighed;
}

DisruptionController::DisruptionController(Shared& shared)
    : shared_(shared),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.disruption_budgets.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    queue_.add(kube::key_of(after ? *after : *before));
  });
  shared_.pods.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    for (const ObjectPtr& pod : {before, after}) {
      if (pod) add_budgets_of(*pod);
    }
  });
  // Their sizes are what percentages are of.
  for (auto* cache : {&shared_.deployments, &shared_.replica_sets, &shared_.stateful_sets}) {
    cache->on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
      const json::object& changed = after ? *after : *before;
      if (before && after && kube::generation_of(*before) == kube::generation_of(*after)) return;
      for (const auto& budget :
           in_namespace(shared_.disruption_budgets, kube::namespace_of(changed))) {
        queue_.add(kube::key_of(*budget));
      }
    });
  }
}

rt::Task<void> DisruptionController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "disruption", reconcile_, kConcurrency);
}

void DisruptionController::add_budgets_of(const json::object& pod) {
  for (const auto& budget : in_namespace(shared_.disruption_budgets, kube::namespace_of(pod))) {
    if (selects(*budget, pod)) queue_.add(kube::key_of(*budget));
  }
}

std::vector<ObjectPtr> DisruptionController::pods_of(const json::object& budget) const {
  auto pods = in_namespace(shared_.pods, kube::namespace_of(budget));
  std::erase_if(pods, [&](const ObjectPtr& pod) { return !selects(budget, *pod); });
  return pods;
}

std::optional<std::pair<std::string, std::int64_t>> DisruptionController::scale_of(
    const json::object& pod) const {
  ObjectPtr workload;
  if (const auto set = controller_key(pod, "ReplicaSet")) {
    workload = shared_.replica_sets.get(*set);
    const auto deployment =
        workload ? controller_key(*workload, "Deployment") : std::optional<NamespacedName>();
    if (deployment) workload = shared_.deployments.get(*deployment);
  } else if (const auto stateful = controller_key(pod, "StatefulSet")) {
    workload = shared_.stateful_sets.get(*stateful);
  }
  if (!workload) return std::nullopt;
  return std::pair(std::string(kube::uid_of(*workload)),
                   kube::integer_at(*workload, "spec.replicas", 1));
}

ApiResult<std::int64_t> DisruptionController::expected_scale(
    const std::vector<ObjectPtr>& pods) const {
  std::map<std::string, std::int64_t> scales;
  for (const ObjectPtr& pod : pods) {
    if (kube::controller_of(*pod) == nullptr) continue;
    auto scale = scale_of(*pod);
    if (!scale) {
      const json::object& owner = *kube::controller_of(*pod);
      return kube::internal_error(
          fmt::format("{} of pod {} has no scale: a percentage or "
                      "maxUnavailable says nothing of it",
                      kube::string_at(owner, "kind"), kube::name_of(*pod)));
    }
    scales.insert(*std::move(scale));
  }
  std::int64_t sum = 0;
  for (const auto& [uid, scale] : scales) sum += scale;
  return sum;
}

rt::Task<ApiResult<Reconciled>> DisruptionController::reconcile(NamespacedName key) {
  const ObjectPtr budget = shared_.disruption_budgets.get(key);
  if (!budget || kube::is_deleting(*budget)) co_return Reconciled{};
  const auto pods = pods_of(*budget);
  const kube::Time now = api_now(shared_.loop);
  const auto scale =
      needs_scale(*budget) ? expected_scale(pods) : ApiResult<std::int64_t>(std::int64_t{0});
  if (!scale) {
    shared_.events.record(*budget, {.type = kubeclient::EventType::warning,
                                    .reason = "CalculateExpectedPodCountFailed",
                                    .message = scale.error().message});
    CO_TRY_VOID(co_await write_status(shared_, shared_.disruption_budgets, budget,
                                      with_failure(*budget, scale.error().message, now)));
    co_return Reconciled{};
  }
  Duration again_after{};
  json::object disrupted = still_disrupted(*budget, pods, now, again_after);
  const Budgeting weighed = weigh_budget(*budget, pods, *scale, now);
  CO_TRY_VOID(co_await write_status(shared_, shared_.disruption_budgets, budget,
                                    with_status(*budget, weighed, std::move(disrupted), now)));
  co_return Reconciled{.again_after = again_after};
}

}  // namespace tulle::controllers
