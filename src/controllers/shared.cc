#include "controllers/shared.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

kubeclient::Cache& Shared::watched(const kubeclient::Resource& resource) {
  caches.push_back(
      std::make_unique<kubeclient::Cache>(loop, client, Random(random.next()), resource));
  return *caches.back();
}

std::vector<ObjectPtr> in_namespace(const kubeclient::Cache& cache, std::string_view namespace_) {
  std::vector<ObjectPtr> found;
  const auto& objects = cache.objects();
  auto next = objects.lower_bound({.namespace_ = std::string(namespace_), .name = {}});
  for (; next != objects.end() && next->first.namespace_ == namespace_; ++next) {
    found.push_back(next->second);
  }
  return found;
}

kube::Time api_now(const rt::Loop& loop) {
  return std::chrono::time_point_cast<std::chrono::microseconds>(loop.wall_now());
}

bool is_active(const json::object& pod) {
  const std::string_view phase = kube::string_at(pod, "status.phase");
  return phase != "Succeeded" && phase != "Failed" && !kube::is_deleting(pod);
}

bool is_ready(const json::object& pod) { return kube::is_condition_true(pod, "Ready"); }

bool is_available(const json::object& pod, std::int64_t min_ready_seconds, kube::Time now,
                  Duration& until) {
  if (!is_ready(pod)) return false;
  if (min_ready_seconds == 0) return true;
  const json::object* condition = kube::find_condition(pod, "Ready");
  const auto since = kube::parse_time(kube::string_at(*condition, "lastTransitionTime"));
  if (!since) return false;
  const Duration left = *since + std::chrono::seconds(min_ready_seconds) - now;
  if (left <= Duration::zero()) return true;
  until = until == Duration::zero() ? left : std::min(until, left);
  return false;
}

rt::Task<ApiResult<void>> write_status(Shared& shared, kubeclient::Cache& cache, ObjectPtr before,
                                       json::object after) {
  if (kube::object_at(*before, "status") == kube::object_at(after, "status")) {
    co_return ApiResult<void>();
  }
  CO_TRY(const ObjectPtr written,
         co_await shared.client.update(cache.resource(), std::move(after), "status"));
  cache.observe(written);
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> adopt(Shared& shared, kubeclient::Cache& cache, ObjectPtr object,
                                ObjectPtr owner) {
  json::array references = kube::owner_references_of(*object);
  references.push_back(kube::controller_reference_to(*owner));
  // The uid makes sure that it is this object, not a later one of the same name.
  json::object patch{{"metadata",
                      {{"uid", kube::uid_of(*object)},
                       {"resourceVersion", kube::resource_version_of(*object)},
                       {"ownerReferences", std::move(references)}}}};
  const kubeclient::ObjectKey key{.namespace_ = std::string(kube::namespace_of(*object)),
                                  .name = std::string(kube::name_of(*object))};
  CO_TRY(const ObjectPtr written,
         co_await shared.client.patch(cache.resource(), key, kubeclient::PatchType::merge,
                                      std::move(patch), {}));
  cache.observe(written);
  co_return ApiResult<void>();
}

std::optional<NamespacedName> controller_key(const json::object& object, std::string_view kind) {
  const json::object* owner = kube::controller_of(object);
  if (owner == nullptr || kube::string_at(*owner, "kind") != kind) return std::nullopt;
  return NamespacedName{.namespace_ = std::string(kube::namespace_of(object)),
                        .name = std::string(kube::string_at(*owner, "name"))};
}

}  // namespace tulle::controllers
