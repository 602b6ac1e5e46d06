#include "kube/openapi.h"

#include "kube/constraints.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <cctype>
#include <map>
#include <span>

namespace json = boost::json;

namespace tulle::kube {
namespace {

constexpr std::string_view reference_prefix = "#/components/schemas/";

// Formats that upstream publishes as schemas of their own; kubectl explain shows their last part.
struct NamedFormat {
  Format format;
  std::string_view component;
  std::string_view type;
  std::string_view openapi_format;
};

constexpr NamedFormat named_formats[] = {
    {Format::date_time, "io.k8s.apimachinery.pkg.apis.meta.v1.Time", "string", "date-time"},
    {Format::micro_time, "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "string", "date-time"},
    {Format::duration, "io.k8s.apimachinery.pkg.apis.meta.v1.Duration", "string", ""},
    {Format::fields_v1, "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "object", ""},
    {Format::raw_extension, "io.k8s.apimachinery.pkg.runtime.RawExtension", "object", ""},
    {Format::quantity, "io.k8s.apimachinery.pkg.api.resource.Quantity", "", ""},
};
constexpr std::string_view int_or_string_component =
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString";

// "core/v1.PodSpec" -> "io.k8s.api.core.v1.PodSpec"; Tulle's own after its domain, as of a CRD.
std::string component_name(const ObjectType& type) {
  std::string name(type.name);
  std::ranges::replace(name, '/', '.');
  if (name.starts_with("tulle.")) return "dev." + name;
  bool meta = name.starts_with("meta.");
  return (meta ? "io.k8s.apimachinery.pkg.apis." : "io.k8s.api.") + name;
}

std::string_view type_name(SchemaType type) {
  switch (type) {
    case SchemaType::object: return "object";
    case SchemaType::array: return "array";
    case SchemaType::string: return "string";
    case SchemaType::integer: return "integer";
    case SchemaType::number: return "number";
    case SchemaType::boolean: return "boolean";
    case SchemaType::any:
    case SchemaType::int_or_string: break;
  }
  return "";
}

std::string_view format_name(Format format) {
  switch (format) {
    case Format::int32: return "int32";
    case Format::int64: return "int64";
    case Format::float32: return "float";
    case Format::float64: return "double";
    case Format::byte: return "byte";
    case Format::date_time:
    case Format::micro_time: return "date-time";
    case Format::none:
    case Format::duration:
    case Format::quantity:
    case Format::raw_extension:
    case Format::fields_v1:
    case Format::string_list:
    case Format::other: break;
  }
  return "";
}

json::object group_version_kind(const KindDefinition& kind) {
  return {{"group", kind.group}, {"kind", kind.kind}, {"version", kind.version}};
}

// Writes the schemas of one document; a named type is written once and referred to.
class Components final {
 public:
  void add_root(const KindDefinition& kind) {
    const ObjectType* type = kind.schema->object;
    std::string name =
        type != nullptr && !type->name.empty() ? component_name(*type) : custom_name(kind);
    if (type != nullptr && !type->name.empty()) {
      require(*type);
    } else {
      components_[name] = inline_schema(*kind.schema);
    }
    json::value& versions = components_[name]["x-kubernetes-group-version-kind"];
    if (!versions.is_array()) versions.emplace_array();
    versions.get_array().push_back(group_version_kind(kind));
  }

  json::object take() {
    json::object result;
    for (auto& [name, schema] : components_) result[name] = std::move(schema);
    return result;
  }

 private:
  // "gateway.networking.k8s.io" v1 Gateway -> "io.k8s.networking.gateway.v1.Gateway".
  static std::string custom_name(const KindDefinition& kind) {
    std::string name;
    for (std::string_view group = kind.group; !group.empty();) {
      std::size_t dot = group.rfind('.');
      name.append(group.substr(dot + 1)).append(".");
      group = dot == std::string_view::npos ? std::string_view() : group.substr(0, dot);
    }
    return name + kind.version + "." + kind.kind;
  }

  json::object reference(std::string_view name) const {
    return {{"$ref", std::string(reference_prefix) + std::string(name)}};
  }

  void require(const ObjectType& type) {
    std::string name = component_name(type);
    if (components_.contains(name)) return;
    components_[name] = json::object();  // known from here on, so recursion ends
    json::object written = object_schema(type);
    components_[name] = std::move(written);
  }

  json::object object_schema(const ObjectType& type) {
    json::object schema;
    if (!type.description.empty()) schema["description"] = type.description;
    schema["type"] = "object";
    json::array required;
    json::object properties;
    for (const Property& property : type.properties) {
      if (property.required) required.emplace_back(property.name);
      properties[property.name] = property_schema(property);
    }
    if (!required.empty()) schema["required"] = std::move(required);
    schema["properties"] = std::move(properties);
    if (type.map_type == MapType::atomic) schema["x-kubernetes-map-type"] = "atomic";
    return schema;
  }

  // Whatever stands beside a $ref is ignored by OpenAPI 3.0, hence allOf.
  json::object property_schema(const Property& property) {
    json::object schema = use(*property.schema);
    bool beside = !property.description.empty() || property.default_value != nullptr ||
                  property.schema->patch_retain_keys;
    if (schema.contains("$ref") && beside) {
      schema = json::object{{"allOf", json::array{std::move(schema)}}};
    }
    if (!property.description.empty()) schema["description"] = property.description;
    if (property.default_value != nullptr) schema["default"] = *property.default_value;
    add_patch_strategy(*property.schema, schema);
    return schema;
  }

  static void add_patch_strategy(const Schema& schema, json::object& out) {
    if (schema.patch_merge || schema.patch_retain_keys) {
      std::string strategy = schema.patch_merge ? "merge" : "";
      if (schema.patch_retain_keys) strategy += schema.patch_merge ? ",retainKeys" : "retainKeys";
      out["x-kubernetes-patch-strategy"] = strategy;
    }
    if (!schema.patch_merge_key.empty()) {
      out["x-kubernetes-patch-merge-key"] = schema.patch_merge_key;
    }
  }

  // A schema where it is used: a reference where there is a name for it.
  json::object use(const Schema& schema) {
    auto named = std::ranges::find(named_formats, schema.format, &NamedFormat::format);
    if (named != std::end(named_formats)) return named_format(*named);
    if (schema.type == SchemaType::int_or_string) {
      json::object either{{"format", "int-or-string"}};
      either["oneOf"] =
          json::array{json::object{{"type", "integer"}}, json::object{{"type", "string"}}};
      components_[std::string(int_or_string_component)] = std::move(either);
      return reference(int_or_string_component);
    }
    if (schema.object != nullptr && !schema.object->name.empty()) {
      require(*schema.object);
      return reference(component_name(*schema.object));
    }
    return inline_schema(schema);
  }

  json::object named_format(const NamedFormat& named) {
    json::object schema;
    if (named.format == Format::quantity) {
      schema["oneOf"] =
          json::array{json::object{{"type", "string"}}, json::object{{"type", "number"}}};
    } else {
      schema["type"] = named.type;
    }
    if (!named.openapi_format.empty()) schema["format"] = named.openapi_format;
    components_[std::string(named.component)] = std::move(schema);
    return reference(named.component);
  }

  json::object inline_schema(const Schema& schema) {
    json::object out = schema.object != nullptr ? object_schema(*schema.object) : json::object();
    if (std::string_view type = type_name(schema.type); !type.empty()) out["type"] = type;
    if (std::string_view format = format_name(schema.format); !format.empty()) {
      out["format"] = format;
    }
    if (schema.items != nullptr) out["items"] = use(*schema.items);
    if (schema.additional_properties != nullptr) {
      out["additionalProperties"] = use(*schema.additional_properties);
    }
    if (schema.nullable) out["nullable"] = true;
    if (schema.preserve_unknown_fields) out["x-kubernetes-preserve-unknown-fields"] = true;
    if (schema.embedded_resource) out["x-kubernetes-embedded-resource"] = true;
    add_list_type(schema, out);
    if (schema.constraints != nullptr) add_constraints(*schema.constraints, out);
    return out;
  }

  static void add_list_type(const Schema& schema, json::object& out) {
    if (schema.additional_properties != nullptr && schema.map_type == MapType::atomic) {
      out["x-kubernetes-map-type"] = "atomic";
    }
    if (schema.list_type == ListType::set) out["x-kubernetes-list-type"] = "set";
    if (schema.list_type != ListType::map) return;
    out["x-kubernetes-list-type"] = "map";
    json::array keys;
    for (std::string_view key : schema.list_map_keys) keys.emplace_back(key);
    out["x-kubernetes-list-map-keys"] = std::move(keys);
  }

  static void add_constraints(const Constraints& constraints, json::object& out) {
    if (!constraints.enum_values.empty()) {
      out["enum"] = json::array(constraints.enum_values.begin(), constraints.enum_values.end());
    }
    if (!constraints.pattern.empty()) out["pattern"] = constraints.pattern;
    if (!constraints.format.empty()) out["format"] = constraints.format;
    if (constraints.minimum) out["minimum"] = *constraints.minimum;
    if (constraints.maximum) out["maximum"] = *constraints.maximum;
  }

  std::map<std::string, json::object> components_;
};

json::object query_parameter(std::string_view name) {
  return {{"name", name},
          {"in", "query"},
          {"schema", json::object{{"type", "string"}, {"uniqueItems", true}}}};
}

// kubectl asks the PATCH operation of a kind which query parameters and bodies the server takes.
json::object path_item(const KindDefinition& kind) {
  json::object bodies;
  for (std::string_view type :
       {"application/json-patch+json", "application/merge-patch+json",
        "application/apply-patch+yaml", "application/strategic-merge-patch+json"}) {
    bool strategic = type.starts_with("application/strategic");
    if (kind.builtin || !strategic) bodies[type] = json::object();
  }
  json::object patch{
      {"operationId", "patch" + kind.kind},
      {"parameters", json::array{query_parameter("dryRun"), query_parameter("fieldManager"),
                                 query_parameter("fieldValidation"), query_parameter("force")}},
      {"requestBody", json::object{{"content", std::move(bodies)}}},
      {"responses", json::object{{"200", json::object{{"description", "OK"}}}}},
      {"x-kubernetes-action", "patch"},
      {"x-kubernetes-group-version-kind", group_version_kind(kind)}};
  return {{"patch", std::move(patch)}};
}

}  // namespace

std::string openapi_path(std::string_view group, std::string_view version) {
  return group.empty() ? fmt::format("api/{}", version) : fmt::format("apis/{}/{}", group, version);
}

std::optional<std::string> openapi_document(const Scheme& scheme, std::string_view path) {
  Components components;
  json::object paths;
  for (const KindRef& kind : scheme.kinds()) {
    if (openapi_path(kind->group, kind->version) != path) continue;
    components.add_root(*kind);
    if (!kind->stored) continue;
    std::string url = fmt::format("/{}/{}{}/{{name}}", path,
                                  kind->namespaced ? "namespaces/{namespace}/" : "", kind->plural);
    paths[url] = path_item(*kind);
  }
  json::object schemas = components.take();
  if (schemas.empty()) return std::nullopt;
  return json::serialize(
      json::object{{"openapi", "3.0.0"},
                   {"info", json::object{{"title", "Tulle"}, {"version", TULLE_VERSION}}},
                   {"paths", std::move(paths)},
                   {"components", json::object{{"schemas", std::move(schemas)}}}});
}

std::string openapi_hash(std::string_view document) {
  // FNV-1a, 64 bit: tells versions of a document apart, nothing more.
  std::uint64_t hash = 0xcbf29ce484222325;
  for (char c : document) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return fmt::format("{:016X}", hash);
}

std::string openapi_index(const Scheme& scheme) {
  json::object paths;
  for (const auto& [group, version] : scheme.group_versions()) {
    std::string path = openapi_path(group, version);
    std::optional<std::string> document = openapi_document(scheme, path);
    if (!document) continue;
    std::string url = fmt::format("/openapi/v3/{}?hash={}", path, openapi_hash(*document));
    paths[path] = json::object{{"serverRelativeURL", url}};
  }
  return json::serialize(json::object{{"paths", std::move(paths)}});
}

}  // namespace tulle::kube
