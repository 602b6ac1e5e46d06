#include "controllers/shared.h"

#include "kube/pod.h"
#include "kube/selector.h"

#include <fmt/format.h>
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

bool is_active(const json::object& pod) { return !kube::has_ended(pod) && !kube::is_deleting(pod); }

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

void put_count(json::object& status, std::string_view field, std::int64_t count) {
  if (count == 0) {
    status.erase(field);
  } else {
    status[field] = count;
  }
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

json::object without_owner(const json::object& object, std::string_view uid) {
  json::object changed = object;
  json::array& references = kube::ensure_array(changed, "metadata.ownerReferences");
  const auto kept = std::ranges::remove_if(references, [uid](const json::value& value) {
    return kube::string_at(kube::object_or_empty(value), "uid") == uid;
  });
  references.erase(kept.begin(), kept.end());
  return changed;
}

namespace {

rt::Task<ApiResult<void>> release(Shared& shared, kubeclient::Cache& cache, ObjectPtr object,
                                  ObjectPtr owner) {
  CO_TRY(const ObjectPtr written,
         co_await shared.client.update(cache.resource(),
                                       without_owner(*object, kube::uid_of(*owner)), {}));
  cache.observe(written);
  co_return ApiResult<void>();
}

}  // namespace

rt::Task<ApiResult<std::vector<ObjectPtr>>> claim(Shared& shared, kubeclient::Cache& cache,
                                                  ObjectPtr owner, MayAdopt may_adopt) {
  const auto selector =
      kube::Selector::from_label_selector(kube::object_at(*owner, "spec.selector"));
  if (!selector) co_return selector.error();
  const bool settled = kube::is_deleting(*owner);
  std::vector<ObjectPtr> claimed;
  for (ObjectPtr& object : in_namespace(cache, kube::namespace_of(*owner))) {
    const bool ours = kube::is_controlled_by(*object, kube::uid_of(*owner));
    const bool matches = selector->matches(kube::labels_of(*object));
    if (ours && (matches || settled)) {
      claimed.push_back(std::move(object));
    } else if (ours) {
      CO_TRY_VOID(co_await release(shared, cache, object, owner));
    } else if (matches && !settled && kube::controller_of(*object) == nullptr &&
               may_adopt(*object, *owner)) {
      CO_TRY_VOID(co_await adopt(shared, cache, object, owner));
      if (ObjectPtr now = cache.get(kube::key_of(*object))) claimed.push_back(std::move(now));
    }
  }
  co_return claimed;
}

rt::Task<ApiResult<void>> remove(Shared& shared, kubeclient::Resource resource, ObjectPtr object) {
  const auto key = kube::key_of(*object);
  const auto removed =
      co_await shared.client.remove(resource, {.namespace_ = key.namespace_, .name = key.name},
                                    {.uid = std::string(kube::uid_of(*object))});
  if (!removed && !removed.error().is(kube::Reason::not_found)) co_return removed.error();
  co_return ApiResult<void>();
}

ApiResult<void> first_failure(const std::vector<ApiResult<void>>& outcomes) {
  for (const auto& outcome : outcomes) {
    if (!outcome) return outcome.error();
  }
  return {};
}

json::object pod_from_template(const json::object& owner, const json::object& pod_template) {
  json::object metadata;
  for (const std::string_view field : {"labels", "annotations", "finalizers"}) {
    const auto* value = kube::object_at(pod_template, "metadata").if_contains(field);
    if (value != nullptr) metadata[field] = *value;
  }
  metadata["namespace"] = kube::namespace_of(owner);
  metadata["ownerReferences"] = json::array{kube::controller_reference_to(owner)};
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata", std::move(metadata)},
          {"spec", kube::object_at(pod_template, "spec")}};
}

rt::Task<ApiResult<void>> create_pod(Shared& shared, ObjectPtr owner, json::object pod) {
  auto created = co_await shared.client.create(kubeclient::kPods, std::move(pod));
  if (!created) {
    shared.events.record(*owner, {.type = kubeclient::EventType::warning,
                                  .reason = "FailedCreate",
                                  .message = "Error creating: " + created.error().message});
    co_return created.error();
  }
  shared.pods.observe(*created);
  shared.events.record(*owner,
                       {.reason = "SuccessfulCreate",
                        .message = fmt::format("Created pod: {}", kube::name_of(**created))});
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> delete_pod(Shared& shared, ObjectPtr owner, ObjectPtr pod) {
  CO_TRY_VOID(co_await remove(shared, kubeclient::kPods, pod));
  shared.events.record(*owner, {.reason = "SuccessfulDelete",
                                .message = fmt::format("Deleted pod: {}", kube::name_of(*pod))});
  co_return ApiResult<void>();
}

std::optional<NamespacedName> controller_key(const json::object& object, std::string_view kind) {
  const json::object* owner = kube::controller_of(object);
  if (owner == nullptr || kube::string_at(*owner, "kind") != kind) return std::nullopt;
  return NamespacedName{.namespace_ = std::string(kube::namespace_of(object)),
                        .name = std::string(kube::string_at(*owner, "name"))};
}

}  // namespace tulle::controllers
