// check_types(): what a Go decoder would refuse before anything else is looked at.
#include "kube/validate.h"

#include "base/format.h"
#include "codec/base64.h"
#include "kube/object.h"
#include "kube/quantity.h"
#include "kube/time.h"

#include <boost/json.hpp>

#include <cstdint>
#include <limits>
#include <optional>

namespace tulle::kube {
namespace {

// "core/v1.PodSpec" -> "v1.PodSpec", as Go prints it.
std::string_view go_name(const ObjectType& type) {
  return type.name.substr(type.name.rfind('/') + 1);
}

std::string go_type(const Schema& schema) {
  switch (schema.type) {
    case SchemaType::string: return "string";
    case SchemaType::boolean: return "bool";
    case SchemaType::integer: return schema.format == Format::int32 ? "int32" : "int64";
    case SchemaType::number: return "float64";
    case SchemaType::int_or_string: return "intstr.IntOrString";
    case SchemaType::array:
      return schema.items == nullptr ? "[]interface {}" : "[]" + go_type(*schema.items);
    case SchemaType::object:
      if (schema.object != nullptr) return std::string(go_name(*schema.object));
      if (schema.additional_properties != nullptr) {
        return "map[string]" + go_type(*schema.additional_properties);
      }
      return "map[string]interface {}";
    case SchemaType::any: break;
  }
  return "interface {}";
}

std::string json_type(const json::value& value, bool with_number) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "bool";
    case json::kind::string: return "string";
    case json::kind::array: return "array";
    case json::kind::object: return "object";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_: return with_number ? "number " + scalar_text(value) : "number";
  }
  return "value";
}

class TypeChecker final {
 public:
  // The reason why `value` is no document of `schema`. `owner` is the type that holds the field.
  std::optional<std::string> walk(const Schema& schema, const json::value& value,
                                  std::string_view owner) {
    if (value.is_null()) return std::nullopt;
    switch (schema.type) {
      case SchemaType::any: return std::nullopt;
      case SchemaType::string: return check_string(schema, value, owner);
      case SchemaType::boolean:
        return value.is_bool() ? std::nullopt : mismatch(schema, value, owner);
      case SchemaType::integer: return check_integer(schema, value, owner);
      case SchemaType::number:
        return value.is_number() ? std::nullopt : mismatch(schema, value, owner);
      case SchemaType::int_or_string:
        if (value.is_string() || value.is_int64()) return std::nullopt;
        return mismatch(schema, value, owner);
      case SchemaType::array: return check_array(schema, value, owner);
      case SchemaType::object: return check_object(schema, value, owner);
    }
    return std::nullopt;
  }

 private:
  std::optional<std::string> mismatch(const Schema& schema, const json::value& value,
                                      std::string_view owner) const {
    bool integer = schema.type == SchemaType::integer && value.is_number();
    return fmt::format("json: cannot unmarshal {} into Go struct field {}.{} of type {}",
                       json_type(value, integer), owner, path_, go_type(schema));
  }

  std::optional<std::string> check_integer(const Schema& schema, const json::value& value,
                                           std::string_view owner) const {
    if (!value.is_int64()) return mismatch(schema, value, owner);
    std::int64_t number = value.get_int64();
    bool fits =
        schema.format != Format::int32 || (number >= std::numeric_limits<std::int32_t>::min() &&
                                           number <= std::numeric_limits<std::int32_t>::max());
    return fits ? std::nullopt : mismatch(schema, value, owner);
  }

  std::optional<std::string> check_string(const Schema& schema, const json::value& value,
                                          std::string_view owner) const {
    if (schema.format == Format::quantity) return check_quantity(value);
    if (!value.is_string()) return mismatch(schema, value, owner);
    std::string_view text = string_or(value);
    if (schema.format == Format::date_time || schema.format == Format::micro_time) {
      if (Result<Time> time = parse_time(text); !time) return time.error().message;
    } else if (schema.format == Format::byte) {
      Result<std::string> bytes = codec::base64_decode(text);
      if (!bytes) return bytes.error().message;
    }
    return std::nullopt;
  }

  static std::optional<std::string> check_quantity(const json::value& value) {
    if (value.is_string() || value.is_number()) {
      if (Quantity::parse(scalar_text(value))) return std::nullopt;
    }
    return "quantities must match the regular expression "
           "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  }

  std::optional<std::string> check_array(const Schema& schema, const json::value& value,
                                         std::string_view owner) {
    const json::array* elements = value.if_array();
    if (elements == nullptr) return mismatch(schema, value, owner);
    if (schema.items == nullptr) return std::nullopt;
    for (const json::value& element : *elements) {
      if (auto reason = walk(*schema.items, element, owner)) return reason;
    }
    return std::nullopt;
  }

  std::optional<std::string> check_object(const Schema& schema, const json::value& value,
                                          std::string_view owner) {
    if (schema.format == Format::raw_extension) return std::nullopt;
    const json::object* object = value.if_object();
    if (object == nullptr) return mismatch(schema, value, owner);
    std::string_view inner = schema.object == nullptr ? owner : go_name(*schema.object);
    if (schema.object != nullptr) inner.remove_prefix(inner.find('.') + 1);
    std::size_t length = path_.size();
    for (const auto& [key, member_value] : *object) {
      const Schema* member = schema.member(key);
      if (member == nullptr) continue;
      // Go names struct fields only: neither list positions nor keys of maps.
      if (schema.object != nullptr) {
        if (length != 0) path_ += '.';
        path_ += key;
      }
      if (auto reason = walk(*member, member_value, inner)) return reason;
      path_.resize(length);
    }
    return std::nullopt;
  }

  std::string path_;
};

}  // namespace

Result<void> check_types(const Schema& schema, std::string_view kind, std::string_view version,
                         const json::value& document) {
  std::optional<std::string> reason = TypeChecker().walk(schema, document, kind);
  if (!reason) return {};
  return failf(Code::invalid_argument, "{} in version \"{}\" cannot be handled as a {}: {}", kind,
               version, kind, *reason);
}

}  // namespace tulle::kube
