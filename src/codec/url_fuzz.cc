// Normal paths stay as they are, and what is encoded decodes to itself.
#include "base/check.h"
#include "codec/base64.h"
#include "codec/url.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::codec;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto normal = normalize_path(text)) {
    CHECK(normal->starts_with('/') && *normalize_path(*normal) == *normal);
    CHECK(normal->find("/../") == std::string::npos && normal->find("//") == std::string::npos);
  }
  if (text.find('\0') == std::string_view::npos) {
    CHECK(*percent_decode(percent_encode(text)) == text);
  }
  const Target target = split_target(text);
  CHECK(target.path.size() + target.query.size() <= size + 1);
  (void)Query::parse(target.query);
  (void)parse_host_port(text);
  for (const auto alphabet : {Base64Alphabet::standard, Base64Alphabet::url}) {
    for (const auto padding : {Base64Padding::with, Base64Padding::without}) {
      const Base64Options options = {.alphabet = alphabet, .padding = padding};
      CHECK(*base64_decode(base64_encode(text, options), options) == text);
      const auto bytes = base64_decode(text, options);
      if (bytes && text.find_first_of("\r\n") == std::string_view::npos) {
        CHECK(base64_encode(*bytes, options) == text);
      }
    }
  }
  return 0;
}
