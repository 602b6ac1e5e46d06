#include "node/spdy_transport.h"

#include "http/websocket.h"
#include "net/stream.h"

#include <array>

namespace tulle::node {

namespace {

// Clients write a frame of at most 32 KiB as one message.
constexpr std::size_t kMessageBytesMax = 256 * 1024;

class UpgradedTransport final : public SpdyTransport {
 public:
  explicit UpgradedTransport(std::unique_ptr<net::Stream> stream) : stream_(std::move(stream)) {}

  rt::Task<Result<std::string_view>> receive() override {
    CO_TRY(const std::size_t count, co_await net::read(*stream_, buffer_));
    if (count == 0) co_return fail(Code::closed, "the client has closed the connection");
    co_return std::string_view(buffer_.data(), count);
  }

  rt::Task<Result<void>> send(std::string_view bytes) override {
    co_return co_await net::write_all(*stream_, bytes);
  }

 private:
  std::unique_ptr<net::Stream> stream_;
  std::array<char, 16 * 1024> buffer_;
};

class TunnelledTransport final : public SpdyTransport {
 public:
  explicit TunnelledTransport(std::unique_ptr<http::WebSocket> socket)
      : socket_(std::move(socket)) {}

  rt::Task<Result<std::string_view>> receive() override {
    CO_TRY(const http::WebSocketMessage message, co_await socket_->receive());
    co_return message.payload;
  }

  rt::Task<Result<void>> send(std::string_view bytes) override {
    return socket_->send_binary(bytes);
  }

 private:
  std::unique_ptr<http::WebSocket> socket_;
};

}  // namespace

std::unique_ptr<SpdyTransport> make_spdy_transport(std::unique_ptr<net::Stream> stream) {
  return std::make_unique<UpgradedTransport>(std::move(stream));
}

rt::Task<Result<std::unique_ptr<SpdyTransport>>> accept_spdy(rt::Loop& loop, Random& random,
                                                             http::Request& request,
                                                             http::Exchange& exchange,
                                                             SpdyHandshake handshake) {
  using Accepted = std::unique_ptr<SpdyTransport>;
  const codec::RequestHead& head = request.head;
  if (http::WebSocket::is_requested(head)) {
    CO_TRY(auto socket,
           co_await http::WebSocket::accept(loop, random, request, exchange,
                                            std::span(&handshake.websocket_protocol, 1),
                                            {.message_bytes_max = kMessageBytesMax}));
    co_return Accepted(std::make_unique<TunnelledTransport>(std::move(socket)));
  }
  const std::string_view version = "X-Stream-Protocol-Version";
  if (!codec::is_upgrade(head) || !head.headers.contains_token("upgrade", "SPDY/3.1") ||
      !head.headers.contains_token(version, handshake.stream_protocol)) {
    CO_TRY_VOID(co_await exchange.send({.status = 400, .headers = {}},
                                       "this needs an upgrade to WebSocket or SPDY/3.1\n"));
    co_return fail(Code::unsupported, "no upgrade that is known here");
  }
  CO_TRY(auto stream,
         co_await exchange.upgrade({.status = 101,
                                    .headers = {{"Connection", "Upgrade"},
                                                {"Upgrade", "SPDY/3.1"},
                                                {version, handshake.stream_protocol}}}));
  co_return make_spdy_transport(std::move(stream));
}

}  // namespace tulle::node
