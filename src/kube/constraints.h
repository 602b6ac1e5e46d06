// Bounds on a value that few schemas have: the OpenAPI part of a CRD schema.
#pragma once

#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace tulle::kube {

struct Constraints {
  std::vector<boost::json::value> enum_values;  // empty: any
  std::string_view pattern;                     // RE2; empty: none
  std::string_view format;                      // as written, where Schema::format is `other`
  std::optional<double> minimum;
  std::optional<double> maximum;
  bool exclusive_minimum = false;
  bool exclusive_maximum = false;
  std::optional<double> multiple_of;
  std::optional<std::uint64_t> length_min;  // characters, items or properties, by the type
  std::optional<std::uint64_t> length_max;
  bool unique_items = false;
};

}  // namespace tulle::kube
