// No input may crash, hang or exceed the limits, and what is read is JSON.
#include "base/check.h"
#include "codec/json.h"
#include "codec/yaml.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::codec;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto documents =
      parse_yaml(text, {.depth_max = 16, .documents_max = 8, .values_max = 5000});
  if (!documents) {
    CHECK(!documents.error().message.empty());
    return 0;
  }
  for (const YamlDocument& document : *documents) {
    CHECK(parse_json(to_json(document.value)));
    for (const auto& [path, line] : document.lines) {
      CHECK(line >= 1 && document.line_of(path) >= 1);
    }
  }
  return 0;
}
