// However the bytes arrive, the same is read of them; and what is read can be written and read
// again.
#include "base/check.h"
#include "codec/proxy_protocol.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::codec;
  using Outcome = ProxyHeader::Outcome;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ProxyHeader whole = parse_proxy_header(bytes);
  for (std::size_t length = 0; length < size; ++length) {
    const ProxyHeader part = parse_proxy_header(bytes.substr(0, length));
    if (part.outcome == Outcome::incomplete) continue;
    CHECK(part.outcome == whole.outcome);
    CHECK(part.length == whole.length && part.addresses == whole.addresses);
    break;
  }
  if (whole.outcome != Outcome::complete) return 0;
  CHECK(whole.length <= size);
  for (const ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2}) {
    const std::string written = encode_proxy_header(version, whole.addresses);
    const ProxyHeader again = parse_proxy_header(written);
    CHECK(again.outcome == Outcome::complete && again.length == written.size());
    CHECK(again.addresses == whole.addresses);
  }
  return 0;
}
