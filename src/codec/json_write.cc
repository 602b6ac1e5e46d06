#include "codec/json.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <array>
#include <charconv>
#include <cmath>

namespace tulle::codec {
namespace {

namespace json = boost::json;

bool must_escape(char byte) {
  return static_cast<unsigned char>(byte) < 0x20 || byte == '"' || byte == '\\';
}

void write_escape(std::string& out, char byte) {
  static constexpr std::string_view digits = "0123456789abcdef";
  switch (byte) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  const auto value = static_cast<unsigned char>(byte);
  out += "\\u00";
  out += digits[value >> 4];
  out += digits[value & 15];
}

void write_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t run = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!must_escape(text[at])) continue;
    out.append(text, run, at - run);
    write_escape(out, text[at]);
    run = at + 1;
  }
  out.append(text, run);
  out += '"';
}

template <class Integer>
void write_integer(std::string& out, Integer number) {
  std::array<char, 24> digits{};
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), result.ptr);
}

void write_double(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  const double size = std::abs(number);
  if (size == 0) number = 0;  // "-0" would come back as the integer 0
  const bool plain = size == 0 || (size >= 1e-6 && size < 1e21);
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  std::array<char, 64> digits{};
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number, format);
  const std::string_view text(digits.data(), result.ptr);
  const std::size_t padded = text.find("e-0");  // C writes two digits, Go one
  out.append(text.substr(0, padded));
  if (padded != std::string_view::npos) out.append("e-").append(text.substr(padded + 3));
}

void write_value(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: out += "null"; return;
    case json::kind::bool_: out += *value.if_bool() ? "true" : "false"; return;
    case json::kind::int64: write_integer(out, *value.if_int64()); return;
    case json::kind::uint64: write_integer(out, *value.if_uint64()); return;
    case json::kind::double_: write_double(out, *value.if_double()); return;
    case json::kind::string: {
      const json::string& text = *value.if_string();
      write_string(out, {text.data(), text.size()});
      return;
    }
    case json::kind::array: {
      char separator = '[';
      for (const json::value& item : *value.if_array()) {
        out += separator;
        write_value(out, item);
        separator = ',';
      }
      out += separator == '[' ? "[]" : "]";
      return;
    }
    case json::kind::object: {
      char separator = '{';
      for (const auto& [key, item] : *value.if_object()) {
        out += separator;
        write_string(out, {key.data(), key.size()});
        out += ':';
        write_value(out, item);
        separator = ',';
      }
      out += separator == '{' ? "{}" : "}";
      return;
    }
  }
}

}  // namespace

std::string to_json(const json::value& value) {
  std::string out;
  write_value(out, value);
  return out;
}

}  // namespace tulle::codec
