#include "kube/quantity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

namespace tulle::kube {

namespace {

using Wide = __int128;

constexpr Wide nano = 1'000'000'000;
constexpr Wide nanos_max = Wide{std::numeric_limits<std::int64_t>::max()} * nano;
constexpr int nano_digits = 9;

constexpr std::string_view format_wrong =
    "quantities must match the regular expression "
    "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
constexpr std::string_view suffix_wrong = "unable to parse quantity's suffix";

struct Suffix {
  std::string_view text;
  Quantity::Format format;
  int exponent;  // of ten, or of two for binary_si
};

constexpr auto decimal = Quantity::Format::decimal_si;
constexpr auto binary = Quantity::Format::binary_si;
constexpr std::array suffixes{
    Suffix{"n", decimal, -9}, Suffix{"u", decimal, -6}, Suffix{"m", decimal, -3},
    Suffix{"", decimal, 0},   Suffix{"k", decimal, 3},  Suffix{"M", decimal, 6},
    Suffix{"G", decimal, 9},  Suffix{"T", decimal, 12}, Suffix{"P", decimal, 15},
    Suffix{"E", decimal, 18}, Suffix{"Ki", binary, 10}, Suffix{"Mi", binary, 20},
    Suffix{"Gi", binary, 30}, Suffix{"Ti", binary, 40}, Suffix{"Pi", binary, 50},
    Suffix{"Ei", binary, 60},
};

std::optional<Suffix> interpret(std::string_view text) {
  const auto* known = std::ranges::find(suffixes, text, &Suffix::text);
  if (known != suffixes.end()) return *known;
  if (text.size() < 2 || (text[0] != 'e' && text[0] != 'E')) return std::nullopt;
  std::string_view digits = text.substr(1);
  if (digits[0] == '+') digits.remove_prefix(1);
  int exponent = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  // Beyond this every value is zero (rounded up to a nano) or the cap.
  constexpr int exponent_max = 100;
  return Suffix{text, Quantity::Format::decimal_exponent,
                std::clamp(exponent, -exponent_max, exponent_max)};
}

// The significant digits of a number: mantissa * 10^exponent, and whether a part was cut off.
struct Digits {
  Wide mantissa = 0;
  int exponent = 0;
  bool inexact = false;
};

// REQUIRES: text holds digits and at most one point. Keeps `digits_max` significant digits.
Digits read_digits(std::string_view text, int digits_max) {
  constexpr int exponent_max = 1000;
  Digits out;
  int kept = 0;
  bool fraction = false;
  for (const char c : text) {
    if (c == '.') {
      fraction = true;
    } else if (kept < digits_max) {
      out.mantissa = out.mantissa * 10 + (c - '0');
      if (out.mantissa != 0) ++kept;
      if (fraction) --out.exponent;
    } else {
      out.inexact |= c != '0';
      if (!fraction && out.exponent < exponent_max) ++out.exponent;
    }
  }
  return out;
}

// digits * 2^binary_exponent * 10^decimal_exponent in nanos, rounded up, capped.
Wide scale(Digits digits, int binary_exponent, int decimal_exponent) {
  Wide value = digits.mantissa << binary_exponent;
  int tens = digits.exponent + decimal_exponent + nano_digits;
  for (; tens > 0 && value != 0 && value <= nanos_max; --tens) value *= 10;
  bool inexact = digits.inexact;
  for (; tens < 0 && value != 0; ++tens) {
    inexact |= value % 10 != 0;
    value /= 10;
  }
  if (inexact) ++value;
  return std::min(value, nanos_max);
}

Wide ceil_divide(Wide value, Wide by) {
  const Wide quotient = value / by;
  return value % by == 0 ? quotient : quotient + (value > 0 ? 1 : -1);
}

std::int64_t saturate(Wide value) {
  return static_cast<std::int64_t>(std::clamp(value, Wide{std::numeric_limits<std::int64_t>::min()},
                                              Wide{std::numeric_limits<std::int64_t>::max()}));
}

std::string decimal_text(Wide nanos, Quantity::Format format) {
  int exponent = -nano_digits;
  for (; nanos % 1000 == 0; exponent += 3) nanos /= 1000;
  std::string out = std::to_string(static_cast<std::int64_t>(nanos));
  if (exponent == 0) return out;
  if (format == Quantity::Format::decimal_exponent) return out + "e" + std::to_string(exponent);
  const auto* suffix = std::ranges::find_if(suffixes, [&](const Suffix& candidate) {
    return candidate.format == decimal && candidate.exponent == exponent;
  });
  return out + std::string(suffix->text);
}

std::string binary_text(Wide value) {
  int exponent = 0;
  for (; value % 1024 == 0 && exponent < 60; exponent += 10) value /= 1024;
  std::string out = std::to_string(static_cast<std::int64_t>(value));
  if (exponent == 0) return out;
  const auto* suffix = std::ranges::find_if(suffixes, [&](const Suffix& candidate) {
    return candidate.format == binary && candidate.exponent == exponent;
  });
  return out + std::string(suffix->text);
}

}  // namespace

Result<Quantity> Quantity::parse(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const auto number_end = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view number = text.substr(0, number_end);
  const bool has_digit = number.find_first_of("0123456789") != std::string_view::npos;
  if (!has_digit || std::ranges::count(number, '.') > 1)
    return fail(Code::invalid_argument, std::string(format_wrong));
  const auto suffix = interpret(text.substr(number_end));
  if (!suffix) return fail(Code::invalid_argument, std::string(suffix_wrong));

  // So many digits that neither form overflows 127 bits: 10^37, 10^19 * 2^60.
  const bool is_binary = suffix->format == Format::binary_si;
  const Digits digits = read_digits(number, is_binary ? 19 : 37);
  Quantity quantity;
  quantity.nanos_ =
      scale(digits, is_binary ? suffix->exponent : 0, is_binary ? 0 : suffix->exponent);
  if (negative) quantity.nanos_ = -quantity.nanos_;
  quantity.format_ = suffix->format;
  return quantity;
}

Quantity Quantity::from_integer(std::int64_t value, Format format) {
  Quantity quantity;
  quantity.nanos_ = std::clamp(Wide{value} * nano, -nanos_max, nanos_max);
  quantity.format_ = format;
  return quantity;
}

Quantity Quantity::from_milli(std::int64_t value) {
  Quantity quantity;
  quantity.nanos_ = Wide{value} * (nano / 1000);
  return quantity;
}

std::int64_t Quantity::value() const { return saturate(ceil_divide(nanos_, nano)); }

std::int64_t Quantity::milli_value() const { return saturate(ceil_divide(nanos_, nano / 1000)); }

std::string Quantity::to_string() const {
  if (nanos_ == 0) return "0";
  // Below 1024, or with a fraction, a binary suffix cannot say it exactly.
  const bool is_small = nanos_ > -1024 * nano && nanos_ < 1024 * nano;
  if (format_ == Format::binary_si && !is_small && nanos_ % nano == 0)
    return binary_text(nanos_ / nano);
  return decimal_text(nanos_, format_);
}

Quantity& Quantity::operator+=(const Quantity& other) {
  if (is_zero()) format_ = other.format_;
  nanos_ = std::clamp(nanos_ + other.nanos_, -nanos_max, nanos_max);
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) {
  if (is_zero()) format_ = other.format_;
  nanos_ = std::clamp(nanos_ - other.nanos_, -nanos_max, nanos_max);
  return *this;
}

Result<std::string> canonical_quantity(std::string_view text) {
  TRY(const Quantity quantity, Quantity::parse(text));
  return quantity.to_string();
}

}  // namespace tulle::kube
