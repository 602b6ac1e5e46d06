// What parses is written as text that parses to the same.
#include "base/check.h"
#include "codec/json.h"

#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::codec;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> duplicates;
  const auto value = parse_json(text, {.duplicate_keys = &duplicates});
  CHECK(value.has_value() == parse_json(text).has_value());
  if (!value) return 0;
  const std::string written = to_json(*value);
  const auto again = parse_json(written, {.duplicate_keys = &duplicates});
  // Whole doubles come back as integers: compare the text.
  CHECK(again && to_json(*again) == written && duplicates.empty());
  return 0;
}
