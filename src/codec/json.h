// JSON text (RFC 8259) to and from boost::json::value.
#pragma once

#include "base/result.h"

#include <boost/json/fwd.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::codec {

inline constexpr std::size_t json_duplicates_max = 100;

struct JsonOptions {
  std::size_t depth_max = 64;
  // Where not null, receives the full path of every key that its object already held, in the
  // order of the text and each path once: `spec.ports[0].name`. The last value wins. No more than
  // json_duplicates_max are told.
  std::vector<std::string>* duplicate_keys = nullptr;
};

// One value with nothing but space around it. Strings are valid UTF-8. Integers that fit are
// int64 or else uint64, all other numbers double. Error: Code::malformed, "line 3 column 7:
// reason".
Result<boost::json::value> parse_json(std::string_view text, const JsonOptions& options = {});

// The text without spaces, keys in the order of the value, numbers as Go writes them: 1.0 is `1`,
// 0.5 is `0.5`, an exponent stands below 1e-6 and from 1e21 on. A double that is no number, which
// JSON has no word for, is `null`.
std::string to_json(const boost::json::value& value);

// `path.key` and `path[3]`; an empty path gives `key`.
std::string join_path(std::string_view path, std::string_view key);
std::string join_path(std::string_view path, std::size_t index);

}  // namespace tulle::codec
