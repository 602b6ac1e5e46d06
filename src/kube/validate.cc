#include "kube/validate.h"

#include "kube/object.h"
#include "kube/validate_format.h"
#include "kube/validate_rules.h"

#include <fmt/format.h>
#include <boost/json.hpp>

namespace tulle::kube {
namespace {

// Walks a document and its stored form side by side. List elements are not paired up: what hangs
// on the stored form is not checked below them.
class Validator final {
 public:
  explicit Validator(FieldErrors& errors) : errors_(errors) {}

  void walk(const Schema& schema, const json::value& value, const json::value* old) {
    if (const json::array* elements = value.if_array()) {
      if (schema.items != nullptr) walk_array(*schema.items, *elements);
    } else if (const json::object* object = value.if_object()) {
      walk_object(schema, *object, old == nullptr ? nullptr : old->if_object());
    }
  }

  void walk_object(const Schema& schema, const json::object& object, const json::object* old) {
    if (schema.object != nullptr) check_object(*schema.object, object, old);
    walk_members(schema, object, old);
  }

 private:
  void check_object(const ObjectType& type, const json::object& object, const json::object* old) {
    for (const ValidationRule* rule : type.validations) {
      check_rule(*rule, {.object = object, .old = old, .field = path_}, errors_);
    }
    if (!type.enforce_required) return;
    for (const Property& property : type.properties) {
      if (!property.required || object.contains(property.name)) continue;
      errors_.required(
          path_.empty() ? std::string(property.name) : fmt::format("{}.{}", path_, property.name),
          "");
    }
  }

  void walk_members(const Schema& schema, const json::object& object, const json::object* old) {
    std::size_t length = path_.size();
    for (const auto& [key, value] : object) {
      const Schema* member = schema.member(key);
      if (member == nullptr) continue;
      if (length != 0) path_ += '.';
      path_ += key;
      walk(*member, value, old == nullptr ? nullptr : old->if_contains(key));
      path_.resize(length);
    }
  }

  void walk_array(const Schema& items, const json::array& elements) {
    std::size_t length = path_.size();
    for (std::size_t i = 0; i < elements.size(); ++i) {
      path_ += fmt::format("[{}]", i);
      walk(items, elements[i], nullptr);
      path_.resize(length);
    }
  }

  FieldErrors& errors_;
  std::string path_;
};

// What holds for the metadata of every root object, but not of templates.
void check_metadata(const KindDefinition& kind, const json::object& object, const json::object* old,
                    FieldErrors& errors) {
  const json::object& metadata = object_at(object, "metadata");
  const json::value* name = metadata.if_contains("name");
  if (name == nullptr || string_or(*name).empty()) {
    errors.required("metadata.name", "name or generateName is required");
  } else if (is_text_format(kind.name_format)) {
    for (const std::string& complaint : check_text_format(kind.name_format, *name)) {
      errors.invalid("metadata.name", *name, complaint);
    }
  }
  const json::value* name_space = metadata.if_contains("namespace");
  bool has_namespace = name_space != nullptr && !string_or(*name_space).empty();
  if (!kind.namespaced && has_namespace) {
    errors.forbidden("metadata.namespace", "not allowed on this type");
  }
  if (kind.namespaced && !has_namespace) errors.required("metadata.namespace", "");
  if (old == nullptr) return;
  const json::object& before = object_at(*old, "metadata");
  for (std::string_view fixed : {"name", "namespace", "uid", "creationTimestamp"}) {
    const json::value* was = before.if_contains(fixed);
    const json::value* is = metadata.if_contains(fixed);
    if (was == nullptr || is == nullptr || *was == *is) continue;
    errors.invalid(fmt::format("metadata.{}", fixed), *is, "field is immutable");
  }
}

}  // namespace

std::vector<StatusCause> validate(const KindDefinition& kind, const json::object& object,
                                  const json::object* old) {
  FieldErrors errors;
  if (kind.stored) check_metadata(kind, object, old, errors);
  Validator(errors).walk_object(*kind.schema, object, old);
  return errors.take();
}

}  // namespace tulle::kube
