// WebSocket, RFC 6455, both roles: handshake key, frames out, messages in. No extensions.
#pragma once

#include "base/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tulle::codec {

// The value of Sec-WebSocket-Accept for the client's Sec-WebSocket-Key (§4.2.2). Error: malformed
// if the key is not the base64 of 16 bytes.
Result<std::string> websocket_accept_key(std::string_view key);

// The Sec-WebSocket-Key of a client, from 16 bytes that nobody can guess.
std::string websocket_key(const std::array<std::uint8_t, 16>& random);

enum class WebSocketOpcode : std::uint8_t {
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10,
};

// §7.4.1. Codes 3000 to 4999 are the application's own.
enum class WebSocketClose : std::uint16_t {
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported_data = 1003,
  no_status = 1005,  // stands for "no code was sent"; never on the wire
  invalid_payload = 1007,
  policy_violation = 1008,
  message_too_big = 1009,
  internal_error = 1011,
};

using WebSocketMask = std::array<std::uint8_t, 4>;

struct WebSocketFrame {
  WebSocketOpcode opcode = WebSocketOpcode::binary;
  bool fin = true;
  // What a client must put there, fresh for each frame and not to be guessed; a server puts none.
  std::optional<WebSocketMask> mask = {};
};

// Appends header and payload. REQUIRES: a control frame is final and has at most 125 bytes.
void append_websocket_frame(std::string& out, const WebSocketFrame& frame,
                            std::string_view payload);
// A close frame; the reason is cut, between characters, to what fits. no_status sends no payload.
void append_websocket_close(std::string& out, WebSocketClose code, std::string_view reason,
                            std::optional<WebSocketMask> mask = {});

struct WebSocketEvent {
  enum class Kind : std::uint8_t { none, message, ping, pong, close, error };
  Kind kind = Kind::none;
  WebSocketOpcode opcode = WebSocketOpcode::binary;  // of a message: text or binary
  // Unmasked and whole: of a message all its fragments, of a ping what the pong must repeat, of a
  // close its reason. Lies in the decoder, valid until its next decode().
  std::string_view payload = {};
  // Of a close what the peer said; of an error what to close with.
  WebSocketClose code = WebSocketClose::no_status;
  std::string_view reason = {};  // of an error, for the log: a literal
};

struct WebSocketStep {
  std::size_t consumed = 0;
  WebSocketEvent event = {};  // `none`: more input is needed
};

struct WebSocketLimits {
  std::size_t message_bytes_max = 16 * 1024 * 1024;
  std::size_t fragments_max = 1024 * 1024;  // of one message; empty ones could go on for ever
};

// Reads frames and puts messages together. After a close or an error it takes nothing more.
class WebSocketDecoder final {
 public:
  enum class Role : std::uint8_t {
    server,  // reads what a client sent: every frame must be masked
    client,  // reads what a server sent: none may be
  };
  explicit WebSocketDecoder(Role role, const WebSocketLimits& limits = {});

  // Takes bytes up to the end of one event. Call again with the rest until the event is `none`.
  WebSocketStep decode(std::string_view in);

 private:
  enum class State : std::uint8_t { header, payload, ended };

  WebSocketStep fail(std::size_t consumed, WebSocketClose code, std::string_view reason);
  std::size_t header_size() const;
  std::string_view check_header();
  void read_header();
  WebSocketStep take_header_byte(std::uint8_t byte, std::size_t consumed);
  std::size_t take_payload(std::string_view in);
  WebSocketStep finish_frame(std::size_t consumed);
  WebSocketStep finish_message(std::size_t consumed);
  WebSocketStep finish_close(std::size_t consumed);
  bool is_control() const { return (header_[0] & 0x08) != 0; }

  const Role role_;
  const WebSocketLimits limits_;
  State state_ = State::header;
  std::array<std::uint8_t, 14> header_{};
  std::size_t header_read_ = 0;
  std::uint64_t remaining_ = 0;  // of the payload in hand
  std::size_t mask_offset_ = 0;
  std::optional<WebSocketMask> mask_;
  WebSocketOpcode opcode_ = WebSocketOpcode::continuation;  // of the frame in hand
  std::optional<WebSocketOpcode> message_;                  // the message that was begun
  std::size_t fragments_ = 0;
  bool delivered_ = false;  // message_bytes_ was handed out and is to be emptied
  std::string message_bytes_;
  std::string control_bytes_;
};

}  // namespace tulle::codec
