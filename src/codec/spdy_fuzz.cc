// The same events however the bytes are cut; and what is read of headers can be written and read
// again.
#include "base/check.h"
#include "codec/spdy_transcript.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::codec;
  const std::string_view wire(reinterpret_cast<const char*>(data), size);
  const SpdyLimits limits = {.control_bytes_max = 300, .header_bytes_max = 1000};
  const std::string whole = spdy_transcript(wire, size + 1, limits);
  CHECK(whole == spdy_transcript(wire, 1, limits));
  CHECK(whole == spdy_transcript(wire, 5, limits));

  SpdyDecoder decoder(limits);
  SpdyEncoder encoder;
  SpdyDecoder again;
  for (std::size_t read = 0;;) {
    const auto [consumed, event] = decoder.decode(wire.substr(read));
    read += consumed;
    if (event.kind == SpdyEvent::Kind::none || event.kind == SpdyEvent::Kind::error) break;
    if (event.kind != SpdyEvent::Kind::open) continue;
    std::string written;
    encoder.append_open(written, event.id, event.headers);
    const SpdyStep step = again.decode(written);
    CHECK(step.event.kind == SpdyEvent::Kind::open && step.consumed == written.size());
    CHECK(step.event.id == event.id && step.event.headers == event.headers);
  }
  return 0;
}
