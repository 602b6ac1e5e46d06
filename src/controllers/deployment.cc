#include "controllers/deployment.h"

#include "controllers/rollout.h"
#include "kube/names.h"
#include "kube/pod.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <charconv>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 8;
constexpr std::string_view kHashLabel = "pod-template-hash";
constexpr std::string_view kRevision = "deployment.kubernetes.io/revision";
constexpr std::string_view kDesired = "deployment.kubernetes.io/desired-replicas";
constexpr std::string_view kMax = "deployment.kubernetes.io/max-replicas";
constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

std::int64_t number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::int64_t replicas_of(const json::object& object) {
  return kube::integer_at(object, "spec.replicas", 1);
}

std::int64_t revision_of(const json::object& set) {
  return number(kube::annotation_of(set, kRevision));
}

// The template as the deployment gave it: without the label that we add.
json::value plain_template(const json::object& object) {
  json::object copy = kube::object_at(object, "spec.template");
  if (json::object* labels = kube::find_object(copy, "metadata.labels")) labels->erase(kHashLabel);
  return copy;
}

// Sorts by it: the older first.
std::pair<std::string_view, std::string_view> age_of(const json::object& set) {
  return {kube::string_at(set, "metadata.creationTimestamp"), kube::name_of(set)};
}

SetSize size_of(const json::object& set) {
  return {.spec = replicas_of(set), .available = kube::integer_at(set, "status.availableReplicas")};
}

std::vector<SetSize> sizes_of(const std::vector<ObjectPtr>& sets) {
  std::vector<SetSize> sizes;
  sizes.reserve(sets.size());
  for (const ObjectPtr& set : sets) sizes.push_back(size_of(*set));
  return sizes;
}

// With the pods that a set was told to give up and still has: they take up the room of new ones.
std::vector<SetSize> sizes_held_by(const std::vector<ObjectPtr>& sets) {
  std::vector<SetSize> sizes = sizes_of(sets);
  for (std::size_t i = 0; i < sets.size(); ++i) {
    sizes[i].spec = std::max(sizes[i].spec, kube::integer_at(*sets[i], "status.replicas"));
  }
  return sizes;
}

bool is_rolling(const json::object& deployment) {
  return kube::string_at(deployment, "spec.strategy.type", "RollingUpdate") != "Recreate";
}

std::int64_t surge_of(const json::object& deployment) {
  return is_rolling(deployment) ? rollout_limits(deployment, replicas_of(deployment)).surge : 0;
}

void annotate_scale(json::object& set, const json::object& deployment) {
  const std::int64_t wanted = replicas_of(deployment);
  kube::set_annotation(set, kDesired, std::to_string(wanted));
  kube::set_annotation(set, kMax, std::to_string(wanted + surge_of(deployment)));
}

json::object set_from(const json::object& deployment, std::string_view hash, std::int64_t replicas,
                      std::int64_t revision) {
  json::object set{{"apiVersion", "apps/v1"},
                   {"kind", "ReplicaSet"},
                   {"metadata",
                    {{"name", fmt::format("{}-{}", kube::name_of(deployment), hash)},
                     {"namespace", kube::namespace_of(deployment)},
                     {"ownerReferences", json::array{kube::controller_reference_to(deployment)}}}},
                   {"spec",
                    {{"replicas", replicas},
                     {"selector", kube::object_at(deployment, "spec.selector")},
                     {"template", kube::object_at(deployment, "spec.template")}}}};
  if (const auto ready = kube::integer_at(deployment, "spec.minReadySeconds"); ready != 0) {
    kube::set_at(set, "spec.minReadySeconds", ready);
  }
  json::object& labels = kube::ensure_object(set, "metadata.labels");
  labels = kube::object_at(deployment, "spec.template.metadata.labels");
  labels[kHashLabel] = hash;
  kube::ensure_object(set, "spec.template.metadata.labels")[kHashLabel] = hash;
  kube::ensure_object(set, "spec.selector.matchLabels")[kHashLabel] = hash;
  for (const auto& [key, value] : kube::annotations_of(deployment)) {
    if (key != kLastApplied) kube::set_annotation(set, key, kube::string_or(value));
  }
  kube::set_annotation(set, kRevision, std::to_string(revision));
  annotate_scale(set, deployment);
  return set;
}

template <class Visit>
void for_each_set(const ObjectPtr& newest, const std::vector<ObjectPtr>& old, Visit visit) {
  for (const ObjectPtr& set : old) visit(*set);
  if (newest) visit(*newest);
}

}  // namespace

DeploymentController::DeploymentController(Shared& shared)
    : shared_(shared),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.deployments.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    queue_.add(kube::key_of(after ? *after : *before));
  });
  shared_.replica_sets.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    for (const ObjectPtr& set : {before, after}) {
      if (!set) continue;
      if (const auto owner = controller_key(*set, "Deployment")) queue_.add(*owner);
    }
  });
  // Recreate waits for the last pod of the old sets to be gone.
  shared_.pods.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    if (after || !before) return;
    const auto set_key = controller_key(*before, "ReplicaSet");
    const ObjectPtr set = set_key ? shared_.replica_sets.get(*set_key) : nullptr;
    if (!set) return;
    if (const auto owner = controller_key(*set, "Deployment")) queue_.add(*owner);
  });
}

rt::Task<void> DeploymentController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "deployment", reconcile_, kConcurrency);
}

rt::Task<ApiResult<Reconciled>> DeploymentController::reconcile(NamespacedName key) {
  const ObjectPtr deployment = shared_.deployments.get(key);
  if (!deployment) co_return Reconciled{};
  CO_TRY(Sets sets, co_await claim_sets(deployment));
  ApiResult<void> advanced;
  if (!kube::is_deleting(*deployment)) advanced = co_await advance(deployment, sets);
  const ObjectPtr current = shared_.deployments.get(key);
  if (!current) co_return Reconciled{};
  CO_TRY(const Duration again_after, co_await update_status(current, sets));
  if (!advanced) co_return advanced.error();
  co_return Reconciled{.again_after = again_after};
}

rt::Task<ApiResult<DeploymentController::Sets>> DeploymentController::claim_sets(
    ObjectPtr deployment) {
  CO_TRY(auto claimed, co_await claim(shared_, shared_.replica_sets, deployment,
                                      [](const json::object& set, const json::object&) {
                                        return !kube::is_deleting(set);
                                      }));
  std::ranges::sort(claimed, [](const ObjectPtr& a, const ObjectPtr& b) {
    return std::tuple(revision_of(*a), kube::name_of(*a)) <
           std::tuple(revision_of(*b), kube::name_of(*b));
  });
  Sets sets;
  const json::value wanted = plain_template(*deployment);
  // Should several have the template, the one that was first: no step may change which it is.
  for (const ObjectPtr& set : claimed) {
    if (plain_template(*set) != wanted) continue;
    if (!sets.newest || age_of(*set) < age_of(*sets.newest)) sets.newest = set;
  }
  std::erase(claimed, sets.newest);
  sets.old = std::move(claimed);
  co_return sets;
}

// One step of the rollout. What a step changes brings the next one about.
rt::Task<ApiResult<void>> DeploymentController::advance(ObjectPtr deployment, Sets& sets) {
  const bool paused = kube::bool_at(*deployment, "spec.paused");
  bool scaled = false;
  for_each_set(sets.newest, sets.old, [&](const json::object& set) {
    const std::string_view desired = kube::annotation_of(set, kDesired);
    scaled = scaled || (replicas_of(set) > 0 && !desired.empty() &&
                        number(desired) != replicas_of(*deployment));
  });
  if (paused || scaled) {
    if (sets.newest) CO_TRY_VOID(co_await ensure_newest(deployment, sets, 0));
    CO_TRY_VOID(co_await follow_scale(deployment, sets));
  } else if (is_rolling(*deployment)) {
    CO_TRY_VOID(co_await roll(deployment, sets));
  } else {
    CO_TRY_VOID(co_await recreate(deployment, sets));
  }
  co_return co_await forget_history(deployment, sets);
}

// Makes the set of the current template where there is none, and gives it the newest revision.
rt::Task<ApiResult<void>> DeploymentController::ensure_newest(ObjectPtr deployment, Sets& sets,
                                                              std::int64_t replicas) {
  std::int64_t last = 0;
  for (const ObjectPtr& set : sets.old) last = std::max(last, revision_of(*set));
  if (!sets.newest) {
    CO_TRY_VOID(co_await create_newest(deployment, sets, replicas, last + 1));
  } else if (revision_of(*sets.newest) <= last) {
    // Rolled back: an old template is the current one again.
    json::object changed = *sets.newest;
    kube::set_annotation(changed, kRevision, std::to_string(last + 1));
    CO_TRY(sets.newest,
           co_await shared_.client.update(kubeclient::kReplicaSets, std::move(changed), {}));
    shared_.replica_sets.observe(sets.newest);
  }
  const std::string_view revision = kube::annotation_of(*sets.newest, kRevision);
  const ObjectPtr current = shared_.deployments.get(kube::key_of(*deployment));
  if (!current || kube::annotation_of(*current, kRevision) == revision) {
    co_return ApiResult<void>();
  }
  json::object annotated = *current;
  kube::set_annotation(annotated, kRevision, revision);
  CO_TRY(const ObjectPtr written,
         co_await shared_.client.update(kubeclient::kDeployments, std::move(annotated), {}));
  shared_.deployments.observe(written);
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> DeploymentController::create_newest(ObjectPtr deployment, Sets& sets,
                                                              std::int64_t replicas,
                                                              std::int64_t revision) {
  std::optional<std::int32_t> collisions;
  if (kube::find(*deployment, "status.collisionCount") != nullptr) {
    collisions = static_cast<std::int32_t>(kube::integer_at(*deployment, "status.collisionCount"));
  }
  const std::string hash = kube::template_hash(plain_template(*deployment), collisions);
  json::object set = set_from(*deployment, hash, replicas, revision);
  const kubeclient::ObjectKey key{.namespace_ = std::string(kube::namespace_of(set)),
                                  .name = std::string(kube::name_of(set))};
  auto created = co_await shared_.client.create(kubeclient::kReplicaSets, std::move(set));
  if (!created && created.error().is(kube::Reason::already_exists)) {
    // Made by an earlier try, whose answer was lost?
    const auto there = co_await shared_.client.get(kubeclient::kReplicaSets, key);
    if (!there) co_return there.error();
    if (kube::is_controlled_by(**there, kube::uid_of(*deployment)) &&
        plain_template(**there) == plain_template(*deployment)) {
      if (kube::is_deleting(**there)) co_return created.error();
      sets.newest = *there;
      shared_.replica_sets.observe(sets.newest);
      co_return ApiResult<void>();
    }
    // Another template has this hash: the next try takes another one.
    const ObjectPtr current = shared_.deployments.get(kube::key_of(*deployment));
    if (!current) co_return created.error();
    json::object changed = *current;
    kube::set_at(changed, "status.collisionCount", collisions.value_or(0) + 1);
    CO_TRY(const ObjectPtr written,
           co_await shared_.client.update(kubeclient::kDeployments, std::move(changed), "status"));
    shared_.deployments.observe(written);
    co_return created.error();
  }
  if (!created) co_return created.error();
  sets.newest = *std::move(created);
  shared_.replica_sets.observe(sets.newest);
  if (replicas > 0) {
    shared_.events.record(*deployment,
                          {.reason = "ScalingReplicaSet",
                           .message = fmt::format("Scaled up replica set {} from 0 to {}",
                                                  kube::name_of(*sets.newest), replicas)});
  }
  co_return ApiResult<void>();
}

// The number wanted has changed in the middle of a rollout, or while paused: the active sets change
// in proportion.
rt::Task<ApiResult<void>> DeploymentController::follow_scale(ObjectPtr deployment, Sets& sets) {
  const std::int64_t wanted = replicas_of(*deployment);
  std::vector<ObjectPtr*> active;
  for (ObjectPtr& set : sets.old) {
    if (replicas_of(*set) > 0) active.push_back(&set);
  }
  if (sets.newest && replicas_of(*sets.newest) > 0) active.push_back(&sets.newest);
  if (active.empty()) {
    if (sets.newest) co_return co_await scale(deployment, sets.newest, wanted);
    if (!sets.old.empty()) co_return co_await scale(deployment, sets.old.back(), wanted);
    co_return ApiResult<void>();
  }
  if (active.size() == 1) co_return co_await scale(deployment, *active.front(), wanted);
  // A new set that is complete takes it all.
  if (sets.newest && size_of(*sets.newest).available == wanted &&
      replicas_of(*sets.newest) == wanted) {
    for (ObjectPtr& set : sets.old) CO_TRY_VOID(co_await scale(deployment, set, 0));
    co_return ApiResult<void>();
  }
  std::vector<std::int64_t> sizes;
  sizes.reserve(active.size());
  for (ObjectPtr* set : active) sizes.push_back(replicas_of(**set));
  const auto next = proportional_sizes(wanted, sizes, surge_of(*deployment));
  for (std::size_t i = 0; i < active.size(); ++i) {
    CO_TRY_VOID(co_await scale(deployment, *active[i], next[i]));
  }
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> DeploymentController::roll(ObjectPtr deployment, Sets& sets) {
  const std::int64_t wanted = replicas_of(*deployment);
  const RolloutLimits limits = rollout_limits(*deployment, wanted);
  const SetSize none{};
  const std::int64_t first = next_new_size(wanted, none, sizes_held_by(sets.old), limits);
  CO_TRY_VOID(co_await ensure_newest(deployment, sets, first));
  const SetSize newest = size_of(*sets.newest);
  const std::int64_t up = next_new_size(wanted, newest, sizes_held_by(sets.old), limits);
  if (up != newest.spec) co_return co_await scale(deployment, sets.newest, up);
  // A status that does not know yet how many pods there should be says nothing of availability.
  if (kube::integer_at(*sets.newest, "status.observedGeneration") <
      kube::generation_of(*sets.newest)) {
    co_return ApiResult<void>();
  }
  const auto down = next_old_sizes(wanted, newest, sizes_of(sets.old), limits);
  for (std::size_t i = 0; i < sets.old.size(); ++i) {
    CO_TRY_VOID(co_await scale(deployment, sets.old[i], down[i]));
  }
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> DeploymentController::recreate(ObjectPtr deployment, Sets& sets) {
  bool stopped = true;
  for (ObjectPtr& set : sets.old) {
    stopped = stopped && replicas_of(*set) == 0;
    CO_TRY_VOID(co_await scale(deployment, set, 0));
  }
  if (!stopped || has_pods(sets)) co_return ApiResult<void>();
  const std::int64_t wanted = replicas_of(*deployment);
  CO_TRY_VOID(co_await ensure_newest(deployment, sets, wanted));
  co_return co_await scale(deployment, sets.newest, wanted);
}

// Whether a pod of an old set is still there, in whatever state.
bool DeploymentController::has_pods(const Sets& sets) const {
  for (const ObjectPtr& set : sets.old) {
    for (const ObjectPtr& pod : in_namespace(shared_.pods, kube::namespace_of(*set))) {
      if (kube::is_controlled_by(*pod, kube::uid_of(*set)) && !kube::has_ended(*pod)) return true;
    }
  }
  return false;
}

rt::Task<ApiResult<void>> DeploymentController::scale(ObjectPtr deployment, ObjectPtr& set,
                                                      std::int64_t replicas) {
  json::object changed = *set;
  const std::int64_t before = replicas_of(changed);
  annotate_scale(changed, *deployment);
  kube::set_at(changed, "spec.replicas", replicas);
  if (changed == *set) co_return ApiResult<void>();
  CO_TRY(set, co_await shared_.client.update(kubeclient::kReplicaSets, std::move(changed), {}));
  shared_.replica_sets.observe(set);
  if (before != replicas) {
    shared_.events.record(
        *deployment, {.reason = "ScalingReplicaSet",
                      .message = fmt::format("Scaled {} replica set {} from {} to {}",
                                             replicas > before ? "up" : "down", kube::name_of(*set),
                                             before, replicas)});
  }
  co_return ApiResult<void>();
}

// Old sets without pods go, but for the last few, which `kubectl rollout undo` goes back to.
rt::Task<ApiResult<void>> DeploymentController::forget_history(ObjectPtr deployment,
                                                               const Sets& sets) {
  const auto limit = static_cast<std::size_t>(
      std::max<std::int64_t>(0, kube::integer_at(*deployment, "spec.revisionHistoryLimit", 10)));
  if (sets.old.size() <= limit) co_return ApiResult<void>();
  for (std::size_t i = 0; i < sets.old.size() - limit; ++i) {
    const json::object& set = *sets.old[i];
    const bool empty = replicas_of(set) == 0 && kube::integer_at(set, "status.replicas") == 0;
    if (!empty || kube::is_deleting(set)) continue;
    CO_TRY_VOID(co_await remove(shared_, kubeclient::kReplicaSets, sets.old[i]));
  }
  co_return ApiResult<void>();
}

}  // namespace tulle::controllers
