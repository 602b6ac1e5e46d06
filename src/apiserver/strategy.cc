#include "apiserver/strategy.h"

#include "base/format.h"
#include "kube/object.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

constexpr std::string_view owned_by_server[] = {"uid",
                                                "creationTimestamp",
                                                "deletionTimestamp",
                                                "deletionGracePeriodSeconds",
                                                "generation",
                                                "resourceVersion",
                                                "name",
                                                "namespace",
                                                "selfLink",
                                                "managedFields"};

// A node announces itself with its status.
bool starts_without_status(const kube::KindDefinition& kind) {
  return kind.find_subresource("status") != nullptr && kind.kind != "Node";
}

// Makes `path` of `object` what it is in `from`, absence included.
void take_from(const json::object& from, json::object& object, std::string_view path) {
  if (const json::value* value = kube::find(from, path)) {
    kube::set_at(object, path, *value);
  } else {
    kube::remove_at(object, path);
  }
}

// Whether all that `object` says beside metadata and status stands in `other`, too.
bool says_no_more(const json::object& object, const json::object& other) {
  return std::ranges::all_of(object, [&other](const auto& field) {
    if (field.key() == "metadata" || field.key() == "status") return true;
    const json::value* value = other.if_contains(field.key());
    return value != nullptr && *value == field.value();
  });
}

}  // namespace

bool is_namespace(const kube::KindDefinition& kind) {
  return kind.group.empty() && kind.kind == "Namespace";
}

bool is_pod(const kube::KindDefinition& kind) { return kind.group.empty() && kind.kind == "Pod"; }

void prepare_create(const kube::KindDefinition& kind, json::object& object,
                    const NewIdentity& identity) {
  json::object& metadata = kube::ensure_object(object, "metadata");
  for (std::string_view field : owned_by_server) {
    if (field != "name") metadata.erase(field);
  }
  if (!identity.namespace_.empty()) metadata["namespace"] = identity.namespace_;
  metadata["uid"] = identity.uid;
  metadata["creationTimestamp"] = kube::format_time(identity.created);
  if (kind.generation == kube::Generation::spec) metadata["generation"] = 1;
  if (starts_without_status(kind)) object.erase("status");
}

void prepare_update(const kube::KindDefinition& kind, std::string_view subresource,
                    const json::object& old, json::object& object) {
  if (!subresource.empty()) {
    std::string_view part = subresource;  // as of "status"
    if (subresource == "finalize") part = "spec.finalizers";
    if (subresource == "ephemeralcontainers") part = "spec.ephemeralContainers";
    json::object changed = old;
    take_from(object, changed, part);
    object = std::move(changed);
    return;
  }
  json::object& metadata = kube::ensure_object(object, "metadata");
  for (std::string_view field : owned_by_server) {
    take_from(kube::object_at(old, "metadata"), metadata, field);
  }
  if (kind.find_subresource("status") != nullptr) take_from(old, object, "status");
  if (is_namespace(kind)) take_from(old, object, "spec.finalizers");
}

void update_generation(const kube::KindDefinition& kind, const json::object& old,
                       json::object& object) {
  if (kind.generation != kube::Generation::spec) return;
  if (says_no_more(old, object) && says_no_more(object, old)) return;
  kube::set_at(object, "metadata.generation", kube::generation_of(old) + 1);
}

kube::ApiResult<void> check_finalizers(const kube::KindDefinition& kind, const json::object& old,
                                       const json::object& object) {
  if (!kube::is_deleting(old)) return {};
  for (const json::value& finalizer : kube::array_at(object, "metadata.finalizers")) {
    std::string_view name = kube::string_or(finalizer);
    if (kube::has_finalizer(old, name)) continue;
    return kube::invalid(
        kind.group, kind.kind, kube::name_of(object),
        {{.reason = "FieldValueForbidden",
          .message = fmt::format("Forbidden: no new finalizers can be added if the object is being "
                                 "deleted, found new finalizers []string{{\"{}\"}}",
                                 name),
          .field = "metadata.finalizers"}});
  }
  return {};
}

bool may_be_removed(const kube::KindDefinition& kind, const json::object& object) {
  return kube::is_deleting(object) && kube::array_at(object, "metadata.finalizers").empty() &&
         kube::integer_at(object, "metadata.deletionGracePeriodSeconds") == 0 &&
         (!is_namespace(kind) || kube::array_at(object, "spec.finalizers").empty());
}

}  // namespace tulle::apiserver
