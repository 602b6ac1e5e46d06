// What the SPDY decoder makes of a byte stream, as text: for tests and fuzz targets. Pieces of one
// stream's data that follow each other are one.
#pragma once

#include "codec/spdy.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace tulle::codec {

inline std::string spdy_transcript(std::string_view wire, std::size_t step_bytes,
                                   const SpdyLimits& limits = {}) {
  static constexpr std::string_view kinds[] = {"",      "open", "reply", "data",
                                               "reset", "ping", "error"};
  SpdyDecoder decoder(limits);
  std::string text;
  std::string data;  // of a stream, not yet told
  const auto tell_data = [&](bool fin) {
    if (!data.empty() || fin) text += data + (fin ? " fin\n" : "\n");
    data.clear();
  };
  std::uint32_t of = 0;
  std::size_t read = 0;
  std::size_t arrived = std::min(step_bytes, wire.size());
  for (;;) {
    const auto [consumed, event] = decoder.decode(wire.substr(read, arrived - read));
    read += consumed;
    if (event.kind == SpdyEvent::Kind::none) {
      if (arrived == wire.size()) break;
      arrived = std::min(arrived + step_bytes, wire.size());
      continue;
    }
    if (!data.empty() && (event.kind != SpdyEvent::Kind::data || event.id != of)) tell_data(false);
    const std::string begin =
        std::string(kinds[static_cast<std::size_t>(event.kind)]) + " " + std::to_string(event.id);
    if (event.kind == SpdyEvent::Kind::data) {
      of = event.id;
      if (data.empty()) data = begin + " ";
      data += event.data;
      if (event.fin) tell_data(true);
      continue;
    }
    text += begin;
    for (const Header header : event.headers) {
      text.append(" ").append(header.name).append("=").append(header.value);
    }
    text += event.fin ? " fin" : "";
    text.append(event.reason.empty() ? "" : " ").append(event.reason).append("\n");
  }
  if (!data.empty()) tell_data(false);
  return text;
}

}  // namespace tulle::codec
