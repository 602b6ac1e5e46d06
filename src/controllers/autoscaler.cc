#include "controllers/autoscaler.h"

#include "controllers/pod_metrics.h"
#include "kube/selector.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 4;

kubeclient::ObjectKey object_key(const json::object& object) {
  return {.namespace_ = std::string(kube::namespace_of(object)),
          .name = std::string(kube::name_of(object))};
}

}  // namespace

struct AutoscalerController::Target {
  const kubeclient::Cache* cache = nullptr;
  ObjectPtr workload;
  PodMetrics metrics;

  std::int64_t replicas() const { return kube::integer_at(*workload, "spec.replicas", 1); }
};

// The autoscaler with the status that it is going to have.
class AutoscalerController::Report final {
 public:
  Report(const json::object& autoscaler, kube::Time now) : changed_(autoscaler), now_(now) {
    json::object& status = kube::ensure_object(changed_, "status");
    status["observedGeneration"] = kube::generation_of(autoscaler);
  }

  void say(std::string type, bool holds, std::string reason, std::string message) {
    kube::set_condition(changed_,
                        {.type = std::move(type),
                         .status = holds ? "True" : "False",
                         .reason = std::move(reason),
                         .message = std::move(message)},
                        now_);
  }
  void metrics(json::array current) {
    if (current.empty()) {
      status().erase("currentMetrics");
    } else {
      status()["currentMetrics"] = std::move(current);
    }
  }
  void replicas(std::int64_t current, std::int64_t desired) {
    status()["currentReplicas"] = current;
    status()["desiredReplicas"] = desired;
    if (current != desired) status()["lastScaleTime"] = kube::format_time(now_);
  }

  json::object take() { return std::move(changed_); }

 private:
  json::object& status() { return kube::ensure_object(changed_, "status"); }

  json::object changed_;
  kube::Time now_;
};

namespace {

struct Recommendation {
  std::int64_t replicas = 0;
  std::string description;  // of the metric that asks for it
};

// The largest of what the metrics propose. Nothing where none can be read, or where one cannot and
// the others would take pods away.
template <class Report>
std::optional<Recommendation> recommend(const json::object& autoscaler, const PodMetrics& metrics,
                                        std::int64_t current, Report& report) {
  const Tolerance tolerance = scaling_behavior(kube::object_at(autoscaler, "spec")).tolerance;
  std::optional<Recommendation> most;
  std::optional<MetricFailure> failure;
  json::array measured;
  for (const json::value& metric : kube::array_at(autoscaler, "spec.metrics")) {
    auto weighed = weigh_metric(kube::object_or_empty(metric), metrics, current, tolerance);
    if (!weighed) {
      if (!failure) failure = std::move(weighed).error();
      continue;
    }
    measured.push_back(std::move(weighed->status));
    if (!most || weighed->replicas > most->replicas) {
      most = {.replicas = weighed->replicas, .description = std::move(weighed->description)};
    }
  }
  report.metrics(std::move(measured));
  if (failure && (!most || most->replicas < current)) {
    report.say("ScalingActive", false, failure->reason,
               "the HPA was unable to compute the replica count: " + failure->message);
    return std::nullopt;
  }
  if (most) {
    report.say("ScalingActive", true, "ValidMetricFound",
               fmt::format("the HPA was able to successfully calculate a replica count from {}",
                           most->description));
  }
  return most;
}

std::string_view limit_message(std::string_view reason) {
  if (reason == "TooManyReplicas") {
    return "the desired replica count is more than the maximum replica count";
  }
  if (reason == "TooFewReplicas") {
    return "the desired replica count is less than the minimum replica count";
  }
  if (reason == "ScaleUpLimit") {
    return "the desired replica count is increasing faster than the maximum scale rate";
  }
  if (reason == "ScaleDownLimit") {
    return "the desired replica count is decreasing faster than the maximum scale rate";
  }
  return "the desired count is within the acceptable range";
}

}  // namespace

AutoscalerController::AutoscalerController(Shared& shared, RequestRates* rates)
    : shared_(shared),
      rates_(rates),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.autoscalers.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    if (!after) {
      histories_.erase(std::string(kube::uid_of(*before)));
    } else if (!before || kube::generation_of(*before) != kube::generation_of(*after)) {
      queue_.add(kube::key_of(*after));
    }
  });
}

rt::Task<void> AutoscalerController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "autoscaler", reconcile_, kConcurrency);
}

ApiResult<AutoscalerController::Target> AutoscalerController::target_of(
    const json::object& autoscaler) const {
  const json::object& reference = kube::object_at(autoscaler, "spec.scaleTargetRef");
  const std::string_view kind = kube::string_at(reference, "kind");
  const NamespacedName key{.namespace_ = std::string(kube::namespace_of(autoscaler)),
                           .name = std::string(kube::string_at(reference, "name"))};
  Target target;
  for (const auto* cache : {&shared_.deployments, &shared_.replica_sets, &shared_.stateful_sets}) {
    if (cache->resource().kind == kind) target.cache = cache;
  }
  if (target.cache == nullptr) {
    return kube::bad_request(
        fmt::format("the kind {} cannot be scaled: Deployment, ReplicaSet and "
                    "StatefulSet can",
                    kind));
  }
  target.workload = target.cache->get(key);
  const auto& resource = target.cache->resource();
  if (!target.workload) {
    return kube::not_found({std::string(resource.group), std::string(resource.plural)}, key.name);
  }
  TRY(const auto selector,
      kube::Selector::from_label_selector(kube::object_at(*target.workload, "spec.selector")));
  for (ObjectPtr& pod : in_namespace(shared_.pods, key.namespace_)) {
    if (selector.matches(kube::labels_of(*pod))) target.metrics.pods.push_back(std::move(pod));
  }
  target.metrics.rates = rates_;
  target.metrics.now = api_now(shared_.loop);
  return target;
}

rt::Task<ApiResult<Reconciled>> AutoscalerController::reconcile(NamespacedName key) {
  const ObjectPtr autoscaler = shared_.autoscalers.get(key);
  if (!autoscaler || kube::is_deleting(*autoscaler)) co_return Reconciled{};
  json::object changed;
  if (auto target = target_of(*autoscaler)) {
    CO_TRY(changed, co_await adjusted(autoscaler, *std::move(target)));
  } else {
    Report report(*autoscaler, api_now(shared_.loop));
    report.say("AbleToScale", false, "FailedGetScale",
               "the HPA controller was unable to get the target's current scale: " +
                   target.error().message);
    changed = report.take();
  }
  CO_TRY_VOID(co_await write_status(shared_, shared_.autoscalers, autoscaler, std::move(changed)));
  co_return Reconciled{.again_after = period};
}

// What the metrics and the bounds ask for, if anything is to change.
std::optional<AutoscalerController::Change> AutoscalerController::decide(
    const json::object& autoscaler, const Target& target, Report& report) {
  const std::int64_t current = target.replicas();
  const ScaleHistory::Bounds bounds{.min = kube::integer_at(autoscaler, "spec.minReplicas", 1),
                                    .max = kube::integer_at(autoscaler, "spec.maxReplicas", 1)};
  auto wanted = recommend(autoscaler, target.metrics, current, report);
  if (!wanted) {
    if (current >= bounds.min && current <= bounds.max) return std::nullopt;
    wanted = {.replicas = current, .description = "the bounds"};
  }
  const ScaleDecision decision = histories_[std::string(kube::uid_of(autoscaler))].decide(
      current, wanted->replicas, bounds, scaling_behavior(kube::object_at(autoscaler, "spec")),
      shared_.loop.now());
  report.say("ScalingLimited", !decision.limit.empty(),
             decision.limit.empty() ? "DesiredWithinRange" : std::string(decision.limit),
             std::string(limit_message(decision.limit)));
  if (decision.replicas != current) {
    return Change{.replicas = decision.replicas, .metric = std::move(wanted->description)};
  }
  report.say("AbleToScale", true, decision.stabilized ? "ScaleDownStabilized" : "ReadyForNewScale",
             decision.stabilized
                 ? "recent recommendations were higher than current one, applying the highest "
                   "recent recommendation"
                 : "recommended size matches current size");
  return std::nullopt;
}

// Scales the target as its metrics ask, and gives the autoscaler with its new status.
rt::Task<ApiResult<json::object>> AutoscalerController::adjusted(ObjectPtr autoscaler,
                                                                 Target target) {
  Report report(*autoscaler, target.metrics.now);
  report.say("AbleToScale", true, "SucceededGetScale",
             "the HPA controller was able to get the target's current scale");
  const std::int64_t current = target.replicas();
  report.replicas(current, current);
  if (current == 0) {
    report.say("ScalingActive", false, "ScalingDisabled",
               "scaling is disabled since the replica count of the target is zero");
    co_return report.take();
  }
  // Metrics that cannot be read are as absent: the conditions say so.
  auto usage = co_await shared_.client.list(
      kubeclient::kPodMetrics, {.namespace_ = std::string(kube::namespace_of(*autoscaler))});
  if (usage) {
    for (ObjectPtr& pod : usage->items) {
      std::string name(kube::name_of(*pod));
      target.metrics.usage.emplace(std::move(name), std::move(pod));
    }
  }
  const auto change = decide(*autoscaler, target, report);
  if (!change) co_return report.take();
  CO_TRY_VOID(co_await scale(target, change->replicas));
  histories_[std::string(kube::uid_of(*autoscaler))].scaled(current, change->replicas,
                                                            shared_.loop.now());
  const std::string_view side = change->replicas > current ? "above" : "below";
  shared_.events.record(
      *autoscaler, {.reason = "SuccessfulRescale",
                    .message = fmt::format("New size: {}; reason: {} {} target", change->replicas,
                                           change->metric, side)});
  report.say("AbleToScale", true, "SucceededRescale",
             fmt::format("the HPA controller was able to update the target scale to {}",
                         change->replicas));
  report.replicas(current, change->replicas);
  co_return report.take();
}

rt::Task<ApiResult<void>> AutoscalerController::scale(Target target, std::int64_t replicas) {
  json::object patch{{"metadata", {{"uid", kube::uid_of(*target.workload)}}},
                     {"spec", {{"replicas", replicas}}}};
  CO_TRY_VOID(co_await shared_.client.patch(target.cache->resource(), object_key(*target.workload),
                                            kubeclient::PatchType::merge, std::move(patch), {}));
  co_return ApiResult<void>();
}

}  // namespace tulle::controllers
