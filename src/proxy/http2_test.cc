#include "http/http2_client.h"
#include "proxy/grpc.h"
#include "proxy/replay_body.h"
#include "proxy/test_world.h"

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class ProxyHttp2Test : public ProxyTest {
 protected:
  struct Outcome final : http::InterimSink {
    void take_interim(const codec::ResponseHead& head) override {
      interim += std::to_string(head.status) + " " + std::string(*head.headers.get("link"));
    }

    std::string interim = {};
    int status = 0;
    codec::Headers headers = {};
    std::string body = {};
    codec::Headers trailers = {};
    std::string error = {};
    bool done = false;
  };

  // A request over a stream of its own.
  struct Call {
    Call(http::Sim& on, http::Http2Client& over, codec::RequestHead what, http::Body* body)
        : head(std::move(what)), channel(over.open()), scope(on.loop) {
      scope.spawn(run(*channel, head, body, outcome));
      on.settle();
    }
    static rt::Task<void> run(http::Channel& channel, const codec::RequestHead& head,
                              http::Body* body, Outcome& outcome) {
      auto response = co_await channel.exchange(head, body, {.interim = &outcome});
      if (response) {
        outcome.status = response->head.status;
        outcome.headers = response->head.headers;
        auto text = co_await http::read_all(response->body, 1 << 22);
        outcome.body = text.value_or("");
        if (!text) outcome.error = text.error().message;
        if (response->body.trailers() != nullptr) outcome.trailers = *response->body.trailers();
      } else {
        outcome.error = response.error().message;
      }
      outcome.done = true;
    }
    codec::RequestHead head;
    std::unique_ptr<http::Channel> channel;
    Outcome outcome;
    rt::Scope scope;
  };

  std::unique_ptr<http::Http2Client> dial_http2() {
    return std::make_unique<http::Http2Client>(sim.loop, connect("10.96.0.5:80"));
  }
  static codec::RequestHead head_of(std::string_view path, std::string_view method = "GET") {
    return {
        .method = std::string(method), .target = std::string(path), .headers = {{"Host", "world"}}};
  }
  static codec::RequestHead grpc_call(std::string_view path) {
    codec::RequestHead head = head_of(path, "POST");
    head.headers.append("Content-Type", "application/grpc+proto");
    return head;
  }
  Outcome ask(http::Http2Client& over, codec::RequestHead head, http::Body* body = nullptr) {
    const Call call(sim, over, std::move(head), body);
    EXPECT_TRUE(call.outcome.done);
    return call.outcome;
  }
};

TEST_F(ProxyHttp2Test, requests_of_one_connection_are_spread_evenly_over_one_connection_each) {
  make_servers(3);
  const auto over = dial_http2();
  for (int i = 0; i < 300; ++i) ASSERT_EQ(ask(*over, head_of("/")).status, 200);
  EXPECT_THAT(counts(), ElementsAre(100, 100, 100));
  for (const Server& server : servers) {
    EXPECT_TRUE(server.world->last_http2);
    EXPECT_EQ(server.http->connections(), 1U);
  }
}

// Servers of HTTP/2 greet at once, and a client may be slower than a connection is dialled.
TEST_F(ProxyHttp2Test, a_server_that_greets_before_the_client_speaks_gets_no_connection_as_it_is) {
  make_servers(1);
  auto listener = listen_raw(0);
  auto stream = connect("10.96.0.5:80");
  sim.settle();
  http::Wire greeting = accept(*listener);
  greeting.say(std::string("\0\0\0\4\0\0\0\0\0", 9));
  EXPECT_EQ(greeting.hear(), "");
  EXPECT_TRUE(greeting.ended());
  listener.reset();
  listen(0);
  http::Http2Client over(sim.loop, std::move(stream));
  EXPECT_EQ(ask(over, head_of("/")).status, 200);
  EXPECT_TRUE(servers[0].world->last_http2);
}

TEST_F(ProxyHttp2Test, streams_side_by_side_share_a_connection_to_their_endpoint) {
  make_servers(1);
  const auto over = dial_http2();
  std::vector<std::unique_ptr<Call>> calls;
  calls.reserve(20);
  for (int i = 0; i < 20; ++i) {
    calls.push_back(std::make_unique<Call>(sim, *over, head_of("/hang"), nullptr));
  }
  EXPECT_EQ(servers[0].world->requests, 20);
  EXPECT_EQ(servers[0].http->connections(), 1U);
  calls.clear();
  sim.settle();
  EXPECT_EQ(servers[0].world->cancelled, 20);
}

TEST_F(ProxyHttp2Test, a_port_of_http_is_spoken_to_in_http_1) {
  service.ports[0].protocol = mesh::ProtocolHint::http;
  make_servers(1);
  const auto over = dial_http2();
  http::StringBody body("what was sent");
  EXPECT_EQ(ask(*over, head_of("/mirror", "POST"), &body).body, "what was sent");
  EXPECT_FALSE(servers[0].world->last_http2);
  EXPECT_EQ(servers[0].world->last_host, "world");
}

TEST_F(ProxyHttp2Test, a_port_of_http2_is_spoken_to_in_http2_by_all) {
  service.ports[0].protocol = mesh::ProtocolHint::http2;
  make_servers(1);
  http::Wire wire = dial();
  EXPECT_EQ(body_of(ProxyTest::ask(wire, "/")), "world-0");
  EXPECT_TRUE(servers[0].world->last_http2);
  wire.say(request("/mirror", "POST", "Transfer-Encoding: chunked\r\n") +
           "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
  const std::string response = wire.hear();
  EXPECT_THAT(response, HasSubstr("3\r\nabc\r\n"));
  EXPECT_THAT(response, HasSubstr("0\r\nx-sum: 1\r\n\r\n"));
}

TEST_F(ProxyHttp2Test, trailers_and_large_bodies_go_through) {
  make_servers(1);
  const auto over = dial_http2();
  EXPECT_EQ(ask(*over, head_of("/big")).body.size(), 1U << 20);
  http::StringBody body(std::string(1 << 20, 'm'));
  EXPECT_EQ(ask(*over, head_of("/mirror", "POST"), &body).body.size(), 1U << 20);
}

TEST_F(ProxyHttp2Test, a_stream_that_the_server_surely_did_not_process_goes_elsewhere) {
  make_servers(2);
  const auto listener = listen_raw(0);
  const auto over = dial_http2();
  http::StringBody body("paid once");
  Call call(sim, *over, head_of("/mirror", "POST"), &body);
  http::Wire leaving = accept(*listener);
  EXPECT_THAT(leaving.hear(), testing::StartsWith("PRI * HTTP/2.0"));
  leaving.say(std::string("\0\0\0\4\0\0\0\0\0", 9));                     // SETTINGS
  leaving.say(std::string("\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\0", 17));  // GOAWAY, last stream 0
  EXPECT_EQ(call.outcome.body, "paid once");
  EXPECT_EQ(servers[1].world->requests, 1);
}

TEST_F(ProxyHttp2Test, a_body_beyond_what_is_kept_goes_out_once_only) {
  make_servers(2);
  const auto listener = listen_raw(0);
  const auto over = dial_http2();
  http::StringBody body(std::string(kReplayBytesMax + 1, 'x'));
  Call call(sim, *over, head_of("/mirror", "POST"), &body);
  http::Wire leaving = accept(*listener);
  leaving.hear();
  leaving.say(std::string("\0\0\0\4\0\0\0\0\0", 9));
  leaving.hear();
  leaving.say(std::string("\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\0", 17));
  EXPECT_EQ(call.outcome.status, 502);
  EXPECT_EQ(servers[1].world->requests, 0);
}

TEST_F(ProxyHttp2Test, a_post_that_may_have_been_processed_does_not_go_again) {
  make_servers(2);
  const auto listener = listen_raw(0);
  const auto over = dial_http2();
  http::StringBody body("paid once");
  Call call(sim, *over, head_of("/mirror", "POST"), &body);
  {
    http::Wire dying = accept(*listener);
    dying.hear();
  }
  sim.settle();
  EXPECT_EQ(call.outcome.status, 502);
  EXPECT_EQ(servers[1].world->requests, 0);
}

TEST_F(ProxyHttp2Test, an_endpoint_that_does_not_speak_http2_is_said) {
  make_servers(1);
  const auto listener = listen_raw(0);
  const auto over = dial_http2();
  Call call(sim, *over, head_of("/"), nullptr);
  for (int i = 0; i < 5 && !call.outcome.done; ++i) {
    http::Wire old = accept(*listener);
    old.hear();
    old.say("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    sim.settle();
  }
  EXPECT_EQ(call.outcome.status, 502);
}

TEST_F(ProxyHttp2Test, a_grpc_call_with_nowhere_to_go_is_unavailable) {
  make_servers(1);
  servers[0].http.reset();
  const auto over = dial_http2();
  const Outcome outcome = ask(*over, grpc_call("/pkg.Service/Method"));
  EXPECT_EQ(outcome.status, 200);
  EXPECT_EQ(outcome.headers.get("content-type"), "application/grpc");
  EXPECT_EQ(outcome.headers.get("grpc-status"), "14");
  EXPECT_THAT(std::string(outcome.headers.get("grpc-message").value_or("")),
              HasSubstr("default/world"));
}

TEST_F(ProxyHttp2Test, a_grpc_deadline_ends_the_call_at_both_sides) {
  make_servers(1);
  const auto over = dial_http2();
  codec::RequestHead head = grpc_call("/hang");
  head.headers.append("grpc-timeout", "500m");
  Call call(sim, *over, head, nullptr);
  sim.advance(499ms);
  EXPECT_FALSE(call.outcome.done);
  sim.advance(2ms);
  EXPECT_EQ(call.outcome.headers.get("grpc-status"), "4");
  EXPECT_EQ(servers[0].world->cancelled, 1);
}

TEST_F(ProxyHttp2Test, a_stream_of_events_arrives_as_it_is_written) {
  make_servers(1);
  const auto over = dial_http2();
  const codec::RequestHead head = head_of("/stream");
  const auto channel = over->open();
  std::string heard;
  rt::Scope scope(sim.loop);
  scope.spawn(
      [](http::Channel& to, const codec::RequestHead& what, std::string& text) -> rt::Task<void> {
        auto response = co_await to.exchange(what, nullptr, {});
        if (!response) co_return;
        text = "head ";
        for (;;) {
          const auto piece = co_await response->body.read();
          if (!piece || piece->empty()) break;
          text += *piece;
        }
        text += "end";
      }(*channel, head, heard));
  sim.advance(10ms);
  EXPECT_EQ(heard, "head ");
  servers[0].world->pieces.emplace_back("one ");
  sim.advance(2ms);
  EXPECT_EQ(heard, "head one ");
  servers[0].world->pieces.emplace_back("two ");
  servers[0].world->pieces.emplace_back("");
  sim.advance(5ms);
  EXPECT_EQ(heard, "head one two end");
}

TEST(Grpc, is_told_by_its_content_type) {
  const auto with_type = [](std::string_view type) {
    return codec::RequestHead{.headers = {{"content-type", type}}};
  };
  EXPECT_TRUE(is_grpc(with_type("application/grpc")));
  EXPECT_TRUE(is_grpc(with_type("application/grpc+proto")));
  EXPECT_TRUE(is_grpc(with_type("application/grpc;charset=utf-8")));
  EXPECT_FALSE(is_grpc(with_type("application/grpc-web")));
  EXPECT_FALSE(is_grpc(with_type("text/plain")));
  EXPECT_FALSE(is_grpc({}));
}

TEST(Grpc, timeouts_are_read_as_the_protocol_says) {
  const struct {
    std::string_view text;
    std::optional<Duration> is;
  } rows[] = {{"1S", 1s},
              {"100m", 100ms},
              {"5u", 5us},
              {"99999999n", 99'999'999ns},
              {"2M", 2min},
              {"1H", 1h},
              {"99999999H", 24h * 365},
              {"1", std::nullopt},
              {"S", std::nullopt},
              {"-1S", std::nullopt},
              {"123456789S", std::nullopt},
              {"1x", std::nullopt},
              {"", std::nullopt}};
  for (const auto& row : rows) {
    codec::RequestHead head;
    head.headers.append("content-type", "application/grpc");
    head.headers.append("grpc-timeout", row.text);
    EXPECT_EQ(grpc_timeout(head), row.is) << row.text;
  }
  EXPECT_EQ(grpc_timeout({.headers = {{"grpc-timeout", "1S"}}}), std::nullopt);
}

TEST(Grpc, failures_are_a_status_and_a_message_that_fits_a_field) {
  const codec::ResponseHead head = grpc_failure(404, "no route: 100%\n");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.get("grpc-status"), "12");
  EXPECT_EQ(head.headers.get("grpc-message"), "no route: 100%25%0A");
}

TEST_F(ProxyHttp2Test, interim_responses_come_through_whatever_either_side_speaks) {
  make_servers(1);
  for (const auto protocol : {mesh::ProtocolHint::http, mesh::ProtocolHint::http2}) {
    service.ports[0].protocol = protocol;
    publish();
    http::Wire wire = dial();
    EXPECT_THAT(ProxyTest::ask(wire, "/hints"),
                testing::MatchesRegex("HTTP/1.1 103 Early Hints\r\n[Ll]ink: </style.css>\r\n\r\n"
                                      "HTTP/1.1 200 OK\r\n.*hinted"));
    const auto over = dial_http2();
    const Call call(sim, *over, head_of("/hints"), nullptr);
    EXPECT_EQ(call.outcome.interim, "103 </style.css>");
    EXPECT_EQ(call.outcome.body, "hinted");
  }
}

}  // namespace
}  // namespace tulle::proxy
