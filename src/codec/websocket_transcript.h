// What the WebSocket decoder makes of a byte stream, as text: for tests and fuzz targets.
#pragma once

#include "codec/websocket.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace tulle::codec {

inline std::string websocket_transcript(WebSocketDecoder::Role role, std::string_view wire,
                                        std::size_t step_bytes,
                                        const WebSocketLimits& limits = {}) {
  static constexpr std::string_view kinds[] = {"", "message", "ping", "pong", "close", "error"};
  WebSocketDecoder decoder(role, limits);
  std::string text;
  std::size_t read = 0;
  std::size_t arrived = std::min(step_bytes, wire.size());
  for (;;) {
    const auto [consumed, event] = decoder.decode(wire.substr(read, arrived - read));
    read += consumed;
    if (event.kind == WebSocketEvent::Kind::none) {
      if (arrived == wire.size()) return text;
      arrived = std::min(arrived + step_bytes, wire.size());
      continue;
    }
    text += kinds[static_cast<std::size_t>(event.kind)];
    if (event.kind == WebSocketEvent::Kind::message) {
      text += event.opcode == WebSocketOpcode::text ? " text" : " binary";
    }
    if (event.code != WebSocketClose::no_status) {
      text += " " + std::to_string(static_cast<unsigned>(event.code));
    }
    if (!event.payload.empty()) text.append(" '").append(event.payload).append("'");
    text.append(event.reason.empty() ? "" : " ").append(event.reason).append("\n");
  }
}

}  // namespace tulle::codec
