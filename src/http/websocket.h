// A WebSocket connection (RFC 6455) over a stream that was upgraded, both roles.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "codec/http_message.h"
#include "codec/websocket.h"
#include "http/client_connection.h"
#include "http/read_buffer.h"
#include "http/server.h"
#include "net/stream.h"
#include "rt/sync.h"
#include "rt/task.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tulle::http {

struct WebSocketMessage {
  codec::WebSocketOpcode opcode;  // text or binary
  std::string_view payload;       // valid until the next receive()
};

// One coroutine may receive while others send; messages go out whole, in the order of the calls.
class WebSocket final {
 public:
  using Role = codec::WebSocketDecoder::Role;

  // `random` (masks and keys of clients; seed it from what nobody can guess) and `loop` must
  // outlive it.
  WebSocket(rt::Loop& loop, std::unique_ptr<net::Stream> stream, Role role, Random& random,
            std::string protocol = {}, const codec::WebSocketLimits& limits = {});
  ~WebSocket();

  // Whether a request asks for a WebSocket.
  static bool is_requested(const codec::RequestHead& head);

  // The server's half of the handshake. Takes the first of `protocols` (the server's order of
  // preference) that the client offers. Where the client offers none of them, or the request is no
  // proper handshake, answers 400 (426 for another version) and gives an error.
  static rt::Task<Result<std::unique_ptr<WebSocket>>> accept(
      rt::Loop& loop, Random& random, Request& request, Exchange& exchange,
      std::span<const std::string_view> protocols, codec::WebSocketLimits limits = {});

  // The client's half, on a connection of its own. The head names target and Host; the fields of
  // the handshake are added. Error: unsupported, with the status, where the server answers else.
  static rt::Task<Result<std::unique_ptr<WebSocket>>> connect(
      rt::Loop& loop, Random& random, std::unique_ptr<ClientConnection> connection,
      codec::RequestHead head, std::span<const std::string_view> protocols,
      codec::WebSocketLimits limits = {});

  // The next message. Pings are answered, a close is answered and gives Code::closed, after which
  // close_code() is set. Dropping it loses nothing.
  rt::Task<Result<WebSocketMessage>> receive();

  rt::Task<Result<void>> send_text(std::string_view payload);
  rt::Task<Result<void>> send_binary(std::string_view payload);

  // Says that this side sends no more. Go on receiving to see the other side's close.
  rt::Task<Result<void>> close(codec::WebSocketClose code, std::string_view reason = {});

  // What the peer closed with.
  std::optional<codec::WebSocketClose> close_code() const { return close_code_; }
  const std::string& close_reason() const { return close_reason_; }
  // The subprotocol that was agreed upon, or empty.
  const std::string& protocol() const { return protocol_; }

 private:
  static constexpr std::size_t kReadBytes = 16 * 1024;

  rt::Task<Result<void>> send(codec::WebSocketOpcode opcode, std::string_view payload);
  rt::Task<Result<void>> flush();
  rt::Task<Result<void>> answer(const codec::WebSocketEvent& event);
  std::optional<codec::WebSocketMask> mask();

  std::unique_ptr<net::Stream> stream_;
  const Role role_;
  Random& random_;
  const std::string protocol_;
  codec::WebSocketDecoder decoder_;
  ReadBuffer in_{kReadBytes};
  std::string out_;  // whole frames; out_begin_ of it are written
  std::size_t out_begin_ = 0;
  rt::Semaphore writing_;
  bool close_sent_ = false;
  std::optional<codec::WebSocketClose> close_code_;
  std::string close_reason_;
};

}  // namespace tulle::http
