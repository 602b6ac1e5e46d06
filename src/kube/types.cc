#include "kube/types.h"

#include "kube/schema_text.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <span>
#include <string>

namespace tulle::kube {
namespace {

struct Scalar {
  std::string_view name;
  SchemaType type;
  Format format;
};

constexpr Scalar scalars[] = {
    {"string", SchemaType::string, Format::none},
    {"bool", SchemaType::boolean, Format::none},
    {"int32", SchemaType::integer, Format::int32},
    {"int64", SchemaType::integer, Format::int64},
    {"float64", SchemaType::number, Format::float64},
    {"bytes", SchemaType::string, Format::byte},
    {"time", SchemaType::string, Format::date_time},
    {"micro_time", SchemaType::string, Format::micro_time},
    {"duration", SchemaType::string, Format::duration},
    {"quantity", SchemaType::string, Format::quantity},
    {"int_or_string", SchemaType::int_or_string, Format::none},
    {"raw", SchemaType::object, Format::raw_extension},
    {"fields_v1", SchemaType::object, Format::fields_v1},
};

std::vector<std::string_view> split_at(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Reads one file. Schema nodes that say the same are shared.
class Loader final {
 public:
  Loader(SchemaSet& schemas, std::string_view file) : schemas_(schemas), file_(file) {}

  Result<void> load(std::string_view text) {
    std::vector<TextLine> lines = split_lines(text);
    for (const TextLine& line : lines) {
      if (!line.indented) TRY_VOID(declare(line));
    }
    ObjectType* type = nullptr;
    for (const TextLine& line : lines) {
      if (!line.indented) {
        type = schemas_.find_type(split_words(line.text)[1]);
      } else if (type == nullptr) {
        return line_error(file_, line, "a field before the first type");
      } else {
        TRY_VOID(add_field(*type, line));
      }
    }
    for (ObjectType* each : declared_) flatten(*each);
    return {};
  }

 private:
  Result<void> declare(const TextLine& line) {
    std::vector<std::string_view> words = split_words(line.text);
    if (words.size() < 2 || words[0] != "type") return line_error(file_, line, "not a type line");
    if (schemas_.find_type(words[1]) != nullptr) return line_error(file_, line, "type given twice");
    ObjectType& type = schemas_.add_type(words[1]);
    if (words.size() > 2 && words[2] == "atomic") type.map_type = MapType::atomic;
    declared_.push_back(&type);
    return {};
  }

  Result<void> add_field(ObjectType& type, const TextLine& line) {
    std::vector<std::string_view> words = split_words(line.text);
    if (words.size() < 3) return line_error(file_, line, "not a field line");
    std::uint32_t number = 0;
    std::string_view digits = words[1];
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc{} || end != digits.data() + digits.size()) {
      return line_error(file_, line, "not a protobuf number");
    }
    if (words[0] == "+") {
      const ObjectType* embedded = schemas_.find_type(words[2]);
      if (embedded == nullptr) return line_error(file_, line, "unknown type");
      type.embeds.push_back({.protobuf_number = number, .type = embedded});
      return {};
    }
    Property property;
    property.name = words[0];
    property.protobuf_number = number;
    std::string shape{words[2]};
    for (std::string_view flag : std::span(words).subspan(3)) {
      if (flag == "required") {
        property.required = true;
      } else if (flag == "keep") {
        property.keep_zero = true;
      } else {
        shape.append(" ").append(flag);
      }
    }
    property.schema = schema_of(shape);
    if (property.schema == nullptr) return line_error(file_, line, "unknown type or flag");
    type.properties.push_back(property);
    return {};
  }

  // The schema of "TYPE flags"; null if something in it is unknown.
  const Schema* schema_of(std::string_view shape) {
    if (auto known = shared_.find(shape); known != shared_.end()) return known->second;
    shape = schemas_.intern(shape);  // the schema keeps views of its keys
    std::vector<std::string_view> words = split_words(shape);
    Schema schema;
    if (!set_type(schema, words[0])) return nullptr;
    for (std::string_view flag : std::span(words).subspan(1)) {
      if (!set_flag(schema, flag)) return nullptr;
    }
    Schema& stored = schemas_.add_schema();
    stored = std::move(schema);
    shared_.emplace(shape, &stored);
    return &stored;
  }

  bool set_type(Schema& schema, std::string_view type) {
    if (type.starts_with("[]") || type.starts_with("{}")) {
      bool list = type.starts_with("[]");
      const Schema* element = schema_of(type.substr(2));
      schema.type = list ? SchemaType::array : SchemaType::object;
      (list ? schema.items : schema.additional_properties) = element;
      return element != nullptr;
    }
    if (type == "string_list") {
      schema.type = SchemaType::array;
      schema.format = Format::string_list;
      schema.items = schema_of("string");
      return true;
    }
    auto scalar = std::ranges::find(scalars, type, &Scalar::name);
    if (scalar != std::end(scalars)) {
      schema.type = scalar->type;
      schema.format = scalar->format;
      schema.preserve_unknown_fields =
          scalar->format == Format::raw_extension || scalar->format == Format::fields_v1;
      return true;
    }
    schema.type = SchemaType::object;
    schema.object = schemas_.find_type(type);
    if (schema.object != nullptr) schema.map_type = schema.object->map_type;
    return schema.object != nullptr;
  }

  bool set_flag(Schema& schema, std::string_view flag) {
    if (flag == "atomic") {
      schema.map_type = MapType::atomic;
      return true;
    }
    if (flag == "list=set") {
      schema.list_type = ListType::set;
      return true;
    }
    if (flag.starts_with("list=map:")) {
      schema.list_type = ListType::map;
      schema.list_map_keys = split_at(flag.substr(9), ',');
      return true;
    }
    if (!flag.starts_with("patch=")) return false;
    for (std::string_view strategy : split_at(flag.substr(6), '+')) {
      if (strategy == "retainKeys") {
        schema.patch_retain_keys = true;
      } else if (strategy.starts_with("merge")) {
        schema.patch_merge = true;
        if (strategy.starts_with("merge:")) schema.patch_merge_key = strategy.substr(6);
      } else if (strategy != "replace") {
        return false;
      }
    }
    return true;
  }

  // Puts the properties of embedded types among the type's own, and sorts them.
  void flatten(ObjectType& type) {
    for (const Embed& embed : type.embeds) {
      if (!embed.type->embeds.empty()) flatten(*schemas_.find_type(embed.type->name));
      for (Property property : embed.type->properties) {
        property.protobuf_number = 0;
        auto known = std::ranges::find(type.properties, property.name, &Property::name);
        if (known == type.properties.end()) type.properties.push_back(property);
      }
    }
    std::ranges::sort(type.properties, {}, &Property::name);
  }

  SchemaSet& schemas_;
  std::string_view file_;
  std::vector<ObjectType*> declared_;
  std::map<std::string, const Schema*, std::less<>> shared_;
};

}  // namespace

Result<void> load_types(SchemaSet& schemas, std::string_view file, std::string_view text) {
  return Loader(schemas, file).load(text);
}

Result<void> load_descriptions(SchemaSet& schemas, std::string_view file, std::string_view text) {
  for (const TextLine& line : split_lines(text)) {
    std::string_view subject = line.text;
    std::string_view description = cut(subject, " ");
    if (ObjectType* type = schemas.find_type(subject)) {
      type->description = description;
      continue;
    }
    std::size_t dot = subject.rfind('.');
    ObjectType* type = schemas.find_type(subject.substr(0, dot));
    const Property* property = type != nullptr && dot != std::string_view::npos
                                   ? type->find(subject.substr(dot + 1))
                                   : nullptr;
    if (property == nullptr) return line_error(file, line, "no such type or field");
    type->properties[static_cast<std::size_t>(property - type->properties.data())].description =
        description;
  }
  return {};
}

}  // namespace tulle::kube
