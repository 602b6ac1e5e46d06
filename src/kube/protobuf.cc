#include "kube/protobuf.h"

#include "base/format.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "kube/object.h"
#include "kube/protobuf_reader.h"
#include "kube/time.h"

#include <boost/json.hpp>

#include <bit>
#include <chrono>

namespace tulle::kube {
namespace {

constexpr std::string_view magic{"k8s\0", 4};

// The values of one field's occurrence.
using Field = ProtobufField;

Error wrong_type(std::string_view what) {
  return failf(Code::malformed, "protobuf: {} has the wrong wire type", what);
}

class Decoder final {
 public:
  // Reads `message` into `object`, whose type is `type`.
  Result<void> read_object(const ObjectType& type, std::string_view message, json::object& object) {
    TRY_VOID(enter());
    ProtobufReader reader(message);
    while (!reader.at_end()) {
      TRY(Field field, reader.next());
      if (const Property* property = type.find_number(field.number)) {
        TRY_VOID(read_property(*property, field, object));
        continue;
      }
      for (const Embed& embed : type.embeds) {
        if (embed.protobuf_number != field.number) continue;
        if (field.wire != WireType::bytes) return wrong_type(type.name);
        TRY_VOID(read_object(*embed.type, field.bytes, object));
      }
    }
    --depth_;
    return {};
  }

 private:
  Result<void> enter() {
    if (++depth_ > protobuf_depth_max) return fail(Code::malformed, "protobuf: nested too deeply");
    return {};
  }

  Result<void> count() {
    if (++values_ > protobuf_values_max) return fail(Code::malformed, "protobuf: too many values");
    return {};
  }

  Result<void> read_property(const Property& property, const Field& field, json::object& object) {
    const Schema& schema = *property.schema;
    TRY_VOID(count());
    if (schema.format == Format::string_list || schema.type != SchemaType::array) {
      if (schema.additional_properties != nullptr) {
        return read_entry(property, *schema.additional_properties, field, object);
      }
      TRY(json::value value, read_value(schema, field, property.name));
      bool absent = value.is_null() || (!property.keep_zero && is_zero(value));
      if (!absent) object[property.name] = std::move(value);
      return {};
    }
    json::value& list = object[property.name];
    if (!list.is_array()) list.emplace_array();
    if (schema.items->type == SchemaType::integer && field.wire == WireType::bytes) {
      return read_packed(*schema.items, field, property.name, list.get_array());
    }
    TRY(json::value value, read_value(*schema.items, field, property.name));
    list.get_array().push_back(std::move(value));
    return {};
  }

  static bool is_zero(const json::value& value) {
    if (const json::string* text = value.if_string()) return text->empty();
    if (value.is_bool()) return !value.get_bool();
    return value.is_number() && value.to_number<double>() == 0;
  }

  Result<void> read_packed(const Schema& items, const Field& field, std::string_view name,
                           json::array& list) {
    ProtobufReader reader(field.bytes);
    while (!reader.at_end()) {
      TRY(std::uint64_t number, reader.varint());
      TRY_VOID(count());
      Field element{.number = field.number, .wire = WireType::varint, .integer = number};
      TRY(json::value value, read_value(items, element, name));
      list.push_back(std::move(value));
    }
    return {};
  }

  // One entry {1: key, 2: value} of a map.
  Result<void> read_entry(const Property& property, const Schema& values, const Field& field,
                          json::object& object) {
    if (field.wire != WireType::bytes) return wrong_type(property.name);
    std::string_view key;
    json::value value = empty_of(values);
    ProtobufReader reader(field.bytes);
    while (!reader.at_end()) {
      TRY(Field part, reader.next());
      if (part.number == 1 && part.wire == WireType::bytes) key = part.bytes;
      if (part.number != 2) continue;
      TRY(value, read_value(values, part, property.name));
    }
    TRY_VOID(check_text(key, property.name));
    json::value& map = object[property.name];
    if (!map.is_object()) map.emplace_object();
    map.get_object()[key] = std::move(value);
    return {};
  }

  static json::value empty_of(const Schema& schema) {
    switch (schema.type) {
      case SchemaType::string: return json::string();
      case SchemaType::array: return json::array();
      case SchemaType::boolean: return false;
      case SchemaType::integer:
      case SchemaType::number: return 0;
      case SchemaType::object:
      case SchemaType::any:
      case SchemaType::int_or_string: break;
    }
    return json::object();
  }

  // Null for what Go would print as null: a zero time.
  Result<json::value> read_value(const Schema& schema, const Field& field, std::string_view name) {
    switch (schema.type) {
      case SchemaType::boolean:
        if (field.wire != WireType::varint) return wrong_type(name);
        return json::value(field.integer != 0);
      case SchemaType::integer:
        if (field.wire != WireType::varint) return wrong_type(name);
        return schema.format == Format::int32
                   ? json::value(static_cast<std::int32_t>(field.integer))
                   : json::value(static_cast<std::int64_t>(field.integer));
      case SchemaType::number:
        if (field.wire != WireType::fixed64) return wrong_type(name);
        return json::value(std::bit_cast<double>(field.integer));
      case SchemaType::any: return json::value();
      default: break;
    }
    if (field.wire != WireType::bytes) return wrong_type(name);
    if (schema.type == SchemaType::string) return read_text(schema, field.bytes, name);
    if (schema.type == SchemaType::int_or_string) return read_int_or_string(field.bytes, name);
    if (schema.type == SchemaType::array) return read_string_list(field.bytes, name);
    if (schema.preserve_unknown_fields) return read_raw(field.bytes, name);
    json::value value = json::object();
    if (schema.object != nullptr) {
      TRY_VOID(read_object(*schema.object, field.bytes, value.get_object()));
    }
    return value;
  }

  static Result<void> check_text(std::string_view text, std::string_view name) {
    if (is_utf8(text)) return {};
    return failf(Code::malformed, "protobuf: {} is not valid UTF-8", name);
  }

  Result<json::value> read_text(const Schema& schema, std::string_view bytes,
                                std::string_view name) {
    switch (schema.format) {
      case Format::byte: return json::value(codec::base64_encode(bytes));
      case Format::date_time:
      case Format::micro_time: return read_time(schema.format, bytes, name);
      case Format::duration: return read_duration(bytes, name);
      case Format::quantity: {
        TRY(std::string_view text, read_member(bytes, name));
        TRY_VOID(check_text(text, name));
        return json::value(text);
      }
      default: break;
    }
    TRY_VOID(check_text(bytes, name));
    return json::value(bytes);
  }

  // The bytes of field 1, empty where it is missing.
  static Result<std::string_view> read_member(std::string_view message, std::string_view name) {
    std::string_view found;
    ProtobufReader reader(message);
    while (!reader.at_end()) {
      TRY(Field field, reader.next());
      if (field.number != 1) continue;
      if (field.wire != WireType::bytes) return wrong_type(name);
      found = field.bytes;
    }
    return found;
  }

  static Result<json::value> read_time(Format format, std::string_view message,
                                       std::string_view name) {
    if (message.empty()) return json::value();
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
    ProtobufReader reader(message);
    while (!reader.at_end()) {
      TRY(Field field, reader.next());
      if (field.wire != WireType::varint) return wrong_type(name);
      if (field.number == 1) seconds = static_cast<std::int64_t>(field.integer);
      if (field.number == 2) nanoseconds = static_cast<std::int32_t>(field.integer);
    }
    // Years 1 to 9999, the range of RFC 3339.
    constexpr std::int64_t first = -62'135'596'800;
    constexpr std::int64_t last = 253'402'300'799;
    bool good =
        seconds >= first && seconds <= last && nanoseconds >= 0 && nanoseconds < 1'000'000'000;
    if (!good) return failf(Code::malformed, "protobuf: {} is not a time", name);
    Time time{std::chrono::seconds(seconds) + std::chrono::microseconds(nanoseconds / 1000)};
    return json::value(format == Format::date_time ? format_time(time) : format_micro_time(time));
  }

  static Result<json::value> read_duration(std::string_view message, std::string_view name) {
    std::int64_t nanoseconds = 0;
    ProtobufReader reader(message);
    while (!reader.at_end()) {
      TRY(Field field, reader.next());
      if (field.wire != WireType::varint) return wrong_type(name);
      if (field.number == 1) nanoseconds = static_cast<std::int64_t>(field.integer);
    }
    return json::value(format_go_duration(nanoseconds));
  }

  static Result<json::value> read_int_or_string(std::string_view message, std::string_view name) {
    std::uint64_t type = 0;
    std::int32_t number = 0;
    std::string_view text;
    ProtobufReader reader(message);
    while (!reader.at_end()) {
      TRY(Field field, reader.next());
      bool is_text = field.number == 3;
      if (field.number < 1 || field.number > 3) continue;
      if (field.wire != (is_text ? WireType::bytes : WireType::varint)) return wrong_type(name);
      if (field.number == 1) type = field.integer;
      if (field.number == 2) number = static_cast<std::int32_t>(field.integer);
      if (is_text) text = field.bytes;
    }
    if (type == 0) return json::value(number);
    TRY_VOID(check_text(text, name));
    return json::value(text);
  }

  Result<json::value> read_string_list(std::string_view message, std::string_view name) {
    json::array list;
    ProtobufReader reader(message);
    while (!reader.at_end()) {
      TRY(Field field, reader.next());
      if (field.number != 1) continue;
      if (field.wire != WireType::bytes) return wrong_type(name);
      TRY_VOID(check_text(field.bytes, name));
      TRY_VOID(count());
      list.emplace_back(field.bytes);
    }
    return json::value(std::move(list));
  }

  static Result<json::value> read_raw(std::string_view message, std::string_view name) {
    TRY(std::string_view raw, read_member(message, name));
    if (raw.empty()) return json::value();
    return codec::parse_json(raw, {.depth_max = protobuf_depth_max, .duplicate_keys = nullptr});
  }

  int depth_ = 0;
  std::size_t values_ = 0;
};

struct Envelope {
  std::string_view api_version;
  std::string_view kind;
  std::string_view raw;
  std::string_view content_encoding;
};

// runtime.Unknown {1: TypeMeta{1: apiVersion, 2: kind}, 2: raw, 3: encoding, 4: content type}.
Result<Envelope> read_envelope(std::string_view message) {
  Envelope envelope;
  ProtobufReader reader(message);
  while (!reader.at_end()) {
    TRY(Field field, reader.next());
    if (field.wire != WireType::bytes) continue;
    if (field.number == 2) envelope.raw = field.bytes;
    if (field.number == 3) envelope.content_encoding = field.bytes;
    if (field.number != 1) continue;
    ProtobufReader type(field.bytes);
    while (!type.at_end()) {
      TRY(Field part, type.next());
      if (part.number == 1) envelope.api_version = part.bytes;
      if (part.number == 2) envelope.kind = part.bytes;
    }
  }
  return envelope;
}

}  // namespace

Result<json::value> decode_protobuf(const Scheme& scheme, std::string_view body) {
  if (!body.starts_with(magic)) {
    return fail(Code::malformed, "protobuf: the body does not start with \"k8s\\0\"");
  }
  TRY(Envelope envelope, read_envelope(body.substr(magic.size())));
  if (!envelope.content_encoding.empty()) {
    return fail(Code::unsupported, "protobuf: encoded content is not supported");
  }
  bool named = is_utf8(envelope.api_version) && is_utf8(envelope.kind);
  const Schema* schema = named ? scheme.find_schema(envelope.api_version, envelope.kind) : nullptr;
  if (schema == nullptr || schema->object == nullptr) {
    return named ? failf(Code::unsupported, "no kind \"{}\" is registered for version \"{}\"",
                         envelope.kind, envelope.api_version)
                 : fail(Code::malformed, "protobuf: the kind is not valid UTF-8");
  }
  json::object object;
  object["kind"] = envelope.kind;
  object["apiVersion"] = envelope.api_version;
  TRY_VOID(Decoder().read_object(*schema->object, envelope.raw, object));
  return json::value(std::move(object));
}

}  // namespace tulle::kube
