#include "http/websocket.h"

#include "http/timed_io.h"

#include <array>
#include <cstring>
#include <utility>

namespace tulle::http {

namespace {

// The members of a comma-separated field, over all fields of that name, in their order.
template <class Visit>
void for_each_token(const codec::Headers& headers, std::string_view name, Visit visit) {
  for (const auto [field, value] : headers) {
    if (!codec::equals_ignoring_case(field, name)) continue;
    for (std::size_t at = 0; at <= value.size();) {
      const std::size_t comma = std::min(value.find(',', at), value.size());
      std::string_view token = value.substr(at, comma - at);
      while (token.starts_with(' ') || token.starts_with('\t')) token.remove_prefix(1);
      while (token.ends_with(' ') || token.ends_with('\t')) token.remove_suffix(1);
      if (!token.empty()) visit(token);
      at = comma + 1;
    }
  }
}

// The first of ours that the client offers; nothing if it offers only others; empty if none at all.
std::optional<std::string> choose_protocol(const codec::Headers& headers,
                                           std::span<const std::string_view> ours) {
  bool offered = false;
  std::size_t best = ours.size();
  for_each_token(headers, "sec-websocket-protocol", [&](std::string_view theirs) {
    offered = true;
    for (std::size_t i = 0; i < best; ++i) {
      if (ours[i] == theirs) best = i;
    }
  });
  if (best < ours.size()) return std::string(ours[best]);
  if (ours.empty() || !offered) return std::string();
  return std::nullopt;
}

std::string join(std::span<const std::string_view> protocols) {
  std::string joined;
  for (const std::string_view protocol : protocols) {
    if (!joined.empty()) joined += ", ";
    joined += protocol;
  }
  return joined;
}

std::string new_key(Random& random) {
  std::array<std::uint8_t, 16> bytes{};
  const std::array<std::uint64_t, 2> words = {random.next(), random.next()};
  std::memcpy(bytes.data(), words.data(), sizeof words);
  return codec::websocket_key(bytes);
}

}  // namespace

WebSocket::WebSocket(rt::Loop& loop, std::unique_ptr<net::Stream> stream, Role role, Random& random,
                     std::string protocol, const codec::WebSocketLimits& limits)
    : stream_(std::move(stream)),
      role_(role),
      random_(random),
      protocol_(std::move(protocol)),
      decoder_(role, limits),
      writing_(loop, 1) {}

WebSocket::~WebSocket() = default;

bool WebSocket::is_requested(const codec::RequestHead& head) {
  return codec::is_upgrade(head) && head.headers.contains_token("upgrade", "websocket");
}

rt::Task<Result<std::unique_ptr<WebSocket>>> WebSocket::accept(
    rt::Loop& loop, Random& random, Request& request, Exchange& exchange,
    std::span<const std::string_view> protocols, codec::WebSocketLimits limits) {
  const codec::Headers& headers = request.head.headers;
  if (headers.get("sec-websocket-version") != "13") {
    const codec::ResponseHead refusal{.status = 426, .headers = {{"Sec-WebSocket-Version", "13"}}};
    CO_TRY_VOID(co_await exchange.send(refusal, "only WebSocket version 13 is spoken here\n"));
    co_return fail(Code::unsupported, "another version of WebSocket");
  }
  const auto key = codec::websocket_accept_key(headers.get("sec-websocket-key").value_or(""));
  const auto protocol = choose_protocol(headers, protocols);
  if (!is_requested(request.head) || request.head.method != "GET" || !key || !protocol) {
    const std::string why =
        protocol ? "no proper WebSocket handshake\n"
                 : "none of the protocols is spoken here; these are: " + join(protocols) + "\n";
    CO_TRY_VOID(co_await exchange.send({.status = 400, .headers = {}}, why));
    co_return fail(Code::malformed, why.substr(0, why.size() - 1));
  }
  codec::ResponseHead head{
      .status = 101,
      .headers = {
          {"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", *key}}};
  if (!protocol->empty()) head.headers.append("Sec-WebSocket-Protocol", *protocol);
  CO_TRY(auto stream, co_await exchange.upgrade(head));
  co_return std::make_unique<WebSocket>(loop, std::move(stream), Role::server, random, *protocol,
                                        limits);
}

rt::Task<Result<std::unique_ptr<WebSocket>>> WebSocket::connect(
    rt::Loop& loop, Random& random, std::unique_ptr<ClientConnection> connection,
    codec::RequestHead head, std::span<const std::string_view> protocols,
    codec::WebSocketLimits limits) {
  const std::string key = new_key(random);
  head.method = "GET";
  head.headers.set("Connection", "Upgrade");
  head.headers.set("Upgrade", "websocket");
  head.headers.set("Sec-WebSocket-Version", "13");
  head.headers.set("Sec-WebSocket-Key", key);
  if (!protocols.empty()) head.headers.set("Sec-WebSocket-Protocol", join(protocols));
  CO_TRY(const Response response, co_await connection->exchange(head));
  if (response.head.status != 101) {
    co_return fail(Code::unsupported, "the server answered " +
                                          std::to_string(response.head.status) +
                                          " in place of switching to WebSocket");
  }
  const codec::Headers& headers = response.head.headers;
  CO_TRY(const std::string expected, codec::websocket_accept_key(key));
  if (headers.get("sec-websocket-accept") != expected) {
    co_return fail(Code::malformed, "the server's WebSocket handshake is wrong");
  }
  const std::string protocol(headers.get("sec-websocket-protocol").value_or(""));
  bool known = protocol.empty();
  for (const std::string_view offered : protocols) known = known || offered == protocol;
  if (!known) co_return fail(Code::malformed, "the server chose a protocol that was not offered");
  co_return std::make_unique<WebSocket>(loop, connection->take_stream(), Role::client, random,
                                        protocol, limits);
}

rt::Task<Result<WebSocketMessage>> WebSocket::receive() {
  for (;;) {
    if (close_code_) co_return fail(Code::closed, "the WebSocket was closed");
    const auto step = decoder_.decode(in_.data());
    in_.consume(step.consumed);
    switch (step.event.kind) {
      case codec::WebSocketEvent::Kind::message:
        co_return WebSocketMessage{.opcode = step.event.opcode, .payload = step.event.payload};
      case codec::WebSocketEvent::Kind::pong: break;
      case codec::WebSocketEvent::Kind::ping:
      case codec::WebSocketEvent::Kind::close:
      case codec::WebSocketEvent::Kind::error: CO_TRY_VOID(co_await answer(step.event)); break;
      case codec::WebSocketEvent::Kind::none: {
        CO_TRY(const std::size_t count, co_await net::read(*stream_, in_.room(1)));
        if (count == 0) co_return fail(Code::closed, "the connection was closed");
        in_.produced(count);
        break;
      }
    }
  }
}

// What the protocol says at once: a pong, a close.
rt::Task<Result<void>> WebSocket::answer(const codec::WebSocketEvent& event) {
  switch (event.kind) {
    case codec::WebSocketEvent::Kind::ping:
      if (close_sent_) co_return Result<void>();
      codec::append_websocket_frame(out_, {.opcode = codec::WebSocketOpcode::pong, .mask = mask()},
                                    event.payload);
      co_return co_await flush();
    case codec::WebSocketEvent::Kind::close:
      close_code_ = event.code;
      close_reason_ = event.payload;
      static_cast<void>(co_await close(event.code));
      static_cast<void>(stream_->shutdown_write());
      co_return Result<void>();
    case codec::WebSocketEvent::Kind::error: {
      Error error = fail(Code::malformed, std::string(event.reason));
      static_cast<void>(co_await close(event.code, event.reason));
      static_cast<void>(stream_->shutdown_write());
      co_return error;
    }
    case codec::WebSocketEvent::Kind::message:
    case codec::WebSocketEvent::Kind::pong:
    case codec::WebSocketEvent::Kind::none: break;
  }
  co_return Result<void>();
}

rt::Task<Result<void>> WebSocket::send_text(std::string_view payload) {
  return send(codec::WebSocketOpcode::text, payload);
}

rt::Task<Result<void>> WebSocket::send_binary(std::string_view payload) {
  return send(codec::WebSocketOpcode::binary, payload);
}

rt::Task<Result<void>> WebSocket::send(codec::WebSocketOpcode opcode, std::string_view payload) {
  if (close_sent_) co_return fail(Code::closed, "the WebSocket was closed");
  codec::append_websocket_frame(out_, {.opcode = opcode, .mask = mask()}, payload);
  co_return co_await flush();
}

rt::Task<Result<void>> WebSocket::close(codec::WebSocketClose code, std::string_view reason) {
  if (close_sent_) co_return Result<void>();
  close_sent_ = true;
  codec::append_websocket_close(out_, code, reason, mask());
  co_return co_await flush();
}

// Writes out_ to its end: also what others put there, and what a dropped flush left.
rt::Task<Result<void>> WebSocket::flush() {
  const auto permit = co_await writing_.acquire();
  while (out_begin_ < out_.size()) {
    const std::string_view left = std::string_view(out_).substr(out_begin_);
    const auto attempt = stream_->try_write(std::span(&left, 1));
    if (!attempt) {
      co_await Writable(*stream_);
      continue;
    }
    if (!*attempt) co_return attempt->error();
    out_begin_ += **attempt;
  }
  out_.clear();
  out_begin_ = 0;
  co_return Result<void>();
}

std::optional<codec::WebSocketMask> WebSocket::mask() {
  if (role_ == Role::server) return std::nullopt;
  const std::uint64_t word = random_.next();
  codec::WebSocketMask mask;
  std::memcpy(mask.data(), &word, mask.size());
  return mask;
}

}  // namespace tulle::http
