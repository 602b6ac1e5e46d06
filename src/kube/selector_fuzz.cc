// Any text is refused or parses, and what parses means the same when written and parsed again.
#include "base/check.h"
#include "kube/selector.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::kube;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto selector = Selector::parse(text)) {
    const auto again = Selector::parse(selector->to_string());
    CHECK(again && *again == *selector);
  }
  if (const auto selector = FieldSelector::parse(text)) {
    const auto again = FieldSelector::parse(selector->to_string());
    CHECK(again && *again == *selector);
  }
  return 0;
}
