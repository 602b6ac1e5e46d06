#include "controllers/replica_set.h"

#include "kube/selector.h"
#include "rt/combine.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <tuple>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 8;

std::int64_t deletion_cost(const json::object& pod) {
  const std::string_view text =
      kube::annotation_of(pod, "controller.kubernetes.io/pod-deletion-cost");
  std::int64_t cost = 0;
  std::from_chars(text.data(), text.data() + text.size(), cost);
  return cost;
}

int phase_rank(const json::object& pod) {
  const std::string_view phase = kube::string_at(pod, "status.phase");
  return phase == "Running" ? 2 : phase == "Unknown" ? 1 : 0;
}

std::int64_t restarts(const json::object& pod) {
  std::int64_t most = 0;
  for (const auto& status : kube::array_at(pod, "status.containerStatuses")) {
    most = std::max(most, kube::integer_at(kube::object_or_empty(status), "restartCount"));
  }
  return most;
}

std::string_view ready_since(const json::object& pod) {
  const json::object* condition = kube::find_condition(pod, "Ready");
  return condition == nullptr ? std::string_view{}
                              : kube::string_at(*condition, "lastTransitionTime");
}

}  // namespace

void sort_victims_first(std::vector<ObjectPtr>& pods) {
  const auto rank = [](const json::object& pod) {
    return std::tuple(!kube::string_at(pod, "spec.nodeName").empty(), phase_rank(pod),
                      is_ready(pod), deletion_cost(pod));
  };
  std::ranges::sort(pods, [&rank](const ObjectPtr& a, const ObjectPtr& b) {
    const auto rank_a = rank(*a);
    const auto rank_b = rank(*b);
    if (rank_a != rank_b) return rank_a < rank_b;
    // Younger first; texts of RFC 3339 compare as times do.
    if (ready_since(*a) != ready_since(*b)) return ready_since(*a) > ready_since(*b);
    if (restarts(*a) != restarts(*b)) return restarts(*a) > restarts(*b);
    return std::tuple(kube::string_at(*a, "metadata.creationTimestamp"), kube::name_of(*a)) >
           std::tuple(kube::string_at(*b, "metadata.creationTimestamp"), kube::name_of(*b));
  });
}

ReplicaSetController::ReplicaSetController(Shared& shared)
    : shared_(shared),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.replica_sets.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    queue_.add(kube::key_of(after ? *after : *before));
  });
  shared_.pods.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    for (const ObjectPtr& pod : {before, after}) {
      if (!pod) continue;
      if (const auto owner = controller_key(*pod, "ReplicaSet")) queue_.add(*owner);
    }
    if (!after || kube::is_deleting(*after)) {
      ending_.erase(std::string(kube::uid_of(before ? *before : *after)));
    }
    if (after && kube::controller_of(*after) == nullptr) {
      for (const auto& set : in_namespace(shared_.replica_sets, kube::namespace_of(*after))) {
        queue_.add(kube::key_of(*set));
      }
    }
  });
}

rt::Task<void> ReplicaSetController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "replicaset", reconcile_, kConcurrency);
}

rt::Task<ApiResult<Reconciled>> ReplicaSetController::reconcile(NamespacedName key) {
  const ObjectPtr set = shared_.replica_sets.get(key);
  if (!set) co_return Reconciled{};
  CO_TRY(auto pods, co_await claim_pods(set));
  ApiResult<void> managed;
  if (!kube::is_deleting(*set)) {
    const auto wanted = static_cast<std::size_t>(
        std::max<std::int64_t>(0, kube::integer_at(*set, "spec.replicas", 1)));
    if (pods.size() < wanted) {
      managed = co_await create_pods(set, std::min(burst_max, wanted - pods.size()));
    } else if (pods.size() > wanted) {
      managed = co_await delete_pods(set, pods, std::min(burst_max, pods.size() - wanted));
    }
    CO_TRY(pods, co_await claim_pods(set));
  }
  Duration again_after{};
  const ObjectPtr current = shared_.replica_sets.get(key);
  if (!current) co_return Reconciled{};
  CO_TRY_VOID(co_await write_status(shared_, shared_.replica_sets, current,
                                    with_status(*current, pods, again_after)));
  if (!managed) co_return managed.error();
  co_return Reconciled{.again_after = again_after};
}

// The set's active pods, orphans that match adopted on the way.
rt::Task<ApiResult<std::vector<ObjectPtr>>> ReplicaSetController::claim_pods(ObjectPtr set) {
  CO_TRY(auto pods, co_await claim(shared_, shared_.pods, set,
                                   [](const json::object& pod, const json::object&) {
                                     return is_active(pod);
                                   }));
  std::erase_if(pods, [this](const ObjectPtr& pod) {
    return !is_active(*pod) || ending_.contains(kube::uid_of(*pod));
  });
  co_return pods;
}

rt::Task<ApiResult<void>> ReplicaSetController::create_pods(ObjectPtr set, std::size_t count) {
  std::vector<rt::Task<ApiResult<void>>> tasks;
  tasks.reserve(count);
  for (std::size_t i = 0; i < count; ++i) tasks.push_back(create_pod(set));
  const auto outcomes = co_await rt::all(shared_.loop, std::move(tasks));
  co_return first_failure(outcomes);
}

rt::Task<ApiResult<void>> ReplicaSetController::create_pod(ObjectPtr set) {
  json::object pod = pod_from_template(*set, kube::object_at(*set, "spec.template"));
  kube::set_at(pod, "metadata.generateName", json::string(fmt::format("{}-", kube::name_of(*set))));
  return controllers::create_pod(shared_, std::move(set), std::move(pod));
}

rt::Task<ApiResult<void>> ReplicaSetController::delete_pods(ObjectPtr set,
                                                            std::vector<ObjectPtr> pods,
                                                            std::size_t count) {
  sort_victims_first(pods);
  std::vector<rt::Task<ApiResult<void>>> tasks;
  tasks.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    ending_.insert(std::string(kube::uid_of(*pods[i])));
    tasks.push_back(delete_pod(set, pods[i]));
  }
  const auto outcomes = co_await rt::all(shared_.loop, std::move(tasks));
  co_return first_failure(outcomes);
}

rt::Task<ApiResult<void>> ReplicaSetController::delete_pod(ObjectPtr set, ObjectPtr pod) {
  auto deleted = co_await controllers::delete_pod(shared_, set, pod);
  if (!deleted) ending_.erase(std::string(kube::uid_of(*pod)));
  co_return deleted;
}

json::object ReplicaSetController::with_status(const json::object& set,
                                               const std::vector<ObjectPtr>& pods,
                                               Duration& again_after) const {
  const std::int64_t min_ready = kube::integer_at(set, "spec.minReadySeconds");
  const auto labels =
      kube::Selector::from_map(kube::object_at(set, "spec.template.metadata.labels"));
  const kube::Time now = api_now(shared_.loop);
  std::int64_t labeled = 0;
  std::int64_t ready = 0;
  std::int64_t available = 0;
  for (const ObjectPtr& pod : pods) {
    labeled += labels.matches(kube::labels_of(*pod)) ? 1 : 0;
    ready += is_ready(*pod) ? 1 : 0;
    available += is_available(*pod, min_ready, now, again_after) ? 1 : 0;
  }
  json::object changed = set;
  json::object& status = kube::ensure_object(changed, "status");
  status["replicas"] = static_cast<std::int64_t>(pods.size());
  put_count(status, "fullyLabeledReplicas", labeled);
  put_count(status, "readyReplicas", ready);
  put_count(status, "availableReplicas", available);
  put_count(status, "observedGeneration", kube::generation_of(set));
  return changed;
}

}  // namespace tulle::controllers
