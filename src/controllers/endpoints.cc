#include "controllers/endpoints.h"

#include "kube/endpoint_slice.h"
#include "kube/selector.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 8;
constexpr std::string_view kZone = "topology.kubernetes.io/zone";

bool selects(const json::object& service) {
  return !kube::object_at(service, "spec.selector").empty() &&
         kube::string_at(service, "spec.type") != "ExternalName";
}

json::object owner_reference(const json::object& service) {
  return kube::controller_reference_to(service);
}

// Whether an object holds all that `wanted` says, whatever the server added.
bool says(const json::object& existing, const json::object& wanted) {
  return std::ranges::all_of(wanted, [&existing](const auto& field) {
    const json::value* value = existing.if_contains(field.key());
    if (value != nullptr) return *value == field.value();
    return field.value().is_array() && field.value().get_array().empty();
  });
}

// A write that follows from no change known says none, rather than that of an earlier one.
void set_change_time(json::object& slice, std::optional<kube::Time> changed_at) {
  if (changed_at) {
    kube::set_annotation(slice, kube::change_time_annotation, kube::format_micro_time(*changed_at));
  } else if (auto* annotations = kube::find_object(slice, "metadata.annotations")) {
    annotations->erase(kube::change_time_annotation);
  }
}

}  // namespace

EndpointsController::EndpointsController(Shared& shared)
    : shared_(shared),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.services.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    note_change(kube::key_of(after ? *after : *before));
  });
  shared_.pods.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    if (before) enqueue_services_of(*before);
    if (after) enqueue_services_of(*after);
  });
  shared_.nodes.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    follow_node(std::string(kube::name_of(after ? *after : *before)),
                after ? kube::label_of(*after, kZone) : std::string_view());
  });
  shared_.endpoint_slices.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    const json::object& slice = after ? *after : *before;
    if (kube::label_of(slice, kube::slice_manager_label) != kube::slice_controller) return;
    queue_.add({.namespace_ = std::string(kube::namespace_of(slice)),
                .name = std::string(kube::label_of(slice, kube::service_name_label))});
  });
}

rt::Task<void> EndpointsController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "endpoints", reconcile_, kConcurrency);
}

void EndpointsController::enqueue_services_of(const json::object& pod) {
  for (const ObjectPtr& service : in_namespace(shared_.services, kube::namespace_of(pod))) {
    if (!selects(*service)) continue;
    const auto selector = kube::Selector::from_map(kube::object_at(*service, "spec.selector"));
    if (selector.matches(kube::labels_of(pod))) note_change(kube::key_of(*service));
  }
}

void EndpointsController::note_change(const NamespacedName& service) {
  changed_at_.try_emplace(service, api_now(shared_.loop));
  queue_.add(service);
}

EndpointsController::ChangeTime EndpointsController::take_change_time(
    const NamespacedName& service) {
  const auto noted = changed_at_.extract(service);
  return noted ? ChangeTime(noted.mapped()) : std::nullopt;
}

// Mostly what changed of a node is not where it is.
void EndpointsController::follow_node(const std::string& name, std::string_view zone) {
  const auto known = zones_.find(name);
  if ((known == zones_.end() ? std::string_view() : known->second) == zone) return;
  if (zone.empty()) {
    zones_.erase(known);
  } else {
    zones_.insert_or_assign(name, std::string(zone));
  }
  for (const auto& [key, service] : shared_.services.objects()) note_change(key);
}

rt::Task<ApiResult<Reconciled>> EndpointsController::reconcile(NamespacedName key) {
  const ChangeTime changed_at = take_change_time(key);
  const ObjectPtr service = shared_.services.get(key);
  // Slices of a service that is gone go with it, as its dependants.
  if (!service || kube::is_deleting(*service) || !selects(*service)) co_return Reconciled{};
  const auto selector = kube::Selector::from_map(kube::object_at(*service, "spec.selector"));
  std::vector<ObjectPtr> pods = in_namespace(shared_.pods, key.namespace_);
  std::erase_if(
      pods, [&selector](const ObjectPtr& pod) { return !selector.matches(kube::labels_of(*pod)); });
  const auto written =
      co_await write_slices(service, slices_for(*service, pods, zones_), changed_at);
  if (!written) {
    // What came meanwhile is later.
    if (changed_at) changed_at_.insert_or_assign(key, *changed_at);
    co_return written.error();
  }
  CO_TRY_VOID(co_await write_endpoints(service, endpoints_for(*service, pods)));
  co_return Reconciled{};
}

rt::Task<ApiResult<void>> EndpointsController::write_slices(ObjectPtr service,
                                                            std::vector<json::object> wanted,
                                                            ChangeTime changed_at) {
  std::vector<ObjectPtr> existing;
  for (ObjectPtr& slice : in_namespace(shared_.endpoint_slices, kube::namespace_of(*service))) {
    if (kube::is_controlled_by(*slice, kube::uid_of(*service))) {
      existing.push_back(std::move(slice));
    }
  }
  // What stays as it is keeps its object; the rest is written over the others.
  std::erase_if(wanted, [&existing](const json::object& slice) {
    const auto same = std::ranges::find_if(
        existing, [&slice](const ObjectPtr& object) { return says(*object, slice); });
    if (same == existing.end()) return false;
    existing.erase(same);
    return true;
  });
  for (json::object& slice : wanted) {
    ObjectPtr over;
    if (!existing.empty()) {
      over = std::move(existing.back());
      existing.pop_back();
    }
    CO_TRY_VOID(co_await write_slice(service, std::move(over), std::move(slice), changed_at));
  }
  for (const ObjectPtr& slice : existing) {
    CO_TRY_VOID(co_await remove(shared_, kubeclient::kEndpointSlices, slice));
  }
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> EndpointsController::write_slice(ObjectPtr service, ObjectPtr existing,
                                                           json::object wanted,
                                                           ChangeTime changed_at) {
  ApiResult<ObjectPtr> written;
  if (existing) {
    json::object changed = *existing;
    for (auto& [field, value] : wanted) changed[field] = value;
    set_change_time(changed, changed_at);
    written = co_await shared_.client.update(kubeclient::kEndpointSlices, std::move(changed), {});
  } else {
    json::object slice{{"apiVersion", "discovery.k8s.io/v1"},
                       {"kind", "EndpointSlice"},
                       {"metadata",
                        {{"generateName", std::string(kube::name_of(*service)) + "-"},
                         {"namespace", kube::namespace_of(*service)},
                         {"labels",
                          {{kube::service_name_label, kube::name_of(*service)},
                           {kube::slice_manager_label, kube::slice_controller}}},
                         {"ownerReferences", json::array{owner_reference(*service)}}}}};
    for (auto& [field, value] : wanted) slice[field] = value;
    set_change_time(slice, changed_at);
    written = co_await shared_.client.create(kubeclient::kEndpointSlices, std::move(slice));
  }
  if (!written) co_return written.error();
  shared_.endpoint_slices.observe(*written);
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> EndpointsController::write_endpoints(ObjectPtr service,
                                                               json::object wanted) {
  const ObjectPtr existing = shared_.endpoints.get(kube::key_of(*service));
  const bool empty = wanted.empty();
  if (existing) {
    const bool same =
        empty ? kube::array_at(*existing, "subsets").empty() : says(*existing, wanted);
    if (same) co_return ApiResult<void>();
  }
  json::object endpoints{{"apiVersion", "v1"},
                         {"kind", "Endpoints"},
                         {"metadata",
                          {{"name", kube::name_of(*service)},
                           {"namespace", kube::namespace_of(*service)},
                           {"labels", kube::labels_of(*service)},
                           {"ownerReferences", json::array{owner_reference(*service)}}}}};
  if (existing) endpoints = *existing;
  endpoints.erase("subsets");
  for (auto& [field, value] : wanted) endpoints[field] = value;
  auto written =
      existing ? co_await shared_.client.update(kubeclient::kEndpoints, std::move(endpoints), {})
               : co_await shared_.client.create(kubeclient::kEndpoints, std::move(endpoints));
  if (!written) co_return written.error();
  shared_.endpoints.observe(*written);
  co_return ApiResult<void>();
}

}  // namespace tulle::controllers
