#include "controllers/endpoints.h"

#include "compile/facts.h"
#include "kube/endpoint_slice.h"
#include "kube/selector.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 8;

bool selects(const json::object& service) {
  return !kube::object_at(service, "spec.selector").empty() &&
         kube::string_at(service, "spec.type") != "ExternalName";
}

bool is_version(const json::object& slice, std::string_view version) {
  return kube::resource_version_of(slice) == version;
}

// What is in a slice, whoever wrote it.
void read_slice(const json::object& slice, ExistingSlice& into) {
  into.ports_text = json::serialize(kube::array_at(slice, "ports"));
  for (const auto& value : kube::array_at(slice, "endpoints")) {
    const auto& addresses = kube::array_at(kube::object_or_empty(value), "addresses");
    const auto address = IpAddress::parse(addresses.empty() ? "" : kube::string_or(addresses[0]));
    if (address) into.addresses.push_back(*address);
  }
}

// Without what its members say.
json::object new_slice(const json::object& service) {
  return {{"apiVersion", "discovery.k8s.io/v1"},
          {"kind", "EndpointSlice"},
          {"metadata",
           {{"generateName", std::string(kube::name_of(service)) + "-"},
            {"namespace", kube::namespace_of(service)},
            {"labels",
             {{kube::service_name_label, kube::name_of(service)},
              {kube::slice_manager_label, kube::slice_controller}}},
            {"ownerReferences", json::array{kube::controller_reference_to(service)}}}}};
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
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }),
      legacy_(shared) {
  shared_.services.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    note_change(kube::key_of(after ? *after : *before));
  });
  shared_.pods.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    if (before) enqueue_services_of(*before);
    if (after) enqueue_services_of(*after);
  });
  shared_.nodes.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    follow_node(std::string(kube::name_of(after ? *after : *before)),
                after ? kube::label_of(*after, compile::zone_label) : std::string_view());
  });
  shared_.endpoint_slices.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    const json::object& slice = after ? *after : *before;
    if (kube::label_of(slice, kube::slice_manager_label) != kube::slice_controller) return;
    const NamespacedName service{
        .namespace_ = std::string(kube::namespace_of(slice)),
        .name = std::string(kube::label_of(slice, kube::service_name_label))};
    if (!after || !wrote(service, slice)) queue_.add(service);
  });
}

rt::Task<void> EndpointsController::run() {
  legacy_.start();
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
  if (!service || kube::is_deleting(*service) || !selects(*service)) {
    followed_.erase(key);
    co_return Reconciled{};
  }
  std::vector<MemberPtr> members =
      followed_[key].members.update(service, in_namespace(shared_.pods, key.namespace_), zones_);
  auto written = co_await write_slices(service, members, changed_at);
  if (!written) {
    // What came meanwhile is later.
    if (changed_at) changed_at_.insert_or_assign(key, *changed_at);
    co_return std::move(written).error();
  }
  legacy_.follow(service, std::move(members));
  co_return Reconciled{};
}

bool EndpointsController::wrote(const NamespacedName& service, const json::object& slice) const {
  const auto followed = followed_.find(service);
  if (followed == followed_.end()) return false;
  const auto written = followed->second.slices.find(kube::name_of(slice));
  return written != followed->second.slices.end() &&
         written->second.version == kube::resource_version_of(slice);
}

std::vector<ExistingSlice> EndpointsController::slices_of(const json::object& service,
                                                          const Followed& followed) const {
  std::vector<ExistingSlice> existing;
  for (const ObjectPtr& slice :
       in_namespace(shared_.endpoint_slices, kube::namespace_of(service))) {
    if (!kube::is_controlled_by(*slice, kube::uid_of(service))) continue;
    ExistingSlice found{.object = slice, .ports_text = {}, .addresses = {}};
    const auto written = followed.slices.find(kube::name_of(*slice));
    if (written != followed.slices.end() && is_version(*slice, written->second.version)) {
      for (const MemberPtr& member : written->second.members) {
        found.ports_text = member->ports_text;
        found.addresses.push_back(member->address);
      }
    } else {
      read_slice(*slice, found);
    }
    existing.push_back(std::move(found));
  }
  return existing;
}

bool EndpointsController::holds(const PlannedSlice& slice, Followed& followed) {
  if (!slice.over) return false;
  const std::string_view version = kube::resource_version_of(*slice.over);
  Followed::Written& written = followed.slices[std::string(kube::name_of(*slice.over))];
  if (written.version == version) return written.members == slice.members;
  if (!says(*slice.over, render_slice(slice.members))) return false;
  written = {.version = std::string(version), .members = slice.members};
  return true;
}

rt::Task<ApiResult<void>> EndpointsController::write_slices(ObjectPtr service,
                                                            std::vector<MemberPtr> members,
                                                            ChangeTime changed_at) {
  Followed& followed = followed_[kube::key_of(*service)];
  SlicePlan plan = plan_slices(members, slices_of(*service, followed));
  std::erase_if(plan.slices,
                [&followed](const PlannedSlice& slice) { return holds(slice, followed); });
  for (PlannedSlice& slice : plan.slices) {
    CO_TRY_VOID(co_await write_slice(service, std::move(slice), changed_at));
  }
  for (const ObjectPtr& slice : plan.unwanted) {
    CO_TRY_VOID(co_await remove_slice(service, slice));
  }
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> EndpointsController::write_slice(ObjectPtr service, PlannedSlice slice,
                                                           ChangeTime changed_at) {
  json::object object = slice.over ? *slice.over : new_slice(*service);
  for (auto& [field, value] : render_slice(slice.members)) object[field] = std::move(value);
  set_change_time(object, changed_at);
  auto written =
      slice.over
          ? co_await shared_.client.update(kubeclient::kEndpointSlices, std::move(object), {})
          : co_await shared_.client.create(kubeclient::kEndpointSlices, std::move(object));
  if (!written) co_return written.error();
  // The service may have been forgotten meanwhile.
  const auto followed = followed_.find(kube::key_of(*service));
  if (followed != followed_.end()) {
    followed->second.slices[std::string(kube::name_of(**written))] = {
        .version = std::string(kube::resource_version_of(**written)),
        .members = std::move(slice.members)};
  }
  shared_.endpoint_slices.observe(*written);
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> EndpointsController::remove_slice(ObjectPtr service, ObjectPtr slice) {
  const auto followed = followed_.find(kube::key_of(*service));
  if (followed != followed_.end()) {
    followed->second.slices.erase(std::string(kube::name_of(*slice)));
  }
  co_return co_await remove(shared_, kubeclient::kEndpointSlices, slice);
}

}  // namespace tulle::controllers
