// WebSockets over HTTP/2 (RFC 8441) and HTTP/1.1, whatever either side speaks.
#include "codec/websocket.h"
#include "http/client_connection.h"
#include "http/http2_client.h"
#include "proxy/test_world.h"

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";  // of RFC 6455 §1.3
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

// Takes WebSockets, and gives the bytes of the newest to the test.
class Endpoint final : public http::Handler {
 public:
  explicit Endpoint(rt::Loop& loop) : done(loop) {}

  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override {
    last = request.head;
    last_http2 = request.http2;
    const codec::Headers& headers = request.head.headers;
    if (request.head.target == "/page")
      co_return static_cast<void>(co_await exchange.send({}, "x"));
    if (!codec::is_upgrade(request.head)) {
      co_return static_cast<void>(co_await exchange.send({.status = 404}, "no such page"));
    }
    codec::ResponseHead head{.status = 101,
                             .headers = {{"Connection", "Upgrade"},
                                         {"Upgrade", "websocket"},
                                         {"Sec-WebSocket-Protocol", "chat"}}};
    const auto key = codec::websocket_accept_key(headers.get("Sec-WebSocket-Key").value_or(""));
    if (key) head.headers.append("Sec-WebSocket-Accept", wrong ? "nonsense" : *key);
    auto upgraded = co_await exchange.upgrade(head);
    if (!upgraded) co_return;
    stream = *std::move(upgraded);
    done.clear();
    co_await done.wait();
    stream.reset();
  }

  codec::RequestHead last;
  bool last_http2 = false;
  bool wrong = false;  // in its handshake
  std::unique_ptr<net::Stream> stream;
  rt::Event done;  // set: the stream is dropped
};

enum class Client : std::uint8_t { http1, http2 };
enum class Upstream : std::uint8_t { http1, http2, http2_without_websockets };

std::string read_now(net::Stream& stream) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const auto attempt = stream.try_read(buffer);
    if (!attempt) return text;
    if (!*attempt) return text + "(" + std::string(name((*attempt).error().code)) + ")";
    if (**attempt == 0) return text + "(end)";
    text.append(buffer.data(), **attempt);
  }
}

class ProxyWebSocketTest : public ProxyTest {
 protected:
  // One side of a WebSocket, from the handshake on.
  struct Dialled {
    explicit Dialled(rt::Loop& loop) : scope(loop) {}
    codec::RequestHead head;
    std::unique_ptr<http::Http2Client> over;
    std::unique_ptr<http::Channel> channel;
    int status = 0;
    codec::Headers headers;
    std::string error;
    std::string body;
    std::unique_ptr<net::Stream> stream;
    rt::Scope scope;
  };

  void serve(Upstream kind) {
    service.ports[0].protocol =
        kind == Upstream::http1 ? mesh::ProtocolHint::http : mesh::ProtocolHint::http2;
    if (servers.empty()) make_servers(1);
    publish();
    servers[0].http.reset();
    http::Server::Options options;
    options.connection.websockets_over_http2 = kind == Upstream::http2;
    servers[0].http = std::make_unique<http::Server>(
        sim.loop, *network.listen({.at = servers[0].address, .in = servers[0].pod->space}),
        endpoint, options);
  }

  static rt::Task<void> shake_hands(Dialled& dialled) {
    auto response = co_await dialled.channel->exchange(dialled.head, nullptr, {});
    if (!response) {
      dialled.error = response.error().message;
      co_return;
    }
    dialled.status = response->head.status;
    dialled.headers = response->head.headers;
    if (dialled.status == 101) {
      dialled.stream = dialled.channel->take_stream();
    } else {
      dialled.body = (co_await http::read_all(response->body, 1 << 16)).value_or("");
    }
  }

  std::unique_ptr<Dialled> dial_websocket(Client client, std::string_view target = "/chat") {
    auto dialled = std::make_unique<Dialled>(sim.loop);
    dialled->head = {.method = "GET",
                     .target = std::string(target),
                     .headers = {{"Host", "world"},
                                 {"Connection", "Upgrade"},
                                 {"Upgrade", "websocket"},
                                 {"Sec-WebSocket-Version", "13"},
                                 {"Sec-WebSocket-Key", kKey},
                                 {"Sec-WebSocket-Protocol", "chat"}}};
    if (client == Client::http1) {
      dialled->channel =
          std::make_unique<http::ClientConnection>(sim.loop, connect("10.96.0.5:80"));
    } else {
      dialled->over = std::make_unique<http::Http2Client>(sim.loop, connect("10.96.0.5:80"));
      dialled->channel = dialled->over->open();
      const auto takes = sim.loop.run(dialled->channel->takes_websocket(sim.loop.now() + 1s));
      EXPECT_TRUE(takes) << "the proxy announces it";
    }
    dialled->scope.spawn(shake_hands(*dialled));
    sim.settle();
    return dialled;
  }

  // As much as fits, now.
  std::size_t write_now(net::Stream& stream, std::string_view bytes) {
    std::size_t written = 0;
    while (written < bytes.size()) {
      const std::string_view rest = bytes.substr(written);
      const auto attempt = stream.try_write(std::span(&rest, 1));
      if (attempt && *attempt) written += **attempt;
      if (attempt && !*attempt) break;
      if (!attempt && !sim.loop.turn_once()) break;
    }
    sim.settle();
    return written;
  }
  std::string hear(net::Stream& stream) {
    std::string all;
    for (;;) {
      sim.settle();
      const std::string more = read_now(stream);
      all += more;
      if (more.empty() || more.ends_with(")")) return all;
    }
  }

  Endpoint endpoint{sim.loop};
};

class ProxyWebSocketVersionsTest
    : public ProxyWebSocketTest,
      public testing::WithParamInterface<std::tuple<Client, Upstream>> {};

INSTANTIATE_TEST_SUITE_P(All, ProxyWebSocketVersionsTest,
                         testing::Combine(testing::Values(Client::http1, Client::http2),
                                          testing::Values(Upstream::http1, Upstream::http2,
                                                          Upstream::http2_without_websockets)));

TEST_P(ProxyWebSocketVersionsTest, a_handshake_opens_a_tunnel_whatever_either_side_speaks) {
  const auto [client, upstream] = GetParam();
  serve(upstream);
  const auto dialled = dial_websocket(client);
  ASSERT_EQ(dialled->status, 101) << dialled->error;
  EXPECT_EQ(dialled->headers.get("sec-websocket-accept"), kAccept);
  EXPECT_EQ(dialled->headers.get("sec-websocket-protocol"), "chat");

  EXPECT_EQ(endpoint.last_http2, upstream == Upstream::http2);
  EXPECT_EQ(endpoint.last.method, "GET");
  EXPECT_EQ(endpoint.last.target, "/chat");
  EXPECT_EQ(endpoint.last.headers.get("host"), "world");
  EXPECT_EQ(endpoint.last.headers.get("upgrade"), "websocket");
  EXPECT_EQ(endpoint.last.headers.get("sec-websocket-version"), "13");
  EXPECT_FALSE(endpoint.last.headers.contains("content-length"));
  EXPECT_FALSE(endpoint.last.headers.contains("transfer-encoding"));

  EXPECT_EQ(write_now(*dialled->stream, "hello"), 5U);
  EXPECT_EQ(hear(*endpoint.stream), "hello");
  EXPECT_EQ(write_now(*endpoint.stream, "and back"), 8U);
  EXPECT_EQ(hear(*dialled->stream), "and back");
}

TEST_P(ProxyWebSocketVersionsTest, each_direction_ends_by_itself) {
  const auto [client, upstream] = GetParam();
  serve(upstream);
  const auto dialled = dial_websocket(client);
  ASSERT_EQ(dialled->status, 101);
  write_now(*dialled->stream, "last words");
  ASSERT_TRUE(dialled->stream->shutdown_write());
  EXPECT_EQ(hear(*endpoint.stream), "last words(end)");
  write_now(*endpoint.stream, "heard");
  EXPECT_EQ(hear(*dialled->stream), "heard");
  const std::string much(100'000, 'm');
  EXPECT_EQ(write_now(*endpoint.stream, much), much.size());
  ASSERT_TRUE(endpoint.stream->shutdown_write());
  endpoint.done.set();
  EXPECT_EQ(hear(*dialled->stream), much + "(end)");
}

TEST_P(ProxyWebSocketVersionsTest, who_does_not_read_is_not_written_to_and_nothing_is_lost) {
  const auto [client, upstream] = GetParam();
  serve(upstream);
  const auto dialled = dial_websocket(client);
  ASSERT_EQ(dialled->status, 101);
  std::string much;
  for (int i = 0; much.size() < (4U << 20); ++i) much += std::to_string(i) + " ";
  for (const bool up : {true, false}) {
    net::Stream& from = up ? *dialled->stream : *endpoint.stream;
    net::Stream& to = up ? *endpoint.stream : *dialled->stream;
    std::size_t written = write_now(from, much);
    EXPECT_LT(written, 2U << 20) << "windows and buffers, and no more";
    std::string heard;
    while (heard.size() < much.size()) {
      const std::string more = hear(to);
      ASSERT_FALSE(more.empty());
      heard += more;
      written += write_now(from, std::string_view(much).substr(written));
    }
    EXPECT_EQ(heard, much);
  }
}

TEST_P(ProxyWebSocketVersionsTest, a_side_that_dies_is_gone_for_the_other) {
  const auto [client, upstream] = GetParam();
  serve(upstream);
  {
    const auto dialled = dial_websocket(client);
    ASSERT_EQ(dialled->status, 101);
    EXPECT_EQ(hear(*endpoint.stream), "");
  }
  EXPECT_THAT(hear(*endpoint.stream), testing::AnyOf("(reset)", "(end)"));
  endpoint.done.set();
  sim.settle();
  const auto dialled = dial_websocket(client);
  ASSERT_EQ(dialled->status, 101);
  endpoint.done.set();  // without an end of its direction
  EXPECT_THAT(hear(*dialled->stream), testing::AnyOf("(reset)", "(closed)", "(end)"));
}

TEST_F(ProxyWebSocketTest, the_key_of_http_1_is_the_proxys_own_and_another_each_time) {
  serve(Upstream::http1);
  const auto one = dial_websocket(Client::http2);
  const std::string first(endpoint.last.headers.get("sec-websocket-key").value_or(""));
  endpoint.done.set();
  sim.settle();
  const auto other = dial_websocket(Client::http2);
  const std::string second(endpoint.last.headers.get("sec-websocket-key").value_or(""));
  EXPECT_TRUE(codec::websocket_accept_key(first));
  EXPECT_TRUE(codec::websocket_accept_key(second));
  EXPECT_NE(first, kKey);
  EXPECT_NE(first, second);
}

TEST_F(ProxyWebSocketTest, an_answer_that_is_no_websocket_is_not_taken_for_one) {
  for (const auto upstream : {Upstream::http1, Upstream::http2_without_websockets}) {
    serve(upstream);
    const auto page = dial_websocket(Client::http2, "/page");
    EXPECT_EQ(page->status, 502);
    EXPECT_THAT(page->body, HasSubstr("did not switch to WebSocket"));
    endpoint.wrong = true;
    EXPECT_EQ(dial_websocket(Client::http2)->status, 502);
    endpoint.wrong = false;
    EXPECT_EQ(dial_websocket(Client::http2)->status, 101);
    endpoint.done.set();
    sim.settle();
  }
}

TEST_F(ProxyWebSocketTest, why_there_is_none_comes_through) {
  make_servers(1);
  auto listener = listen_raw(0);
  service.ports[0].protocol = mesh::ProtocolHint::http;
  publish();
  const auto refused = dial_websocket(Client::http2);
  http::Wire old = accept(*listener);
  EXPECT_THAT(old.hear(), HasSubstr("Upgrade: websocket\r\n"));
  old.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nnot u!");
  EXPECT_EQ(refused->status, 403);
  EXPECT_EQ(refused->body, "not u!");
  old.close();
  listener.reset();
  const auto nobody = dial_websocket(Client::http2);
  EXPECT_EQ(nobody->status, 503);
}

TEST_F(ProxyWebSocketTest, a_websocket_has_a_place_among_the_requests_as_long_as_it_is_open) {
  serve(Upstream::http1);
  mesh::Policy policy;
  policy.circuit_breaking = {.requests_max = 1, .pending_max = 1, .pending_timeout = 1s};
  set_policy(policy);
  auto first = dial_websocket(Client::http2);
  ASSERT_EQ(first->status, 101);
  const auto second = dial_websocket(Client::http2);
  EXPECT_EQ(second->status, 0) << "it waits";
  sim.advance(1s);
  EXPECT_EQ(second->status, 503);
  first.reset();
  endpoint.done.set();
  sim.settle();
  EXPECT_EQ(dial_websocket(Client::http2)->status, 101);
}

TEST_F(ProxyWebSocketTest, other_streams_of_the_connection_go_on_beside_it) {
  serve(Upstream::http1);
  const auto dialled = dial_websocket(Client::http2);
  ASSERT_EQ(dialled->status, 101);
  write_now(*dialled->stream, std::string(4U << 20, 'x'));  // which nobody reads
  const codec::RequestHead head{.method = "GET", .target = "/page", .headers = {{"Host", "world"}}};
  const auto channel = dialled->over->open();
  const auto response = sim.loop.run(channel->exchange(head, nullptr, {}));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->head.status, 200);
}

TEST_F(ProxyWebSocketTest, a_policys_idle_time_ends_a_silent_one) {
  serve(Upstream::http2);
  mesh::Policy policy;
  policy.timeouts.idle = 10s;
  set_policy(policy);
  const auto dialled = dial_websocket(Client::http2);
  ASSERT_EQ(dialled->status, 101);
  sim.advance(9s);
  EXPECT_EQ(hear(*dialled->stream), "");
  sim.advance(2s);
  EXPECT_EQ(hear(*dialled->stream), "(reset)");
  EXPECT_EQ(hear(*endpoint.stream), "(reset)");
}

}  // namespace
}  // namespace tulle::proxy
