// The same events however the bytes are cut, for both roles.
#include "base/check.h"
#include "codec/websocket_transcript.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::codec;
  const std::string_view wire(reinterpret_cast<const char*>(data), size);
  const WebSocketLimits limits = {.message_bytes_max = 300, .fragments_max = 4};
  for (const auto role : {WebSocketDecoder::Role::server, WebSocketDecoder::Role::client}) {
    const std::string whole = websocket_transcript(role, wire, size + 1, limits);
    CHECK(whole == websocket_transcript(role, wire, 1, limits));
    CHECK(whole == websocket_transcript(role, wire, 5, limits));
  }
  return 0;
}
