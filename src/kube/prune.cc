#include "kube/prune.h"

#include "kube/object.h"
#include "kube/quantity.h"

#include <fmt/format.h>
#include <boost/json.hpp>

namespace tulle::kube {
namespace {

// Values that Go's omitempty leaves out. Objects with known fields are never empty in this sense.
bool is_zero(const Schema& schema, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return true;
    case json::kind::bool_: return !value.get_bool();
    case json::kind::int64: return value.get_int64() == 0;
    case json::kind::uint64: return value.get_uint64() == 0;
    case json::kind::double_: return value.get_double() == 0;
    case json::kind::string: return value.get_string().empty();
    case json::kind::array: return value.get_array().empty();
    case json::kind::object:
      return schema.additional_properties != nullptr && value.get_object().empty();
  }
  return false;
}

// "cpu: 1" and "cpu: 1000m" are the same amount; the canonical text makes equal ones equal.
void canonicalize_quantity(json::value& value) {
  if (!value.is_string() && !value.is_number()) return;
  if (Result<std::string> text = canonical_quantity(scalar_text(value))) value = *text;
}

class Pruner final {
 public:
  void walk(const Schema& schema, json::value& value) {
    if (schema.format == Format::quantity) canonicalize_quantity(value);
    if (json::array* elements = value.if_array()) {
      if (schema.items != nullptr) walk_array(*schema.items, *elements);
    } else if (json::object* object = value.if_object()) {
      walk_object(schema, *object);
    }
  }

  std::vector<std::string> take_reports() { return std::move(reports_); }

 private:
  void walk_array(const Schema& items, json::array& elements) {
    std::size_t length = path_.size();
    // Go reads null among objects as one that says nothing.
    if (items.object != nullptr) {
      for (json::value& element : elements) {
        if (element.is_null()) element.emplace_object();
      }
    }
    for (std::size_t i = 0; i < elements.size(); ++i) {
      fmt::format_to(std::back_inserter(path_), "[{}]", i);
      walk(items, elements[i]);
      path_.resize(length);
    }
  }

  void walk_object(const Schema& schema, json::object& object) {
    std::size_t length = path_.size();
    std::vector<std::string> doomed;
    for (auto& [key, value] : object) {
      if (length != 0) path_ += '.';
      path_ += key;
      const Property* property = schema.object == nullptr ? nullptr : schema.object->find(key);
      const Schema* member = property != nullptr ? property->schema : schema.additional_properties;
      if (member == nullptr) {
        bool open = schema.preserve_unknown_fields || schema.type == SchemaType::any ||
                    (schema.embedded_resource && (key == "apiVersion" || key == "kind"));
        if (!open) {
          reports_.push_back(fmt::format("unknown field \"{}\"", path_));
          doomed.emplace_back(key);
        }
      } else {
        walk(*member, value);
        bool dropped = value.is_null()
                           ? !member->nullable
                           : property != nullptr && !property->keep_zero && is_zero(*member, value);
        if (dropped) doomed.emplace_back(key);
      }
      path_.resize(length);
    }
    for (const std::string& key : doomed) object.stable_erase(object.find(key));
  }

  std::string path_;
  std::vector<std::string> reports_;
};

}  // namespace

std::vector<std::string> prune(const Schema& schema, json::value& document) {
  Pruner pruner;
  pruner.walk(schema, document);
  return pruner.take_reports();
}

}  // namespace tulle::kube
