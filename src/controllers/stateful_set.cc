#include "controllers/stateful_set.h"

#include "controllers/stateful_pod.h"
#include "rt/combine.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 8;
constexpr std::string_view kKind = "StatefulSet";
constexpr std::string_view kHashLabel = "controller.kubernetes.io/hash";

bool is_running_and_ready(const json::object& pod) {
  return kube::string_at(pod, "status.phase") == "Running" && is_ready(pod);
}

ReplicaState state_of(const ObjectPtr& pod, std::int64_t min_ready_seconds, kube::Time now) {
  if (!pod) return ReplicaState::absent;
  if (kube::is_deleting(*pod)) return ReplicaState::ending;
  if (!is_active(*pod)) return ReplicaState::ended;
  if (!is_running_and_ready(*pod)) return ReplicaState::not_ready;
  Duration until{};
  return is_available(*pod, min_ready_seconds, now, until) ? ReplicaState::available
                                                           : ReplicaState::unavailable;
}

StatefulRevisions names_of(const json::object& set, const std::vector<ObjectPtr>& revisions) {
  StatefulRevisions names{.newest = std::string(kube::name_of(*revisions.back()))};
  const std::string_view current = kube::string_at(set, "status.currentRevision");
  const bool known = std::ranges::any_of(revisions, [current](const ObjectPtr& revision) {
    return kube::name_of(*revision) == current;
  });
  names.current = known ? std::string(current) : names.newest;
  return names;
}

LiveRevisions live_revisions(const StatefulRevisions& names, const std::vector<ObjectPtr>& pods) {
  LiveRevisions live{names.current, names.newest};
  for (const ObjectPtr& pod : pods) live.emplace(kube::label_of(*pod, kRevisionLabel));
  return live;
}

}  // namespace

StatefulPods by_ordinal(const json::object& set, const std::vector<ObjectPtr>& pods) {
  const auto wanted = static_cast<std::size_t>(
      std::max<std::int64_t>(0, kube::integer_at(set, "spec.replicas", 1)));
  StatefulPods sorted{
      .first = kube::integer_at(set, "spec.ordinals.start"),
      .replicas = std::vector<ObjectPtr>(std::min(wanted, pods.size() + replicas_ahead_max))};
  for (const ObjectPtr& pod : pods) {
    const auto ordinal = ordinal_in(kube::name_of(*pod), set);
    if (!ordinal) continue;
    const std::int64_t index = *ordinal - sorted.first;
    if (index < 0 || static_cast<std::size_t>(index) >= wanted) {
      sorted.condemned.push_back(pod);
    } else if (static_cast<std::size_t>(index) < sorted.replicas.size()) {
      sorted.replicas[static_cast<std::size_t>(index)] = pod;
    }
  }
  std::ranges::sort(sorted.condemned, std::ranges::greater(),
                    [&set](const ObjectPtr& pod) { return ordinal_in(kube::name_of(*pod), set); });
  return sorted;
}

json::object stateful_status(const json::object& set, const std::vector<ObjectPtr>& pods,
                             const StatefulRevisions& revisions, kube::Time now,
                             Duration& again_after) {
  const std::int64_t min_ready = kube::integer_at(set, "spec.minReadySeconds");
  std::int64_t ready = 0;
  std::int64_t available = 0;
  std::int64_t current = 0;
  std::int64_t updated = 0;
  for (const ObjectPtr& pod : pods) {
    if (is_running_and_ready(*pod)) {
      ++ready;
      available += is_available(*pod, min_ready, now, again_after) ? 1 : 0;
    }
    if (kube::is_deleting(*pod)) continue;
    const std::string_view revision = kube::label_of(*pod, kRevisionLabel);
    current += revision == revisions.current ? 1 : 0;
    updated += revision == revisions.newest ? 1 : 0;
  }
  const auto count = static_cast<std::int64_t>(pods.size());
  const std::int64_t wanted = kube::integer_at(set, "spec.replicas", 1);
  const bool complete =
      stateful_strategy(set).rolling && updated == wanted && ready == wanted && count == wanted;
  json::object status = kube::object_at(set, "status");
  status["replicas"] = count;
  status["availableReplicas"] = available;
  put_count(status, "readyReplicas", ready);
  put_count(status, "currentReplicas", complete ? updated : current);
  put_count(status, "updatedReplicas", updated);
  put_count(status, "observedGeneration", kube::generation_of(set));
  status["currentRevision"] = complete ? revisions.newest : revisions.current;
  status["updateRevision"] = revisions.newest;
  return status;
}

StatefulSetController::StatefulSetController(Shared& shared)
    : shared_(shared),
      ending_(shared),
      history_(shared, shared.stateful_sets, kHashLabel),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.stateful_sets.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    queue_.add(kube::key_of(after ? *after : *before));
  });
  shared_.pods.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    for (const ObjectPtr& pod : {before, after}) {
      if (!pod) continue;
      if (const auto owner = controller_key(*pod, kKind)) queue_.add(*owner);
    }
    enqueue_by_name(after ? *after : *before);
  });
  // A pod may wait for the claim of an earlier one to be gone.
  shared_.persistent_volume_claims.on_change(
      [this](const ObjectPtr& before, const ObjectPtr& after) {
        if (after) return;
        for (const auto& set : in_namespace(shared_.stateful_sets, kube::namespace_of(*before))) {
          if (!kube::array_at(*set, "spec.volumeClaimTemplates").empty()) {
            queue_.add(kube::key_of(*set));
          }
        }
      });
}

// A pod that is nobody's but has a name of a set's: it may be adopted, or out of the way at last.
void StatefulSetController::enqueue_by_name(const json::object& pod) {
  if (kube::controller_of(pod) != nullptr) return;
  for (const auto& set : in_namespace(shared_.stateful_sets, kube::namespace_of(pod))) {
    if (ordinal_in(kube::name_of(pod), *set)) queue_.add(kube::key_of(*set));
  }
}

rt::Task<void> StatefulSetController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "statefulset", reconcile_, kConcurrency);
}

// A set that is being deleted does nothing more: its pods go with it, or stay as orphans.
rt::Task<ApiResult<Reconciled>> StatefulSetController::reconcile(NamespacedName key) {
  const ObjectPtr set = shared_.stateful_sets.get(key);
  if (!set || kube::is_deleting(*set)) co_return Reconciled{};
  CO_TRY(const auto revisions, co_await history_.follow(set));
  CO_TRY(auto pods, co_await claim_pods(set));
  CO_TRY_VOID(co_await tend_all(set, by_ordinal(*set, pods)));
  const ApiResult<void> advanced = co_await advance(set, revisions);
  CO_TRY(pods, co_await claim_pods(set));
  const StatefulRevisions names = names_of(*set, revisions);
  const ObjectPtr current = shared_.stateful_sets.get(key);
  if (!current || kube::uid_of(*current) != kube::uid_of(*set)) co_return Reconciled{};
  // Of the set as it was acted upon: a later one is not observed yet.
  Duration again_after{};
  json::object changed = *current;
  changed["status"] = stateful_status(*set, pods, names, api_now(shared_.loop), again_after);
  CO_TRY_VOID(co_await write_status(shared_, shared_.stateful_sets, current, std::move(changed)));
  if (!advanced) co_return advanced.error();
  CO_TRY_VOID(co_await history_.forget(set, revisions, live_revisions(names, pods)));
  co_return Reconciled{.again_after = again_after};
}

rt::Task<ApiResult<std::vector<ObjectPtr>>> StatefulSetController::claim_pods(ObjectPtr set) {
  return claim(shared_, shared_.pods, std::move(set),
               [](const json::object& pod, const json::object& owner) {
                 return !kube::is_deleting(pod) && ordinal_in(kube::name_of(pod), owner);
               });
}

StatefulView StatefulSetController::view_of(const json::object& set, const StatefulPods& pods,
                                            std::string_view newest) const {
  const std::int64_t min_ready = kube::integer_at(set, "spec.minReadySeconds");
  const kube::Time now = api_now(shared_.loop);
  const auto seen = [&](const std::vector<ObjectPtr>& from) {
    std::vector<Replica> replicas;
    replicas.reserve(from.size());
    for (const ObjectPtr& pod : from) {
      const bool ending = pod && ending_.contains(*pod);
      replicas.push_back({.state = ending ? ReplicaState::ending : state_of(pod, min_ready, now),
                          .updated = pod && kube::label_of(*pod, kRevisionLabel) == newest});
    }
    return replicas;
  };
  return {.strategy = stateful_strategy(set),
          .replicas = seen(pods.replicas),
          .condemned = seen(pods.condemned)};
}

// The set's pods as the cache has them in this turn.
StatefulPods StatefulSetController::pods_now(const json::object& set) const {
  std::vector<ObjectPtr> pods = in_namespace(shared_.pods, kube::namespace_of(set));
  std::erase_if(pods, [&set](const ObjectPtr& pod) {
    return !kube::is_controlled_by(*pod, kube::uid_of(set));
  });
  return by_ordinal(set, pods);
}

rt::Task<ApiResult<void>> StatefulSetController::tend_all(ObjectPtr set, StatefulPods pods) {
  for (const ObjectPtr& pod : pods.replicas) {
    if (pod) CO_TRY_VOID(co_await tend(set, pod, false));
  }
  for (const ObjectPtr& pod : pods.condemned) CO_TRY_VOID(co_await tend(set, pod, true));
  co_return ApiResult<void>();
}

// What is decided here is decided within one turn: nothing that was seen before a wait counts.
rt::Task<ApiResult<void>> StatefulSetController::advance(ObjectPtr set,
                                                         std::vector<ObjectPtr> revisions) {
  const StatefulPods pods = pods_now(*set);
  const StatefulRevisions names = names_of(*set, revisions);
  const auto current = std::ranges::find_if(revisions, [&names](const ObjectPtr& revision) {
    return kube::name_of(*revision) == names.current;
  });
  const StatefulView view = view_of(*set, pods, names.newest);
  StatefulSteps steps = next_steps(view);
  steps.remove.resize(std::min(steps.remove.size(), burst_max));
  steps.remove_condemned.resize(std::min(steps.remove_condemned.size(), burst_max));
  std::vector<rt::Task<ApiResult<void>>> tasks;
  tasks.reserve(steps.create.size() + steps.remove.size() + steps.remove_condemned.size());
  for (const std::size_t i : steps.create) {
    const ObjectPtr& revision = is_made_updated(view.strategy, i) ? revisions.back() : *current;
    tasks.push_back(create_pod(set, revision, pods.first + static_cast<std::int64_t>(i)));
  }
  for (const std::size_t i : steps.remove) tasks.push_back(delete_pod(set, pods.replicas[i]));
  for (const std::size_t i : steps.remove_condemned) {
    tasks.push_back(delete_pod(set, pods.condemned[i]));
  }
  co_return first_failure(co_await rt::all(shared_.loop, std::move(tasks)));
}

rt::Task<ApiResult<void>> StatefulSetController::create_pod(ObjectPtr set, ObjectPtr revision,
                                                            std::int64_t ordinal) {
  CO_TRY(const bool claimed, co_await create_claims(set, ordinal));
  if (!claimed) co_return ApiResult<void>();
  json::object pod = stateful_pod(*set, template_in(*revision), kube::name_of(*revision), ordinal);
  const NamespacedName key = kube::key_of(pod);
  auto created = co_await shared_.client.create(kubeclient::kPods, std::move(pod));
  ApiResult<void> outcome;
  if (created) {
    shared_.pods.observe(*created);
  } else {
    outcome = created.error();
    // Made by a try whose answer was lost: the cache will show it.
    const bool behind = created.error().is(kube::Reason::already_exists) && !shared_.pods.get(key);
    if (behind) co_return outcome;
  }
  say(*set, "create", fmt::format("Pod {}", key.name), outcome);
  co_return outcome;
}

rt::Task<ApiResult<void>> StatefulSetController::delete_pod(ObjectPtr set, ObjectPtr pod) {
  ending_.told(*pod);
  const ApiResult<void> outcome = co_await remove(shared_, kubeclient::kPods, pod);
  if (outcome) ending_.answered(*pod);
  say(*set, "delete", fmt::format("Pod {}", kube::name_of(*pod)), outcome);
  co_return outcome;
}

// False: the pod has to wait, for one of its claims is about to go.
rt::Task<ApiResult<bool>> StatefulSetController::create_claims(ObjectPtr set,
                                                               std::int64_t ordinal) {
  const std::string pod = pod_name(*set, ordinal);
  bool all = true;
  for (json::object& claim : claims_of(*set, ordinal)) {
    const NamespacedName key = kube::key_of(claim);
    if (const ObjectPtr existing = shared_.persistent_volume_claims.get(key)) {
      all = all && !kube::is_deleting(*existing) && !goes_with_earlier_pod(*existing, pod);
      continue;
    }
    json::array owners = claim_owner_references(claim, {.set = *set});
    if (!owners.empty()) kube::set_at(claim, "metadata.ownerReferences", std::move(owners));
    const auto created =
        co_await shared_.client.create(kubeclient::kPersistentVolumeClaims, std::move(claim));
    ApiResult<void> outcome;
    if (created) {
      shared_.persistent_volume_claims.observe(*created);
    } else {
      outcome = created.error();
    }
    say(*set, "create", fmt::format("Claim {} Pod {}", key.name, pod), outcome);
    if (!outcome) co_return outcome.error();
  }
  co_return all;
}

// What a pod that is there is due: its claims belong to whom the retention policy says, and one
// that it waits for is made again. If it may not have heard that it has to go, it is told so.
rt::Task<ApiResult<void>> StatefulSetController::tend(ObjectPtr set, ObjectPtr pod,
                                                      bool condemned) {
  if (ending_.is_unanswered(*pod)) CO_TRY_VOID(co_await delete_pod(set, pod));
  const auto ordinal = ordinal_in(kube::name_of(*pod), *set);
  if (!ordinal) co_return ApiResult<void>();
  for (const json::object& claim : claims_of(*set, *ordinal)) {
    const ObjectPtr existing = shared_.persistent_volume_claims.get(kube::key_of(claim));
    if (!existing || kube::is_deleting(*existing)) continue;
    json::array owners =
        claim_owner_references(*existing, {.set = *set, .pod = pod.get(), .condemned = condemned});
    if (owners == kube::owner_references_of(*existing)) continue;
    json::object changed = *existing;
    kube::set_at(changed, "metadata.ownerReferences", std::move(owners));
    CO_TRY(const ObjectPtr written,
           co_await shared_.client.update(kubeclient::kPersistentVolumeClaims, std::move(changed),
                                          {}));
    shared_.persistent_volume_claims.observe(written);
  }
  const bool waits = kube::string_at(*pod, "status.phase") == "Pending";
  if (waits && !condemned && !kube::is_deleting(*pod)) {
    const auto created = co_await create_claims(set, *ordinal);
    if (!created) co_return created.error();
  }
  co_return ApiResult<void>();
}

void StatefulSetController::say(const json::object& set, std::string_view verb,
                                std::string_view what, const ApiResult<void>& outcome) {
  const std::string text = fmt::format("{} {} in StatefulSet {}", verb, what, kube::name_of(set));
  const std::string_view action = verb == "create" ? "Create" : "Delete";
  if (outcome) {
    shared_.events.record(
        set, {.reason = fmt::format("Successful{}", action), .message = text + " successful"});
  } else {
    shared_.events.record(
        set, {.type = kubeclient::EventType::warning,
              .reason = fmt::format("Failed{}", action),
              .message = fmt::format("{} failed error: {}", text, outcome.error().message)});
  }
}

}  // namespace tulle::controllers
