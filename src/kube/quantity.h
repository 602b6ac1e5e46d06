// Resource quantities: "500m", "1.5Gi", "1e3", as apimachinery's pkg/api/resource defines them.
#pragma once

#include "base/result.h"

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace tulle::kube {

// A fixed-point number in units of 10^-9, and the notation to write it in. Finer parts are rounded
// away from zero; magnitudes above 2^63-1 are capped, as upstream does. A value.
class Quantity final {
 public:
  enum class Format : std::uint8_t { decimal_si, binary_si, decimal_exponent };

  Quantity() = default;

  // Malformed text gives Code::invalid_argument with upstream's wording.
  static Result<Quantity> parse(std::string_view text);
  static Quantity from_integer(std::int64_t value, Format format = Format::decimal_si);
  static Quantity from_milli(std::int64_t value);

  // Rounded up to the next integer (or thousandth), capped to the range of the type.
  std::int64_t value() const;
  std::int64_t milli_value() const;
  bool is_zero() const { return nanos_ == 0; }
  Format format() const { return format_; }

  // The canonical text: no fraction, the largest suffix that keeps it exact ("1.5Gi" is "1536Mi").
  std::string to_string() const;

  // Sums keep the left side's notation, unless that is zero.
  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);

  // By amount: 1Gi == 1073741824.
  friend bool operator==(const Quantity& a, const Quantity& b) { return a.nanos_ == b.nanos_; }
  friend std::strong_ordering operator<=>(const Quantity& a, const Quantity& b) {
    return a.nanos_ <=> b.nanos_;
  }

 private:
  __int128 nanos_ = 0;
  Format format_ = Format::decimal_si;
};

// Parses and writes back in canonical form.
Result<std::string> canonical_quantity(std::string_view text);

}  // namespace tulle::kube
