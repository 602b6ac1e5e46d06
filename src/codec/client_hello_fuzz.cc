// However the bytes arrive, the same is read of them; and what is complete stays so.
#include "base/check.h"
#include "codec/client_hello.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::codec;
  using Outcome = ClientHello::Outcome;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ClientHello whole = parse_client_hello(bytes);
  for (std::size_t length = 0; length < size; ++length) {
    const ClientHello part = parse_client_hello(bytes.substr(0, length));
    if (part.outcome == Outcome::incomplete) continue;
    CHECK(part.outcome == whole.outcome);
    CHECK(part.server_name == whole.server_name && part.alpn == whole.alpn);
    break;
  }
  return 0;
}
