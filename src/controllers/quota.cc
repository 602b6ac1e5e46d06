#include "controllers/quota.h"

#include "kube/quota.h"

#include <boost/json.hpp>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 2;

kube::Resources usage(const kubeclient::Resource& resource, const ObjectPtr& object) {
  if (!object) return {};
  return kube::quota_usage(resource.group, resource.plural, *object);
}

}  // namespace

QuotaController::QuotaController(Shared& shared)
    : shared_(shared),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  for (const auto& cache : shared_.caches) {
    if (!cache->resource().namespaced) continue;
    cache->on_change(
        [this, &resource = cache->resource()](const ObjectPtr& before, const ObjectPtr& after) {
          const bool is_quota = resource == kubeclient::kResourceQuotas;
          if (is_quota || usage(resource, before) != usage(resource, after)) {
            add_quotas_of(after ? *after : *before);
          }
        });
  }
}

rt::Task<void> QuotaController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "resourcequota", reconcile_, kConcurrency);
}

void QuotaController::add_quotas_of(const json::object& object) {
  for (const auto& quota : in_namespace(shared_.resource_quotas, kube::namespace_of(object))) {
    queue_.add(kube::key_of(*quota));
  }
}

// Of every resource that the quota limits, what the objects of its namespace use together.
json::object QuotaController::used(const json::object& quota) const {
  kube::Resources sum;
  for (const auto& [name, amount] : kube::object_at(quota, "spec.hard"))
    sum[std::string(name)] = {};
  for (const auto& cache : shared_.caches) {
    const auto& [group, version, plural, kind, namespaced] = cache->resource();
    if (!namespaced) continue;
    for (const ObjectPtr& object : in_namespace(*cache, kube::namespace_of(quota))) {
      if (!kube::quota_covers(quota, group, plural, *object)) continue;
      for (const auto& [name, amount] : kube::quota_usage(group, plural, *object)) {
        if (const auto limited = sum.find(name); limited != sum.end()) limited->second += amount;
      }
    }
  }
  return kube::to_json(sum);
}

rt::Task<ApiResult<Reconciled>> QuotaController::reconcile(NamespacedName key) {
  const ObjectPtr quota = shared_.resource_quotas.get(key);
  if (!quota) co_return Reconciled{};
  json::object changed = *quota;
  json::object& status = kube::ensure_object(changed, "status");
  status["hard"] = kube::object_at(*quota, "spec.hard");
  status["used"] = used(*quota);
  CO_TRY_VOID(co_await write_status(shared_, shared_.resource_quotas, quota, std::move(changed)));
  co_return Reconciled{};
}

}  // namespace tulle::controllers
