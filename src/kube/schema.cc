#include "kube/schema.h"

#include "base/check.h"
#include "kube/constraints.h"
#include "kube/rules.h"

#include <algorithm>

namespace tulle::kube {

const Schema* Schema::member(std::string_view name) const {
  if (object != nullptr) {
    if (const Property* property = object->find(name)) return property->schema;
  }
  return additional_properties;
}

const Property* ObjectType::find(std::string_view property) const {
  auto found = std::ranges::lower_bound(properties, property, {}, &Property::name);
  return found != properties.end() && found->name == property ? &*found : nullptr;
}

const Property* ObjectType::find_number(std::uint32_t protobuf_number) const {
  if (protobuf_number == 0) return nullptr;
  auto found = std::ranges::find(properties, protobuf_number, &Property::protobuf_number);
  return found != properties.end() ? &*found : nullptr;
}

struct SchemaSet::Rare {
  std::deque<Constraints> constraints;
  std::deque<DefaultRule> defaults;
  std::deque<ValidationRule> validations;
};

SchemaSet::SchemaSet() : rare_(std::make_unique<Rare>()) {}
SchemaSet::~SchemaSet() = default;

Schema& SchemaSet::add_schema() { return schemas_.emplace_back(); }

ObjectType& SchemaSet::add_type(std::string_view name) {
  ObjectType& type = types_.emplace_back();
  type.name = name;
  if (!name.empty()) CHECK(types_by_name_.emplace(name, &type).second);
  return type;
}

Constraints& SchemaSet::add_constraints() { return rare_->constraints.emplace_back(); }
DefaultRule& SchemaSet::add_default_rule() { return rare_->defaults.emplace_back(); }
ValidationRule& SchemaSet::add_validation_rule() { return rare_->validations.emplace_back(); }

std::string_view SchemaSet::intern(std::string_view text) { return strings_.emplace_back(text); }

const ObjectType* SchemaSet::find_type(std::string_view name) const {
  auto found = types_by_name_.find(name);
  return found != types_by_name_.end() ? found->second : nullptr;
}

ObjectType* SchemaSet::find_type(std::string_view name) {
  auto found = types_by_name_.find(name);
  return found != types_by_name_.end() ? found->second : nullptr;
}

}  // namespace tulle::kube
