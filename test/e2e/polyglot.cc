// A server of several protocols on one port that dies of SIGTERM at once, with all it has in hand.
//   polyglot PORT
//       HTTP/1.1 and HTTP/2: 200 to every GET and POST
//       gRPC: any method answers with the message that it was sent
//       WebSocket: echoes messages, and closes when the client does
#include "codec/websocket.h"
#include "http/server.h"
#include "net/kernel_network.h"
#include "rt/combine.h"

#include <unistd.h>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace {

using namespace tulle;

constexpr std::size_t kMessageMax = 64 * 1024;

class Polyglot final : public http::Handler {
 public:
  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override {
    const codec::Headers& headers = request.head.headers;
    if (headers.get("content-type").value_or("").starts_with("application/grpc")) {
      return echo_grpc(request, exchange);
    }
    if (headers.get("sec-websocket-key")) return echo_messages(request, exchange);
    return answer(request, exchange);
  }

 private:
  static rt::Task<void> answer(http::Request& request, http::Exchange& exchange) {
    const auto body = co_await http::read_all(request.body, kMessageMax);
    if (body) static_cast<void>(co_await exchange.send({.status = 200}, "done\n"));
  }

  static rt::Task<void> echo_grpc(http::Request& request, http::Exchange& exchange) {
    const auto message = co_await http::read_all(request.body, kMessageMax);
    if (!message) co_return;
    const codec::Headers trailers{{"grpc-status", "0"}};
    static_cast<void>(co_await exchange.start({.headers = {{"Content-Type", "application/grpc"}}}));
    static_cast<void>(co_await exchange.write(*message));
    static_cast<void>(co_await exchange.finish(&trailers));
  }

  static rt::Task<void> echo_messages(http::Request& request, http::Exchange& exchange) {
    const auto key = codec::websocket_accept_key(*request.head.headers.get("sec-websocket-key"));
    if (!key) co_return;
    auto stream = co_await exchange.upgrade(
        {.status = 101,
         .headers = {
             {"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", *key}}});
    if (!stream) co_return;
    codec::WebSocketDecoder decoder(codec::WebSocketDecoder::Role::server);
    std::string received;
    std::array<char, 4096> buffer{};
    for (bool open = true; open;) {
      const auto count = co_await net::read(**stream, buffer);
      if (!count || *count == 0) co_return;
      received.append(buffer.data(), *count);
      std::string echo;
      open = take_messages(decoder, received, echo);
      if (!echo.empty() && !co_await net::write_all(**stream, echo)) co_return;
    }
  }

  // False when the client closes, or makes no sense.
  static bool take_messages(codec::WebSocketDecoder& decoder, std::string& received,
                            std::string& echo) {
    for (;;) {
      const codec::WebSocketStep step = decoder.decode(received);
      using Kind = codec::WebSocketEvent::Kind;
      const Kind kind = step.event.kind;
      if (kind == Kind::message) {
        codec::append_websocket_frame(echo, {.opcode = step.event.opcode}, step.event.payload);
      }
      if (kind == Kind::close) codec::append_websocket_close(echo, step.event.code, "");
      received.erase(0, step.consumed);
      if (kind == Kind::close || kind == Kind::error) return false;
      if (kind == Kind::none) return true;
    }
  }
};

Result<void> serve(std::uint16_t port) {
  TRY(rt::EpollDriver driver, rt::EpollDriver::create());
  rt::Loop loop(driver);
  net::KernelNetwork network(loop, driver);
  TRY(auto listener, network.listen({.at = {.ip = IpAddress(), .port = port}}));
  Polyglot polyglot;
  const http::Server server(loop, std::move(listener), polyglot, {});
  loop.run(rt::until(loop, kNever));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  // The first process of a namespace has no default for it.
  std::signal(SIGTERM, [](int) { ::_exit(0); });
  const auto served = serve(static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 8080));
  if (served) return EXIT_SUCCESS;
  std::fprintf(stderr, "polyglot: %s\n", served.error().message.c_str());
  return EXIT_FAILURE;
}
