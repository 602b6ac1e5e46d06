// What parses can be written, within its limit, and reads back the same.
#include "base/check.h"
#include "codec/dns.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::codec;
  const auto message = parse_dns({reinterpret_cast<const char*>(data), size});
  if (!message) return 0;
  const auto wire = build_dns(*message);
  if (wire && !message->truncated) {
    const auto again = parse_dns(*wire);
    CHECK(again && (again->truncated || *again == *message));
  }
  const auto cut = build_dns(*message, dns_udp_bytes_default);
  if (cut) CHECK(cut->size() <= dns_udp_bytes_default && parse_dns(*cut));
  return 0;
}
