#include "node/image_manifest.h"
#include "node/image_reference.h"

#include "base/check.h"

#include <cstddef>
#include <cstdint>

// The first byte chooses the parser. An image document that parses must survive being written.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::node;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 4) {
    case 0:
      if (const auto document = parse_image_document(text)) {
        const auto again = parse_image_document(write_image_document(*document));
        CHECK(again && again->diff_digests == document->diff_digests);
        CHECK(again->config.entrypoint == document->config.entrypoint);
      }
      break;
    case 1: (void)parse_docker_manifests(text).has_value(); break;
    case 2: (void)parse_oci_document(text).has_value(); break;
    case 3:
      if (const auto reference = parse_image_reference(text)) {
        const auto again = parse_image_reference(reference->normalized());
        CHECK(!again || *again == *reference);
      }
      break;
  }
  return 0;
}
