// The structural schema: what a document of a kind may hold, in the language of CRD schemas
// (apiextensions.k8s.io/v1 JSONSchemaProps with the x-kubernetes-* extensions). Built-in kinds are
// written in it too, so pruning, defaulting, validation, patches, apply, OpenAPI and protobuf are
// each one walk over a Schema.
//
// All nodes are plain values owned by a SchemaSet and immutable once built; pointers between them
// stay valid as long as the set lives. Schemas may be recursive (JSONSchemaProps is): every walk
// is driven by the document, never by the schema.
#pragma once

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tulle::kube {

struct Constraints;  // enum, pattern, bounds: kube/constraints.h
struct DefaultRule;  // kube/rules.h
struct ValidationRule;
struct ObjectType;

enum class SchemaType : std::uint8_t {
  any,  // no type given; meaningful with preserve_unknown_fields
  object,
  array,
  string,
  integer,
  number,
  boolean,
  int_or_string,
};

enum class Format : std::uint8_t {
  none,
  int32,
  int64,
  float32,
  float64,
  byte,           // base64 text; `bytes` in protobuf
  date_time,      // metav1.Time: RFC 3339, seconds
  micro_time,     // metav1.MicroTime: RFC 3339, microseconds
  duration,       // metav1.Duration: "1m30s"
  quantity,       // resource.Quantity: text or number
  raw_extension,  // runtime.RawExtension: any JSON
  fields_v1,      // metav1.FieldsV1: any JSON object
  string_list,    // a []string that protobuf wraps in a message (authentication ExtraValue)
  other,          // checked by Constraints, e.g. ipv4, uuid
};

enum class ListType : std::uint8_t { atomic, set, map };  // x-kubernetes-list-type
enum class MapType : std::uint8_t { granular, atomic };   // x-kubernetes-map-type

// One use of a type: a property, an array's items, a map's values or a document's root.
struct Schema {
  SchemaType type = SchemaType::any;
  Format format = Format::none;
  ListType list_type = ListType::atomic;
  MapType map_type = MapType::granular;
  bool nullable = false;
  bool preserve_unknown_fields = false;  // x-kubernetes-preserve-unknown-fields
  bool embedded_resource = false;        // x-kubernetes-embedded-resource
  bool patch_merge = false;          // patchStrategy "merge": lists merge under a strategic patch
  bool patch_retain_keys = false;    // patchStrategy "retainKeys": only $retainKeys survive
  std::string_view patch_merge_key;  // empty for lists of primitives
  std::vector<std::string_view> list_map_keys;  // x-kubernetes-list-map-keys; list_type == map

  const ObjectType* object = nullptr;             // type == object with known properties
  const Schema* additional_properties = nullptr;  // type == object used as a map
  const Schema* items = nullptr;                  // type == array
  const Constraints* constraints = nullptr;       // null: none

  // The schema of member `name` of a document of this schema: a property, else
  // additional_properties, else null (unknown, or anything under preserve_unknown_fields).
  const Schema* member(std::string_view name) const;
};

struct Property {
  std::string_view name;
  const Schema* schema = nullptr;
  // The unconditional default, or null. Conditional ones are in ObjectType::defaults.
  const boost::json::value* default_value = nullptr;
  std::string_view description;       // ours; often empty
  std::uint32_t protobuf_number = 0;  // 0: not a field of this message itself
  bool required = false;              // published in OpenAPI; see ObjectType::enforce_required
  // "", 0, false, [] and {} of a map were written on purpose (a pointer in Go, or any CRD field);
  // otherwise they mean "absent".
  bool keep_zero = false;
};

// A message that Go embeds: its properties appear among ours in JSON, but protobuf nests it.
struct Embed {
  std::uint32_t protobuf_number = 0;
  const ObjectType* type = nullptr;
};

// The properties of an object, shared by everything that uses the type.
struct ObjectType {
  std::string_view name;             // "core/v1.PodSpec", "meta/v1.ObjectMeta"; empty if anonymous
  std::string_view description;      // ours; often empty
  std::vector<Property> properties;  // sorted by name; includes those of embeds
  std::vector<Embed> embeds;
  std::vector<const DefaultRule*> defaults;  // in the order of their application
  std::vector<const ValidationRule*> validations;
  MapType map_type = MapType::granular;  // atomic for a struct that is owned as one unit
  // CRDs: a missing required property is an error. Built-in kinds say so by validation rules,
  // because upstream's required lists are documentation only.
  bool enforce_required = false;

  const Property* find(std::string_view property) const;
  const Property* find_number(std::uint32_t protobuf_number) const;
};

// Owns schemas, their types and their strings. A resource: immovable.
class SchemaSet final {
 public:
  SchemaSet();
  ~SchemaSet();
  SchemaSet(const SchemaSet&) = delete;
  SchemaSet& operator=(const SchemaSet&) = delete;

  Schema& add_schema();
  // A new type; `name` may be empty, else it must be new. It must outlive the set or be interned.
  ObjectType& add_type(std::string_view name);
  Constraints& add_constraints();
  DefaultRule& add_default_rule();
  ValidationRule& add_validation_rule();
  // A copy of `text` that lives as long as the set.
  std::string_view intern(std::string_view text);

  // The type named `name`, or null.
  const ObjectType* find_type(std::string_view name) const;
  ObjectType* find_type(std::string_view name);
  const std::deque<ObjectType>& types() const { return types_; }

 private:
  std::deque<Schema> schemas_;
  std::deque<ObjectType> types_;
  std::deque<std::string> strings_;
  std::unordered_map<std::string_view, ObjectType*> types_by_name_;
  struct Rare;  // constraints and rules, whose types hold JSON values
  std::unique_ptr<Rare> rare_;
};

}  // namespace tulle::kube
