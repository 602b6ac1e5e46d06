// What a Deployment says of itself: counters and the conditions Available and Progressing, as
// `kubectl rollout status` and `kubectl wait` read them.
#include "controllers/deployment.h"
#include "controllers/rollout.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

struct Totals {
  std::int64_t replicas = 0;
  std::int64_t ready = 0;
  std::int64_t available = 0;
};

void add(Totals& totals, const json::object& set) {
  totals.replicas += kube::integer_at(set, "status.replicas");
  totals.ready += kube::integer_at(set, "status.readyReplicas");
  totals.available += kube::integer_at(set, "status.availableReplicas");
}

void put(json::object& status, std::string_view field, std::int64_t value) {
  if (value == 0) {
    status.erase(field);
  } else {
    status[field] = value;
  }
}

void set_available(json::object& deployment, const Totals& totals, kube::Time now) {
  const std::int64_t wanted = kube::integer_at(deployment, "spec.replicas", 1);
  const std::int64_t least = wanted - rollout_limits(deployment, wanted).unavailable;
  const bool enough = totals.available >= least;
  kube::set_condition(deployment,
                      {.type = "Available",
                       .status = enough ? "True" : "False",
                       .reason = enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                       .message = enough ? "Deployment has minimum availability."
                                         : "Deployment does not have minimum availability."},
                      now);
}

bool moved(const json::object& before, const json::object& after) {
  const auto more = [&](std::string_view path) {
    return kube::integer_at(after, path) > kube::integer_at(before, path);
  };
  const auto old_pods = [](const json::object& object) {
    return kube::integer_at(object, "status.replicas") -
           kube::integer_at(object, "status.updatedReplicas");
  };
  return more("status.updatedReplicas") || more("status.readyReplicas") ||
         more("status.availableReplicas") || old_pods(after) < old_pods(before);
}

bool complete(const json::object& deployment) {
  const std::int64_t wanted = kube::integer_at(deployment, "spec.replicas", 1);
  return kube::integer_at(deployment, "status.updatedReplicas") == wanted &&
         kube::integer_at(deployment, "status.replicas") == wanted &&
         kube::integer_at(deployment, "status.availableReplicas") == wanted;
}

}  // namespace

rt::Task<ApiResult<Duration>> DeploymentController::update_status(ObjectPtr deployment,
                                                                  const Sets& sets) {
  Totals totals;
  for (const ObjectPtr& set : sets.old) add(totals, *set);
  if (sets.newest) add(totals, *sets.newest);
  json::object changed = *deployment;
  json::object& status = kube::ensure_object(changed, "status");
  status["observedGeneration"] = kube::generation_of(*deployment);
  put(status, "replicas", totals.replicas);
  put(status, "updatedReplicas",
      sets.newest ? kube::integer_at(*sets.newest, "status.replicas") : 0);
  put(status, "readyReplicas", totals.ready);
  put(status, "availableReplicas", totals.available);
  put(status, "unavailableReplicas",
      std::max<std::int64_t>(
          0, std::max(totals.replicas, kube::integer_at(changed, "spec.replicas", 1)) -
                 totals.available));
  set_available(changed, totals, api_now(shared_.loop));
  Duration again_after{};
  set_progress(changed, *deployment, sets, again_after);
  CO_TRY_VOID(co_await write_status(shared_, shared_.deployments, deployment, std::move(changed)));
  co_return again_after;
}

void DeploymentController::set_progress(json::object& deployment, const json::object& before,
                                        const Sets& sets, Duration& again_after) const {
  if (!sets.newest || kube::find(deployment, "spec.progressDeadlineSeconds") == nullptr) return;
  const kube::Time now = api_now(shared_.loop);
  const std::string set(kube::name_of(*sets.newest));
  const json::object* last = kube::find_condition(before, "Progressing");
  const std::string_view reason =
      last == nullptr ? std::string_view{} : kube::string_at(*last, "reason");
  kube::Condition next{.type = "Progressing", .status = "True", .reason = {}, .message = {}};
  bool touch = false;
  if (complete(deployment)) {
    next.reason = "NewReplicaSetAvailable";
    next.message = fmt::format("ReplicaSet \"{}\" has successfully progressed.", set);
    touch = reason != next.reason;
  } else if (last == nullptr) {
    next.reason = "NewReplicaSetCreated";
    next.message = fmt::format("Created new replica set \"{}\"", set);
    touch = true;
  } else if (moved(before, deployment) || reason == "NewReplicaSetAvailable") {
    next.reason = "ReplicaSetUpdated";
    next.message = fmt::format("ReplicaSet \"{}\" is progressing.", set);
    touch = true;
  } else if (!kube::bool_at(deployment, "spec.paused")) {
    const auto since = kube::parse_time(kube::string_at(*last, "lastUpdateTime"));
    const auto limit =
        std::chrono::seconds(kube::integer_at(deployment, "spec.progressDeadlineSeconds"));
    const Duration left = since ? Duration(*since + limit - now) : Duration::zero();
    if (left > Duration::zero()) {
      again_after = left;
      return;
    }
    next.status = "False";
    next.reason = "ProgressDeadlineExceeded";
    next.message = fmt::format("ReplicaSet \"{}\" has timed out progressing.", set);
    touch = reason != next.reason;
  } else {
    return;
  }
  kube::set_condition(deployment, next, now);
  if (!touch) return;
  for (auto& condition : kube::ensure_array(deployment, "status.conditions")) {
    json::object* object = condition.if_object();
    if (object != nullptr && kube::string_at(*object, "type") == next.type) {
      (*object)["lastUpdateTime"] = kube::format_time(now);
    }
  }
}

}  // namespace tulle::controllers
