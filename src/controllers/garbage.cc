#include "controllers/garbage.h"

#include "rt/combine.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 4;
constexpr std::string_view kForeground = "foregroundDeletion";
constexpr std::string_view kOrphan = "orphan";

template <class Visit>
void for_each_owner(const json::object& object, Visit visit) {
  for (const auto& value : kube::owner_references_of(object)) visit(kube::object_or_empty(value));
}

std::string uid_in(const json::object& reference) {
  return std::string(kube::string_at(reference, "uid"));
}

}  // namespace

GarbageController::GarbageController(Shared& shared) : shared_(shared) {
  for (const auto& cache : shared.caches) {
    auto tracked = std::make_unique<Tracked>(shared.loop, *cache, tracked_.size());
    tracked->reconcile = [this, &which = *tracked](NamespacedName key) {
      return reconcile(which, std::move(key));
    };
    cache->on_change([this, &which = *tracked](const ObjectPtr& before, const ObjectPtr& after) {
      see(which, before, after);
    });
    tracked_.push_back(std::move(tracked));
  }
}

rt::Task<void> GarbageController::run() {
  rt::Scope workers(shared_.loop);
  for (const auto& tracked : tracked_) {
    workers.spawn(kubeclient::run_workers(shared_.loop, tracked->queue, "garbage",
                                          tracked->reconcile, kConcurrency));
  }
  co_await workers.idle();
}

void GarbageController::see(Tracked& tracked, const ObjectPtr& before, const ObjectPtr& after) {
  const NamespacedName key = kube::key_of(after ? *after : *before);
  const Place place{.tracked = &tracked, .key = key};
  if (before) {
    for_each_owner(*before, [&](const json::object& owner) {
      const auto known = dependents_.find(uid_in(owner));
      if (known == dependents_.end()) return;
      known->second.erase(place);
      if (known->second.empty()) dependents_.erase(known);
    });
  }
  if (after) {
    alive_.insert(std::string(kube::uid_of(*after)));
    bool owned = false;
    for_each_owner(*after, [&](const json::object& owner) {
      dependents_[uid_in(owner)].insert(place);
      owned = true;
    });
    if (owned || kube::is_deleting(*after)) tracked.queue.add(key);
  }
  if (!before) return;
  // Something changed that owners or dependents wait for.
  const std::string uid(kube::uid_of(*before));
  const bool gone = !after || kube::uid_of(*after) != uid;
  if (gone) {
    alive_.erase(uid);
    const auto waiting = dependents_.find(uid);
    if (waiting != dependents_.end()) {
      for (const Place& dependent : waiting->second) dependent.tracked->queue.add(dependent.key);
    }
    for_each_owner(*before, [&](const json::object& owner) {
      for (const auto& other : tracked_) {
        if (&other->cache != cache_of(owner)) continue;
        const bool namespaced = other->cache.resource().namespaced;
        other->queue.add({.namespace_ = namespaced ? key.namespace_ : std::string(),
                          .name = std::string(kube::string_at(owner, "name"))});
      }
    });
  }
}

rt::Task<ApiResult<Reconciled>> GarbageController::reconcile(Tracked& tracked, NamespacedName key) {
  const ObjectPtr object = tracked.cache.get(key);
  if (!object) co_return Reconciled{};
  if (kube::is_deleting(*object)) {
    if (kube::has_finalizer(*object, kForeground)) {
      CO_TRY_VOID(co_await finish_foreground(tracked, object));
    } else if (kube::has_finalizer(*object, kOrphan)) {
      CO_TRY_VOID(co_await finish_orphan(tracked, object));
    }
    co_return Reconciled{};
  }
  CO_TRY_VOID(co_await collect(tracked, object));
  co_return Reconciled{};
}

// Deletes `object` if it has owners and none of them is there.
rt::Task<ApiResult<void>> GarbageController::collect(Tracked& tracked, ObjectPtr object) {
  bool any_alive = false;
  bool blocked = false;  // an owner waits in the foreground for us to go
  for_each_owner(*object, [&](const json::object& owner) {
    if (alive_.contains(uid_in(owner))) any_alive = true;
  });
  if (any_alive) {
    for_each_owner(*object, [&](const json::object& reference) {
      const kubeclient::Cache* cache = cache_of(reference);
      if (cache == nullptr) return;
      const NamespacedName key{.namespace_ = cache->resource().namespaced
                                                 ? std::string(kube::namespace_of(*object))
                                                 : std::string(),
                               .name = std::string(kube::string_at(reference, "name"))};
      const ObjectPtr owner = cache->get(key);
      blocked = blocked ||
                (owner && kube::is_deleting(*owner) && kube::has_finalizer(*owner, kForeground));
    });
    if (!blocked) co_return ApiResult<void>();
  }
  const json::array references = kube::owner_references_of(*object);
  if (references.empty()) co_return ApiResult<void>();
  if (!blocked) {
    // The cache may be behind: what decides is the server's word.
    for (const auto& reference : references) {
      CO_TRY(const bool gone,
             co_await is_gone(kube::key_of(*object), kube::object_or_empty(reference)));
      if (!gone) co_return ApiResult<void>();
    }
  }
  const auto key = kube::key_of(*object);
  const auto removed = co_await shared_.client.remove(
      tracked.cache.resource(), {.namespace_ = key.namespace_, .name = key.name},
      {.uid = std::string(kube::uid_of(*object)),
       .propagation_policy = blocked ? "Foreground" : "Background"});
  if (!removed && !removed.error().is(kube::Reason::not_found)) co_return removed.error();
  co_return ApiResult<void>();
}

rt::Task<ApiResult<bool>> GarbageController::is_gone(NamespacedName dependent,
                                                     json::object reference) {
  const kubeclient::Cache* cache = cache_of(reference);
  if (cache == nullptr) co_return false;  // of a kind that we do not know: leave it alone
  const kubeclient::ObjectKey key{
      .namespace_ = cache->resource().namespaced ? dependent.namespace_ : std::string(),
      .name = std::string(kube::string_at(reference, "name"))};
  const auto owner = co_await shared_.client.get(cache->resource(), key);
  if (!owner) {
    if (owner.error().is(kube::Reason::not_found)) co_return true;
    co_return owner.error();
  }
  co_return kube::uid_of(**owner) != kube::string_at(reference, "uid");
}

rt::Task<ApiResult<void>> GarbageController::finish_foreground(Tracked& tracked, ObjectPtr owner) {
  const auto waiting = dependents_.find(kube::uid_of(*owner));
  bool blocked = false;
  if (waiting != dependents_.end()) {
    for (const Place& place : waiting->second) {
      place.tracked->queue.add(place.key);
      const ObjectPtr dependent = place.tracked->cache.get(place.key);
      if (!dependent) continue;
      for_each_owner(*dependent, [&](const json::object& reference) {
        blocked = blocked || (uid_in(reference) == kube::uid_of(*owner) &&
                              kube::bool_at(reference, "blockOwnerDeletion"));
      });
    }
  }
  if (blocked) co_return ApiResult<void>();
  co_return co_await drop_finalizer(tracked, owner, kForeground);
}

rt::Task<ApiResult<void>> GarbageController::finish_orphan(Tracked& tracked, ObjectPtr owner) {
  const auto waiting = dependents_.find(kube::uid_of(*owner));
  const std::set<Place> places = waiting == dependents_.end() ? std::set<Place>() : waiting->second;
  for (const Place& place : places) {
    const ObjectPtr dependent = place.tracked->cache.get(place.key);
    if (!dependent) continue;
    CO_TRY(const ObjectPtr written,
           co_await shared_.client.update(place.tracked->cache.resource(),
                                          without_owner(*dependent, kube::uid_of(*owner)), {}));
    place.tracked->cache.observe(written);
  }
  co_return co_await drop_finalizer(tracked, owner, kOrphan);
}

rt::Task<ApiResult<void>> GarbageController::drop_finalizer(Tracked& tracked, ObjectPtr owner,
                                                            std::string_view finalizer) {
  json::object changed = *owner;
  if (!kube::remove_finalizer(changed, finalizer)) co_return ApiResult<void>();
  const auto written =
      co_await shared_.client.update(tracked.cache.resource(), std::move(changed), {});
  if (!written && !written.error().is(kube::Reason::not_found)) co_return written.error();
  co_return ApiResult<void>();
}

const kubeclient::Cache* GarbageController::cache_of(const json::object& reference) const {
  const auto [group, version] = kube::split_api_version(kube::string_at(reference, "apiVersion"));
  const std::string_view kind = kube::string_at(reference, "kind");
  for (const auto& tracked : tracked_) {
    const auto& resource = tracked->cache.resource();
    if (resource.group == group && resource.kind == kind) return &tracked->cache;
  }
  return nullptr;
}

}  // namespace tulle::controllers
