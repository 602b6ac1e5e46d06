#include "codec/yaml_scalar.h"

#include "base/format.h"
#include "codec/base64.h"
#include "codec/utf8.h"

#include <yaml.h>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace tulle::codec {
namespace {

namespace json = boost::json;

constexpr std::string_view binary_tag = "tag:yaml.org,2002:binary";

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

bool is_null(std::string_view text) { return is_one_of(text, {"", "~", "null", "Null", "NULL"}); }

std::optional<bool> as_bool(std::string_view text) {
  if (is_one_of(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) {
    return true;
  }
  if (is_one_of(text,
                {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) {
    return false;
  }
  return std::nullopt;
}

bool is_no_json_number(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return is_one_of(text, {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"});
}

template <class Number>
std::optional<Number> whole(std::string_view digits, int base) {
  Number number{};
  const auto [stop, error] = std::from_chars(digits.begin(), digits.end(), number, base);
  if (digits.empty() || error != std::errc{} || stop != digits.end()) return std::nullopt;
  return number;
}

// [+-] then 0x, 0o, 0b or 0 for another base.
std::optional<json::value> as_integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  int base = 10;
  if (text.size() > 1 && text.front() == '0') {
    const char letter = static_cast<char>(text[1] | 0x20);
    base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
    text.remove_prefix(base != 8 || letter == 'o' ? 2 : 1);
  }
  const auto magnitude = whole<std::uint64_t>(text, base);
  if (!magnitude) return std::nullopt;
  constexpr auto int64_max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!negative && *magnitude > int64_max) return json::value(*magnitude);
  if (*magnitude > int64_max + 1) return std::nullopt;
  // Two's complement: negating the unsigned number reaches the smallest one too.
  return json::value(static_cast<std::int64_t>(negative ? 0 - *magnitude : *magnitude));
}

// [+-] digits, with a point or an exponent or neither (then too long for an integer, or "08").
std::optional<json::value> as_float(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const auto fits = [](char c) {
    return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
  };
  if (!std::ranges::all_of(text, fits)) return std::nullopt;
  double number = 0;
  const auto [stop, error] = std::from_chars(text.begin(), text.end(), number);
  const bool signed_twice = text.starts_with('-');
  if (signed_twice || error != std::errc{} || stop != text.end()) return std::nullopt;
  return json::value(negative ? -number : number);
}

bool may_be_number(std::string_view text) {
  const char first = text.empty() ? ' ' : text.front();
  return (first >= '0' && first <= '9') || first == '+' || first == '-' || first == '.';
}

std::optional<json::value> as_number(std::string_view text) {
  if (!may_be_number(text)) return std::nullopt;
  std::string digits(text);
  std::erase(digits, '_');
  if (auto number = as_integer(digits)) return number;
  return as_float(digits);
}

json::value text_value(std::string_view text) {
  return json::value(json::string_view(text.data(), text.size()));
}

Result<json::value> resolve_plain(std::string_view text) {
  if (is_null(text)) return json::value(nullptr);
  if (const auto truth = as_bool(text)) return json::value(*truth);
  if (is_no_json_number(text)) return failf(Code::malformed, "JSON has no {}", text);
  if (auto number = as_number(text)) return std::move(*number);
  return text_value(text);
}

}  // namespace

Result<json::value> resolve_yaml_scalar(const YamlScalar& scalar) {
  const std::string_view text = scalar.text;
  if (scalar.tag.empty()) return scalar.plain ? resolve_plain(text) : text_value(text);
  if (scalar.tag == "!" || scalar.tag == YAML_STR_TAG || scalar.tag == YAML_TIMESTAMP_TAG) {
    return text_value(text);
  }
  if (scalar.tag == YAML_NULL_TAG && is_null(text)) return json::value(nullptr);
  if (scalar.tag == YAML_BOOL_TAG) {
    if (const auto truth = as_bool(text)) return json::value(*truth);
  }
  if (scalar.tag == YAML_INT_TAG) {
    if (auto number = as_integer(text)) return std::move(*number);
  }
  if (scalar.tag == YAML_FLOAT_TAG) {
    if (const auto number = as_number(text)) return json::value(number->to_number<double>());
  }
  if (scalar.tag == binary_tag) {
    TRY(const std::string bytes, base64_decode(text));
    if (is_utf8(bytes)) return text_value(bytes);
  }
  return failf(Code::malformed, "\"{}\" is nothing that the tag {} stands for", text, scalar.tag);
}

}  // namespace tulle::codec
