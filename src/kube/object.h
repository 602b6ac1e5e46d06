// Small helpers over JSON documents, used by everyone who reads or changes a Kubernetes object.
//
// A path is keys joined by dots: "spec.template.metadata.labels". Keys that hold dots themselves
// (labels, annotations) have accessors of their own. Reading never fails: what is absent or of
// another type is the fallback. Views point into the document and live as long as it is unchanged.
#pragma once

#include "kube/time.h"

#include <boost/json/fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tulle::kube {

namespace json = boost::json;

// --- Reading ------------------------------------------------------------------------------------

// The value at `path`, or nullptr.
const json::value* find(const json::object& object, std::string_view path);
json::value* find(json::object& object, std::string_view path);

const json::object* find_object(const json::object& object, std::string_view path);
json::object* find_object(json::object& object, std::string_view path);
const json::array* find_array(const json::object& object, std::string_view path);
json::array* find_array(json::object& object, std::string_view path);

std::string_view string_at(const json::object& object, std::string_view path,
                           std::string_view fallback = {});
// Integers only, a double with an integral value included.
std::int64_t integer_at(const json::object& object, std::string_view path,
                        std::int64_t fallback = 0);
bool bool_at(const json::object& object, std::string_view path, bool fallback = false);

// The object or array at `path`, or an empty one that lives for ever.
const json::object& object_at(const json::object& object, std::string_view path);
const json::array& array_at(const json::object& object, std::string_view path);

// The text of a JSON value: a string's characters, a number or bool as written; "" for others.
std::string scalar_text(const json::value& value);
// The characters of a JSON string, or `fallback` for any other value.
std::string_view string_or(const json::value& value, std::string_view fallback = {});
// The object that `value` is, or an empty one that lives for ever.
const json::object& object_or_empty(const json::value& value);

// --- Writing ------------------------------------------------------------------------------------

// The object at `path`; creates it and what leads there, replacing values of another type.
json::object& ensure_object(json::object& object, std::string_view path);
json::array& ensure_array(json::object& object, std::string_view path);
// Sets the value at `path`, creating objects on the way.
void set_at(json::object& object, std::string_view path, json::value value);
// Removes the key at `path`; true if it was there. Objects left empty stay.
bool remove_at(json::object& object, std::string_view path);

// --- Metadata -----------------------------------------------------------------------------------

std::string_view api_version_of(const json::object& object);
std::string_view kind_of(const json::object& object);
std::string_view name_of(const json::object& object);
std::string_view namespace_of(const json::object& object);  // "" for cluster scope
std::string_view uid_of(const json::object& object);
std::string_view resource_version_of(const json::object& object);
std::int64_t generation_of(const json::object& object);
const json::object& labels_of(const json::object& object);
const json::object& annotations_of(const json::object& object);
std::string_view label_of(const json::object& object, std::string_view key);
std::string_view annotation_of(const json::object& object, std::string_view key);
void set_label(json::object& object, std::string_view key, std::string_view value);
void set_annotation(json::object& object, std::string_view key, std::string_view value);
// True once metadata.deletionTimestamp is set.
bool is_deleting(const json::object& object);

bool has_finalizer(const json::object& object, std::string_view finalizer);
// Both return whether the object changed.
bool add_finalizer(json::object& object, std::string_view finalizer);
bool remove_finalizer(json::object& object, std::string_view finalizer);

const json::array& owner_references_of(const json::object& object);
// The owner reference with controller: true, or nullptr.
const json::object* controller_of(const json::object& object);
// True if the controller of `object` has this uid.
bool is_controlled_by(const json::object& object, std::string_view uid);
// An owner reference to `owner` with controller and blockOwnerDeletion set.
// REQUIRES: `owner` holds apiVersion, kind, name and uid.
json::object controller_reference_to(const json::object& owner);

// "apps/v1" → {"apps", "v1"}; "v1" → {"", "v1"}.
std::pair<std::string_view, std::string_view> split_api_version(std::string_view api_version);

// --- Conditions ---------------------------------------------------------------------------------

// The element of status.conditions of this type, or nullptr.
const json::object* find_condition(const json::object& object, std::string_view type);
bool is_condition_true(const json::object& object, std::string_view type);

struct Condition {
  std::string type = {};
  std::string status = {};  // "True", "False" or "Unknown"
  std::string reason = {};
  std::string message = {};
};
// Puts the condition into status.conditions; lastTransitionTime becomes `now` only where status
// changes. Other fields of an existing condition stay. Returns whether anything changed.
bool set_condition(json::object& object, const Condition& condition, Time now);

// --- Identity -----------------------------------------------------------------------------------

// Equality of what a user sees: metadata.resourceVersion and managedFields are left out.
bool equal_ignoring_version(const json::object& a, const json::object& b);

struct NamespacedName {
  std::string namespace_ = {};  // "" for cluster scope
  std::string name = {};

  friend auto operator<=>(const NamespacedName&, const NamespacedName&) = default;
};
NamespacedName key_of(const json::object& object);
// "namespace/name", or "name" for cluster scope.
std::string to_string(const NamespacedName& key);
// The inverse of to_string().
NamespacedName parse_key(std::string_view text);

// One object of the whole API, by resource ("deployments").
struct ObjectRef {
  std::string group = {};  // "" for the core group
  std::string resource = {};
  std::string namespace_ = {};
  std::string name = {};

  friend auto operator<=>(const ObjectRef&, const ObjectRef&) = default;
};
// "deployments.apps/namespace/name".
std::string to_string(const ObjectRef& ref);

}  // namespace tulle::kube

template <>
struct std::hash<tulle::kube::NamespacedName> {
  std::size_t operator()(const tulle::kube::NamespacedName& key) const noexcept;
};

template <>
struct std::hash<tulle::kube::ObjectRef> {
  std::size_t operator()(const tulle::kube::ObjectRef& ref) const noexcept;
};
