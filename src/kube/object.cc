#include "kube/object.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <cmath>

namespace tulle::kube {

namespace {

// Splits off the first key of a path.
std::string_view take_key(std::string_view& path) {
  const auto dot = path.find('.');
  const std::string_view key = path.substr(0, dot);
  path.remove_prefix(dot == std::string_view::npos ? path.size() : dot + 1);
  return key;
}

std::string_view text(const json::string& string) { return {string.data(), string.size()}; }

const json::object& empty_object() {
  static const json::object empty;
  return empty;
}

const json::array& empty_array() {
  static const json::array empty;
  return empty;
}

json::object& own_object(json::value& value) {
  if (!value.is_object()) value.emplace_object();
  return value.get_object();
}

bool is_true(const json::value* value) {
  const bool* flag = value == nullptr ? nullptr : value->if_bool();
  return flag != nullptr && *flag;
}

}  // namespace

// --- Reading ------------------------------------------------------------------------------------

const json::value* find(const json::object& object, std::string_view path) {
  const json::object* at = &object;
  while (true) {
    const json::value* value = at->if_contains(take_key(path));
    if (value == nullptr || path.empty()) return value;
    at = value->if_object();
    if (at == nullptr) return nullptr;
  }
}

json::value* find(json::object& object, std::string_view path) {
  return const_cast<json::value*>(find(std::as_const(object), path));
}

const json::object* find_object(const json::object& object, std::string_view path) {
  const json::value* value = find(object, path);
  return value == nullptr ? nullptr : value->if_object();
}

json::object* find_object(json::object& object, std::string_view path) {
  json::value* value = find(object, path);
  return value == nullptr ? nullptr : value->if_object();
}

const json::array* find_array(const json::object& object, std::string_view path) {
  const json::value* value = find(object, path);
  return value == nullptr ? nullptr : value->if_array();
}

json::array* find_array(json::object& object, std::string_view path) {
  json::value* value = find(object, path);
  return value == nullptr ? nullptr : value->if_array();
}

std::string_view string_at(const json::object& object, std::string_view path,
                           std::string_view fallback) {
  const json::value* value = find(object, path);
  return value == nullptr ? fallback : string_or(*value, fallback);
}

std::int64_t integer_at(const json::object& object, std::string_view path, std::int64_t fallback) {
  const json::value* value = find(object, path);
  if (value == nullptr) return fallback;
  if (const auto* integer = value->if_int64()) return *integer;
  if (const auto* number = value->if_double()) {
    constexpr double exact_max = 9007199254740992.0;  // 2^53
    if (std::abs(*number) <= exact_max && std::trunc(*number) == *number)
      return static_cast<std::int64_t>(*number);
  }
  return fallback;
}

bool bool_at(const json::object& object, std::string_view path, bool fallback) {
  const json::value* value = find(object, path);
  const bool* flag = value == nullptr ? nullptr : value->if_bool();
  return flag == nullptr ? fallback : *flag;
}

const json::object& object_at(const json::object& object, std::string_view path) {
  const json::object* found = find_object(object, path);
  return found == nullptr ? empty_object() : *found;
}

const json::array& array_at(const json::object& object, std::string_view path) {
  const json::array* found = find_array(object, path);
  return found == nullptr ? empty_array() : *found;
}

std::string scalar_text(const json::value& value) {
  if (const auto* string = value.if_string()) return std::string(text(*string));
  // serialize() writes every double with an exponent.
  if (value.is_double()) return fmt::format("{}", value.get_double());
  if (value.is_number() || value.is_bool()) return json::serialize(value);
  return {};
}

std::string_view string_or(const json::value& value, std::string_view fallback) {
  const json::string* string = value.if_string();
  return string == nullptr ? fallback : text(*string);
}

const json::object& object_or_empty(const json::value& value) {
  const json::object* object = value.if_object();
  return object == nullptr ? empty_object() : *object;
}

// --- Writing ------------------------------------------------------------------------------------

json::object& ensure_object(json::object& object, std::string_view path) {
  json::object* at = &object;
  while (!path.empty()) at = &own_object((*at)[take_key(path)]);
  return *at;
}

json::array& ensure_array(json::object& object, std::string_view path) {
  const auto dot = path.rfind('.');
  json::object& parent =
      dot == std::string_view::npos ? object : ensure_object(object, path.substr(0, dot));
  json::value& value = parent[dot == std::string_view::npos ? path : path.substr(dot + 1)];
  if (!value.is_array()) value.emplace_array();
  return value.get_array();
}

void set_at(json::object& object, std::string_view path, json::value value) {
  const auto dot = path.rfind('.');
  json::object& parent =
      dot == std::string_view::npos ? object : ensure_object(object, path.substr(0, dot));
  parent[dot == std::string_view::npos ? path : path.substr(dot + 1)] = std::move(value);
}

bool remove_at(json::object& object, std::string_view path) {
  const auto dot = path.rfind('.');
  json::object* parent =
      dot == std::string_view::npos ? &object : find_object(object, path.substr(0, dot));
  if (parent == nullptr) return false;
  return parent->erase(dot == std::string_view::npos ? path : path.substr(dot + 1)) > 0;
}

// --- Metadata -----------------------------------------------------------------------------------

std::string_view api_version_of(const json::object& object) {
  return string_at(object, "apiVersion");
}

std::string_view kind_of(const json::object& object) { return string_at(object, "kind"); }

std::string_view name_of(const json::object& object) { return string_at(object, "metadata.name"); }

std::string_view namespace_of(const json::object& object) {
  return string_at(object, "metadata.namespace");
}

std::string_view uid_of(const json::object& object) { return string_at(object, "metadata.uid"); }

std::string_view resource_version_of(const json::object& object) {
  return string_at(object, "metadata.resourceVersion");
}

std::int64_t generation_of(const json::object& object) {
  return integer_at(object, "metadata.generation");
}

const json::object& labels_of(const json::object& object) {
  return object_at(object, "metadata.labels");
}

const json::object& annotations_of(const json::object& object) {
  return object_at(object, "metadata.annotations");
}

std::string_view label_of(const json::object& object, std::string_view key) {
  const json::value* value = labels_of(object).if_contains(key);
  return value == nullptr ? std::string_view() : string_or(*value);
}

std::string_view annotation_of(const json::object& object, std::string_view key) {
  const json::value* value = annotations_of(object).if_contains(key);
  return value == nullptr ? std::string_view() : string_or(*value);
}

void set_label(json::object& object, std::string_view key, std::string_view value) {
  ensure_object(object, "metadata.labels")[key] = value;
}

void set_annotation(json::object& object, std::string_view key, std::string_view value) {
  ensure_object(object, "metadata.annotations")[key] = value;
}

bool is_deleting(const json::object& object) {
  return !string_at(object, "metadata.deletionTimestamp").empty();
}

bool has_finalizer(const json::object& object, std::string_view finalizer) {
  for (const json::value& value : array_at(object, "metadata.finalizers"))
    if (string_or(value) == finalizer) return true;
  return false;
}

bool add_finalizer(json::object& object, std::string_view finalizer) {
  if (has_finalizer(object, finalizer)) return false;
  ensure_array(object, "metadata.finalizers").emplace_back(finalizer);
  return true;
}

bool remove_finalizer(json::object& object, std::string_view finalizer) {
  if (!has_finalizer(object, finalizer)) return false;
  json::array kept;
  for (const json::value& value : array_at(object, "metadata.finalizers"))
    if (string_or(value) != finalizer) kept.push_back(value);
  if (kept.empty())
    remove_at(object, "metadata.finalizers");
  else
    set_at(object, "metadata.finalizers", std::move(kept));
  return true;
}

const json::array& owner_references_of(const json::object& object) {
  return array_at(object, "metadata.ownerReferences");
}

const json::object* controller_of(const json::object& object) {
  for (const json::value& value : owner_references_of(object)) {
    const json::object* reference = value.if_object();
    if (reference != nullptr && is_true(reference->if_contains("controller"))) return reference;
  }
  return nullptr;
}

bool is_controlled_by(const json::object& object, std::string_view uid) {
  const json::object* controller = controller_of(object);
  return controller != nullptr && string_at(*controller, "uid") == uid;
}

json::object controller_reference_to(const json::object& owner) {
  return {
      {"apiVersion", api_version_of(owner)},
      {"kind", kind_of(owner)},
      {"name", name_of(owner)},
      {"uid", uid_of(owner)},
      {"controller", true},
      {"blockOwnerDeletion", true},
  };
}

std::pair<std::string_view, std::string_view> split_api_version(std::string_view api_version) {
  const auto slash = api_version.find('/');
  if (slash == std::string_view::npos) return {{}, api_version};
  return {api_version.substr(0, slash), api_version.substr(slash + 1)};
}

// --- Conditions ---------------------------------------------------------------------------------

const json::object* find_condition(const json::object& object, std::string_view type) {
  for (const json::value& value : array_at(object, "status.conditions")) {
    const json::object* condition = value.if_object();
    if (condition != nullptr && string_at(*condition, "type") == type) return condition;
  }
  return nullptr;
}

bool is_condition_true(const json::object& object, std::string_view type) {
  const json::object* condition = find_condition(object, type);
  return condition != nullptr && string_at(*condition, "status") == "True";
}

bool set_condition(json::object& object, const Condition& condition, Time now) {
  const json::object* found = find_condition(object, condition.type);
  json::object next = found == nullptr ? json::object{{"type", condition.type}} : *found;
  const bool flipped = string_at(next, "status") != condition.status;
  next["status"] = condition.status;
  const auto set_text = [&](std::string_view key, const std::string& value) {
    if (value.empty())
      next.erase(key);
    else
      next[key] = value;
  };
  set_text("reason", condition.reason);
  set_text("message", condition.message);
  if (flipped || !next.contains("lastTransitionTime"))
    next["lastTransitionTime"] = format_time(now);

  if (found == nullptr) {
    ensure_array(object, "status.conditions").emplace_back(std::move(next));
    return true;
  }
  if (next == *found) return false;
  // `found` points into `object`, which is ours to change.
  *const_cast<json::object*>(found) = std::move(next);
  return true;
}

// --- Identity -----------------------------------------------------------------------------------

namespace {

bool is_version_key(std::string_view key) {
  return key == "resourceVersion" || key == "managedFields";
}

std::size_t count_without_version(const json::object& metadata) {
  return metadata.size() - metadata.count("resourceVersion") - metadata.count("managedFields");
}

bool equal_metadata(const json::value& a, const json::value& b) {
  if (!a.is_object() || !b.is_object()) return a == b;
  const json::object& left = a.get_object();
  const json::object& right = b.get_object();
  for (const auto& member : left) {
    if (is_version_key(member.key())) continue;
    const json::value* other = right.if_contains(member.key());
    if (other == nullptr || *other != member.value()) return false;
  }
  return count_without_version(left) == count_without_version(right);
}

}  // namespace

bool equal_ignoring_version(const json::object& a, const json::object& b) {
  if (a.size() != b.size()) return false;
  for (const auto& member : a) {
    const json::value* other = b.if_contains(member.key());
    if (other == nullptr) return false;
    const bool same = member.key() == "metadata" ? equal_metadata(member.value(), *other)
                                                 : member.value() == *other;
    if (!same) return false;
  }
  return true;
}

NamespacedName key_of(const json::object& object) {
  return {.namespace_ = std::string(namespace_of(object)), .name = std::string(name_of(object))};
}

std::string to_string(const NamespacedName& key) {
  return key.namespace_.empty() ? key.name : key.namespace_ + "/" + key.name;
}

NamespacedName parse_key(std::string_view key) {
  const auto [namespace_, name] = split_api_version(key);  // splits at the first slash too
  return {.namespace_ = std::string(namespace_), .name = std::string(name)};
}

std::string to_string(const ObjectRef& ref) {
  const std::string resource = ref.group.empty() ? ref.resource : ref.resource + "." + ref.group;
  return ref.namespace_.empty() ? fmt::format("{}/{}", resource, ref.name)
                                : fmt::format("{}/{}/{}", resource, ref.namespace_, ref.name);
}

}  // namespace tulle::kube

namespace {

std::size_t mix(std::size_t hash, const std::string& part) {
  return (hash ^ std::hash<std::string>{}(part)) * 0x9e3779b97f4a7c15ULL;
}

}  // namespace

std::size_t std::hash<tulle::kube::NamespacedName>::operator()(
    const tulle::kube::NamespacedName& key) const noexcept {
  return mix(mix(0, key.namespace_), key.name);
}

std::size_t std::hash<tulle::kube::ObjectRef>::operator()(
    const tulle::kube::ObjectRef& ref) const noexcept {
  return mix(mix(mix(mix(0, ref.group), ref.resource), ref.namespace_), ref.name);
}
