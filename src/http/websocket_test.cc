#include "http/websocket.h"

#include "http/test_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tulle::http {
namespace {

using codec::WebSocketClose;
using codec::WebSocketOpcode;

constexpr std::string_view kProtocols[] = {"v5.channel.k8s.io", "v4.channel.k8s.io"};

// Sends every message back; closes on "bye".
class Echo final : public Handler {
 public:
  explicit Echo(rt::Loop& loop) : loop_(loop) {}
  rt::Task<void> handle(Request& request, Exchange& exchange) override {
    auto socket = co_await WebSocket::accept(loop_, random_, request, exchange, kProtocols,
                                             {.message_bytes_max = 100'000});
    if (!socket) {
      errors.push_back(socket.error().code);
      co_return;
    }
    protocol = (*socket)->protocol();
    for (;;) {
      const auto message = co_await (*socket)->receive();
      if (!message) {
        errors.push_back(message.error().code);
        code = (*socket)->close_code();
        co_return;
      }
      if (message->payload == "bye") {
        static_cast<void>(co_await (*socket)->close(WebSocketClose::going_away, "so long"));
      } else if (message->opcode == WebSocketOpcode::text) {
        static_cast<void>(co_await (*socket)->send_text(message->payload));
      } else {
        static_cast<void>(co_await (*socket)->send_binary(message->payload));
      }
    }
  }

  std::string protocol;
  std::vector<Code> errors;
  std::optional<WebSocketClose> code;

 private:
  rt::Loop& loop_;
  Random random_{1};
};

rt::Task<void> talk(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                    std::vector<std::string>& heard) {
  Random random(2);
  auto socket = co_await WebSocket::connect(
      loop, random, std::make_unique<ClientConnection>(loop, std::move(stream)),
      {.method = "GET", .target = "/exec", .headers = {{"Host", "a"}}}, kProtocols);
  CHECK(socket.has_value());
  heard.push_back((*socket)->protocol());
  for (const std::string& text : {std::string("one"), std::string(), std::string(90'000, 'x')}) {
    static_cast<void>(co_await (*socket)->send_text(text));
    const auto echoed = co_await (*socket)->receive();
    heard.emplace_back(echoed ? echoed->payload : "error");
  }
  static_cast<void>(co_await (*socket)->send_binary("bye"));
  const auto end = co_await (*socket)->receive();
  heard.emplace_back(name(end.error().code));
  heard.push_back((*socket)->close_reason());
}

struct Serving : Sim {
  Serving() {
    tasks.spawn(serve_connection(loop, std::move(pipe.b), echo, options));
    settle();
  }
  ServerOptions options;
  Echo echo{loop};
  net::StreamPair pipe = net::memory_pipe(loop);
  rt::Scope tasks{loop};
};

TEST(WebSocket, carries_messages_between_client_and_server) {
  Serving serving;
  std::vector<std::string> heard;
  serving.tasks.spawn(talk(serving.loop, std::move(serving.pipe.a), heard));
  serving.settle();
  EXPECT_THAT(heard, testing::ElementsAre("v5.channel.k8s.io", "one", "", std::string(90'000, 'x'),
                                          "closed", "so long"));
  EXPECT_EQ(serving.echo.protocol, "v5.channel.k8s.io");
  EXPECT_EQ(serving.echo.errors, std::vector{Code::closed});
  EXPECT_EQ(serving.echo.code, WebSocketClose::going_away);
  EXPECT_EQ(serving.tasks.size(), 0U);
}

// RFC 6455 §1.3.
constexpr std::string_view kHandshake =
    "GET /exec HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

TEST(WebSocket, shakes_hands_as_in_the_rfc_and_answers_pings) {
  Serving serving;
  Wire client(serving, std::move(serving.pipe.a));
  client.say(std::string(kHandshake) + "Sec-WebSocket-Protocol: other, v4.channel.k8s.io\r\n\r\n");
  EXPECT_EQ(client.hear(),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n");
  client.say_byte_by_byte({"\x89\x82\x00\x00\x00\x00hi", 8});
  EXPECT_EQ(client.hear(), "\x8a\x02hi");
  client.say({"\x81\x02hi", 4});  // not masked
  EXPECT_THAT(client.hear(), testing::StartsWith("\x88"));
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(serving.echo.errors, std::vector{Code::malformed});
}

TEST(WebSocket, refuses_handshakes_that_cannot_work) {
  const struct {
    std::string request;
    std::string status;
  } rows[] = {
      {std::string(kHandshake) + "Sec-WebSocket-Protocol: other\r\n\r\n", "400"},
      {"GET /exec HTTP/1.1\r\nHost: a\r\n\r\n", "426"},
      {"GET /exec HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\n\r\n", "400"},
      {"GET /exec HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
       "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n",
       "400"},
  };
  for (const auto& row : rows) {
    Serving serving;
    Wire client(serving, std::move(serving.pipe.a));
    client.say(row.request);
    EXPECT_THAT(client.hear(), testing::StartsWith("HTTP/1.1 " + row.status));
    EXPECT_EQ(serving.echo.errors.size(), 1U);
  }
}

}  // namespace
}  // namespace tulle::http
