#include "proxy/test_world.h"

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

TEST_F(ProxyTest, requests_of_one_connection_are_spread_evenly_over_kept_connections) {
  make_servers(3);
  http::Wire wire = dial();
  for (int i = 0; i < 300; ++i) ASSERT_THAT(ask(wire, "/"), HasSubstr("world-"));
  EXPECT_THAT(counts(), ElementsAre(100, 100, 100));
  for (const Server& server : servers) EXPECT_EQ(server.http->connections(), 1U);
}

TEST_F(ProxyTest, connections_of_one_request_each_are_spread_evenly) {
  make_servers(2);
  for (int i = 0; i < 50; ++i) {
    http::Wire wire = dial();
    ASSERT_EQ(status_of(ask(wire, "/")), "200");
  }
  EXPECT_THAT(counts(), ElementsAre(25, 25));
}

TEST_F(ProxyTest, a_busy_endpoint_gets_less) {
  make_servers(2);
  http::Wire slow = dial();
  slow.say(request("/hang"));
  http::Wire wire = dial();
  for (int i = 0; i < 10; ++i) ask(wire, "/");
  EXPECT_THAT(counts(), testing::UnorderedElementsAre(1, 10));
}

// More connections to the Ingress than it takes.
class FloodTest : public ProxyTest {
 protected:
  FloodTest() {
    make_servers(1);
    auto table = std::make_shared<mesh::IngressTable>();
    EXPECT_TRUE(
        table->set_default("default/i", {.service = {"default", "world"}, .port_number = 80}));
    builder.set_ingress(std::move(table));
    publish();
  }
  http::Wire dial_ingress() {
    http::Wire wire(sim, sim.loop.run(network.connect({.to = at("127.0.0.1:8080")})).value());
    sim.settle();
    return wire;
  }
  static bool is_closed(http::Wire& wire) {
    wire.hear();
    return wire.ended();
  }
};

TEST_F(FloodTest, the_connection_that_was_idle_longest_makes_room_for_the_next) {
  std::vector<http::Wire> wires;
  for (std::size_t i = 0; i < kDoorConnections; ++i) {
    wires.push_back(dial_ingress());
    EXPECT_EQ(body_of(ask(wires.back(), "/")), "world-0");
  }
  EXPECT_EQ(body_of(ask(wires[0], "/")), "world-0");  // the second is the oldest now
  http::Wire next = dial_ingress();
  EXPECT_EQ(body_of(ask(next, "/")), "world-0");
  for (std::size_t i = 0; i < kDoorConnections; ++i) EXPECT_EQ(is_closed(wires[i]), i == 1) << i;
}

TEST_F(FloodTest, a_busy_connection_is_not_closed_but_the_first_that_becomes_idle_is) {
  std::vector<http::Wire> wires;
  for (std::size_t i = 0; i < kDoorConnections; ++i) {
    wires.push_back(dial_ingress());
    servers[0].world->delay = i == 3 ? 1s : 10s;
    wires.back().say(request("/"));
  }
  http::Wire next = dial_ingress();
  next.say(request("/none"));
  EXPECT_EQ(next.hear(), "") << "there is no room";
  sim.advance(1s);
  EXPECT_EQ(body_of(wires[3].hear()), "world-0");
  EXPECT_EQ(status_of(next.hear()), "204");
  EXPECT_TRUE(is_closed(wires[3]));
  sim.advance(10s);
  EXPECT_EQ(body_of(wires[0].hear()), "world-0");
}

TEST_F(FloodTest, an_idle_connection_of_http2_makes_room_too) {
  std::vector<http::Wire> wires;
  for (std::size_t i = 0; i < kDoorConnections; ++i) {
    wires.push_back(dial_ingress());
    wires.back().say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\4\0\0\0\0\0", 9));
  }
  http::Wire next = dial_ingress();
  EXPECT_EQ(body_of(ask(next, "/")), "world-0");
  EXPECT_TRUE(is_closed(wires[0]));
  EXPECT_FALSE(is_closed(wires[1]));
}

TEST_F(ProxyTest, a_client_that_ends_its_direction_still_gets_its_answer) {
  make_servers(1);
  servers[0].world->delay = 10s;
  for (const std::string_view version : {"HTTP/1.1", "HTTP/1.0"}) {
    http::Wire wire = dial();
    wire.say("GET / " + std::string(version) + "\r\nHost: world\r\n\r\n");
    wire.half_close();
    sim.advance(10s);
    EXPECT_THAT(wire.hear(), EndsWith("\r\n\r\nworld-0")) << version;
    EXPECT_TRUE(wire.ended());
  }
}

TEST_F(ProxyTest, a_client_that_closes_while_it_waits_is_noticed_at_once) {
  make_servers(1);
  http::Wire wire = dial();
  wire.say(request("/hang"));
  wire.close();
  sim.settle();
  EXPECT_EQ(servers[0].world->cancelled, 1);
}

TEST_F(ProxyTest, a_response_to_a_client_that_ended_its_direction_goes_on_while_it_moves) {
  make_servers(1);
  http::Wire wire = dial();
  wire.say(request("/stream"));
  wire.half_close();
  std::string heard;
  for (int i = 0; i < 5; ++i) {
    servers[0].world->pieces.push_back("piece");
    sim.advance(3s);
    heard += wire.hear();
  }
  wire.hear();
  EXPECT_FALSE(wire.ended());
  sim.advance(7s);
  wire.hear();
  EXPECT_TRUE(wire.ended()) << "nothing moved for too long";
  int pieces = 0;
  for (std::size_t at = heard.find("piece"); at != std::string::npos;
       at = heard.find("piece", at + 1)) {
    ++pieces;
  }
  EXPECT_EQ(pieces, 5);
}

// A client that asks first, and a server to be asked.
class ExpectTest : public ProxyTest {
 protected:
  ExpectTest() {
    wire.say(request("/", "POST", "Content-Length: 4\r\nExpect: 100-continue\r\n"));
    EXPECT_EQ(wire.hear(), "");
    EXPECT_THAT(server.hear(),
                testing::AllOf(HasSubstr("Expect: 100-continue"), EndsWith("\r\n\r\n")));
  }
  std::unique_ptr<net::Listener> listen_alone() {
    make_servers(1);
    return listen_raw(0);
  }
  std::unique_ptr<net::Listener> listener = listen_alone();
  http::Wire wire = dial();
  http::Wire server = accept(*listener);
};

TEST_F(ExpectTest, the_client_is_told_to_go_on_when_the_server_says_so) {
  server.say("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(wire.hear(), "HTTP/1.1 100 Continue\r\n\r\n");
  wire.say("body");
  EXPECT_EQ(server.hear(), "body");
  server.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_EQ(body_of(wire.hear()), "ok");
}

TEST_F(ExpectTest, a_server_that_declines_never_gets_the_body) {
  server.say("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
  const std::string response = wire.hear();
  EXPECT_EQ(status_of(response), "417");
  EXPECT_THAT(response, HasSubstr("Connection: close")) << "the body may follow or not";
  sim.advance(2s);
  EXPECT_EQ(server.hear(), "");
  EXPECT_TRUE(server.ended());
}

TEST_F(ExpectTest, a_server_that_does_not_know_of_it_gets_the_body_after_a_second) {
  sim.advance(1s);
  EXPECT_EQ(wire.hear(), "HTTP/1.1 100 Continue\r\n\r\n");
  wire.say("body");
  EXPECT_EQ(server.hear(), "body");
}

TEST_F(ProxyTest, a_server_may_only_switch_to_a_protocol_that_was_asked_for) {
  make_servers(1);
  const auto listener = listen_raw(0);
  http::Wire wire = dial();
  http::Wire server = accept(*listener);
  wire.say(request("/", "GET", "Connection: upgrade\r\nUpgrade: websocket\r\n"));
  server.say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
  EXPECT_EQ(status_of(wire.hear()), "502");
}

TEST_F(ProxyTest, behind_an_ingress_only_the_ingress_says_who_asked) {
  make_servers(1);
  auto table = std::make_shared<mesh::IngressTable>();
  ASSERT_TRUE(
      table->set_default("default/i", {.service = {"default", "world"}, .port_number = 80}));
  builder.set_ingress(std::move(table));
  publish();
  http::Wire wire(sim, sim.loop.run(network.connect({.to = at("127.0.0.1:8080")})).value());
  wire.say(request("/", "GET",
                   "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n"
                   "Connection: X-Forwarded-For, X-Real-IP\r\n"));
  ASSERT_EQ(status_of(wire.hear()), "200");
  const codec::Headers& seen = servers[0].world->last_headers;
  EXPECT_EQ(seen.get("X-Forwarded-For"), seen.get("X-Real-IP"));
  EXPECT_NE(seen.get("X-Forwarded-For"), "6.6.6.6");
  EXPECT_EQ(seen.get("X-Forwarded-Host"), "world");
  EXPECT_EQ(seen.get("X-Forwarded-Proto"), "http");
  EXPECT_FALSE(seen.contains("Forwarded"));
}

TEST_F(ProxyTest, an_upgrade_to_http2_is_a_request_like_any_other) {
  make_servers(1);
  http::Wire wire = dial();
  for (const std::string_view upgrade : {"h2c", "websocket, H2C"}) {
    wire.say(request("/upgrade-not", "GET",
                     "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
                     "Upgrade: " +
                         std::string(upgrade) + "\r\n"));
    EXPECT_EQ(body_of(wire.hear()), "world-0");
    EXPECT_FALSE(servers[0].world->last_upgrade);
  }
}

TEST_F(ProxyTest, a_refused_endpoint_is_passed_over_for_any_method) {
  make_servers(2);
  servers[0].http.reset();
  http::Wire wire = dial();
  for (const std::string_view method : {"GET", "POST", "DELETE", "PATCH"}) {
    for (int i = 0; i < 2; ++i) {
      wire.say(request("/", method, "Content-Length: 2\r\n") + "hi");
      EXPECT_EQ(body_of(wire.hear()), "world-1") << method;
    }
  }
}

TEST_F(ProxyTest, all_endpoints_refusing_is_503) {
  make_servers(2);
  servers[0].http.reset();
  servers[1].http.reset();
  http::Wire wire = dial();
  const std::string response = ask(wire, "/");
  EXPECT_EQ(status_of(response), "503");
  EXPECT_THAT(response, HasSubstr("default/world"));
  // The connection stays, and so does hope.
  listen(0);
  EXPECT_EQ(body_of(ask(wire, "/")), "world-0");
}

TEST_F(ProxyTest, a_safe_request_whose_connection_dies_goes_elsewhere) {
  make_servers(2);
  const auto listener = listen_raw(0);
  http::Wire wire = dial();
  http::Wire dying = accept(*listener);
  wire.say(request("/"));
  EXPECT_THAT(dying.hear(), HasSubstr("GET / HTTP/1.1"));
  dying.close();
  sim.advance(mesh::Retry().backoff);
  EXPECT_EQ(body_of(wire.hear()), "world-1");
}

TEST_F(ProxyTest, a_request_that_may_have_been_processed_does_not_go_again) {
  make_servers(1);
  const auto listener = listen_raw(0);
  http::Wire wire = dial();
  wire.say(request("/", "POST", "Content-Length: 2\r\n") + "hi");
  http::Wire dying = accept(*listener);
  EXPECT_THAT(dying.hear(), EndsWith("\r\n\r\nhi"));
  dying.close();
  EXPECT_EQ(status_of(wire.hear()), "502");
}

TEST_F(ProxyTest, a_kept_connection_that_died_is_replaced) {
  make_servers(1);
  http::Wire wire = dial();
  for (const std::string_view method : {"GET", "POST"}) {
    EXPECT_EQ(body_of(ask(wire, "/")), "world-0");
    network.kill(servers[0].address.ip);
    network.revive(servers[0].address.ip);
    wire.say(request("/", method, "Content-Length: 0\r\n"));
    EXPECT_EQ(body_of(wire.hear()), "world-0") << method;
  }
}

TEST_F(ProxyTest, a_stale_connection_costs_no_try) {
  make_servers(4);
  http::Wire wire = dial();
  for (int i = 0; i < 4; ++i) ask(wire, "/");
  ASSERT_THAT(counts(), ElementsAre(1, 1, 1, 1));
  wire.say(request("/hang"));
  ASSERT_THAT(counts(), ElementsAre(2, 1, 1, 1));
  // The kept connection of the first ends, two refuse, and one is left to hang.
  for (std::size_t i = 0; i < 3; ++i) network.kill(servers[i].address.ip);
  sim.settle();
  EXPECT_THAT(counts(), ElementsAre(2, 1, 1, 2));
}

TEST_F(ProxyTest, a_server_that_closes_each_connection_serves_every_request) {
  make_servers(1);
  http::Wire wire = dial();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(body_of(ask(wire, "/last")), "last");
  EXPECT_EQ(servers[0].http->connections(), 0U);
}

TEST_F(ProxyTest, a_service_without_ready_endpoints_answers_503_with_its_name) {
  make_servers(1);
  health_of[servers[0].address] = mesh::Health::not_ready;
  publish();
  http::Wire wire = dial();
  const std::string response = ask(wire, "/");
  EXPECT_EQ(status_of(response), "503");
  EXPECT_THAT(response, HasSubstr("service default/world port 80 has no ready endpoint"));
}

TEST_F(ProxyTest, unknown_ports_and_addresses_are_refused_with_a_reason) {
  make_servers(1);
  for (const auto& [to, why] :
       {std::pair("10.96.0.5:81", "81"), std::pair("10.96.0.6:80", "10.96.0.6"),
        std::pair("10.244.9.9:80", "10.244.9.9")}) {
    http::Wire wire = dial(to);
    const std::string response = ask(wire, "/");
    EXPECT_THAT(status_of(response), testing::AnyOf("502", "503", "404")) << to;
    EXPECT_THAT(response, HasSubstr(why));
  }
}

TEST_F(ProxyTest, responses_without_a_body_stay_without_one) {
  make_servers(1);
  http::Wire wire = dial();
  EXPECT_THAT(ask(wire, "/none"), AllOf(HasSubstr(" 204 "), EndsWith("\r\n\r\n")));
  EXPECT_THAT(ask(wire, "/same"), AllOf(HasSubstr(" 304 "), HasSubstr("ETag: \"x\"")));
  wire.say(request("/", "HEAD"));
  EXPECT_THAT(wire.hear(), AllOf(HasSubstr("Content-Length: 7"), EndsWith("\r\n\r\n")));
  EXPECT_EQ(body_of(ask(wire, "/")), "world-0");
}

TEST_F(ProxyTest, a_stream_begins_at_once_and_comes_piece_by_piece) {
  make_servers(1);
  http::Wire wire = dial();
  EXPECT_THAT(ask(wire, "/stream"), AllOf(HasSubstr(" 200 "), EndsWith("\r\n\r\n")));
  for (const std::string piece : {"one", "two"}) {
    servers[0].world->pieces.push_back(piece);
    sim.advance(1ms);
    EXPECT_THAT(wire.hear(), HasSubstr(piece));
  }
  servers[0].world->pieces.emplace_back();
  sim.advance(1ms);
  EXPECT_THAT(wire.hear(), EndsWith("0\r\n\r\n"));
  EXPECT_EQ(body_of(ask(wire, "/")), "world-0");
  EXPECT_EQ(servers[0].http->connections(), 1U);
}

TEST_F(ProxyTest, a_response_that_breaks_off_is_cut_for_the_client_too) {
  make_servers(1);
  http::Wire wire = dial();
  ask(wire, "/stream");
  servers[0].world->pieces.emplace_back("one");
  sim.advance(1ms);
  network.kill(servers[0].address.ip);
  sim.settle();
  EXPECT_THAT(wire.hear(), Not(EndsWith("0\r\n\r\n")));
  wire.hear();
  EXPECT_TRUE(wire.ended());
}

TEST_F(ProxyTest, a_client_that_leaves_cancels_what_it_asked_for) {
  make_servers(1);
  for (const std::string_view path : {"/hang", "/stream"}) {
    http::Wire wire = dial();
    ask(wire, path);
    wire.close();
    // The first piece finds the client gone, the next one the proxy.
    for (int i = 0; i < 2; ++i) {
      sim.advance(1ms);
      servers[0].world->pieces.emplace_back("to nobody");
    }
    sim.advance(1ms);
    servers[0].world->pieces.clear();
  }
  EXPECT_EQ(servers[0].world->cancelled, 2);
  EXPECT_EQ(servers[0].http->connections(), 0U);
}

rt::Task<void> write(net::Stream& stream, std::string bytes) {
  static_cast<void>(co_await net::write_all(stream, bytes));
}

rt::Task<std::string> read_to_end(net::Stream& stream) {
  std::string text;
  std::array<char, 8192> buffer;
  for (;;) {
    const auto count = co_await net::read(stream, buffer);
    if (!count || *count == 0) co_return text;
    text.append(buffer.data(), *count);
  }
}

TEST_F(ProxyTest, large_bodies_go_through_both_ways) {
  make_servers(1);
  constexpr std::size_t kSize = 1 << 20;
  const std::string length = "Content-Length: " + std::to_string(kSize) + "\r\n";
  const auto stream = connect("10.96.0.5:80");
  rt::Scope writer(sim.loop);
  writer.spawn(write(*stream, request("/mirror", "POST", length) + std::string(kSize, 'Z') +
                                  request("/big", "GET", "Connection: close\r\n")));
  const std::string heard = sim.loop.run(read_to_end(*stream));
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(heard, 'Y')), kSize);
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(heard, 'Z')), kSize);
}

TEST_F(ProxyTest, a_client_that_takes_a_moment_to_ask_costs_no_connection_of_its_own) {
  make_servers(1);
  for (int i = 0; i < 5; ++i) {
    http::Wire wire = dial();
    EXPECT_EQ(body_of(ask(wire, "/")), "world-0");
    EXPECT_EQ(servers[0].http->connections(), 1U);
  }
}

TEST_F(ProxyTest, an_upgrade_becomes_a_tunnel) {
  make_servers(1);
  http::Wire wire = dial();
  wire.say(request("/upgrade", "GET", "Connection: Upgrade\r\nUpgrade: echo\r\n") + "early");
  EXPECT_THAT(wire.hear(),
              AllOf(HasSubstr(" 101 "), HasSubstr("Upgrade: echo"), EndsWith("\r\n\r\nearly")));
  wire.say("more");
  EXPECT_EQ(wire.hear(), "more");
  wire.half_close();
  EXPECT_EQ(wire.hear(), "");
  EXPECT_TRUE(wire.ended());
}

TEST_F(ProxyTest, the_host_field_is_the_clients) {
  make_servers(1);
  http::Wire wire = dial();
  ask(wire, "/");
  EXPECT_EQ(servers[0].world->last_host, "world");
  wire.say("GET http://other.example/x HTTP/1.1\r\nHost: world\r\n\r\n");
  EXPECT_EQ(status_of(wire.hear()), "200");
  EXPECT_EQ(servers[0].world->last_host, "other.example");
}

TEST_F(ProxyTest, a_new_snapshot_does_not_cut_a_running_response) {
  make_servers(2);
  http::Wire wire = dial();
  ask(wire, "/stream");
  const std::size_t busy = servers[0].world->requests == 1 ? 0 : 1;
  health_of[servers[busy].address] = mesh::Health::not_ready;
  publish();
  servers[busy].world->pieces.insert(servers[busy].world->pieces.end(), {"still here", ""});
  sim.advance(2ms);
  EXPECT_THAT(wire.hear(), AllOf(HasSubstr("still here"), EndsWith("0\r\n\r\n")));
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(body_of(ask(wire, "/")), "world-" + std::to_string(1 - busy));
  }
}

TEST_F(ProxyTest, leaving_a_pod_drops_its_connections_and_stops_listening) {
  make_servers(1);
  http::Wire wire = dial();
  wire.say(request("/hang"));
  worker.leave(client->uid);
  sim.advance(1ms);
  wire.hear();
  EXPECT_TRUE(wire.ended());
  EXPECT_EQ(servers[0].world->cancelled, 1);
  EXPECT_FALSE(sim.loop.run(network.connect({.to = at("10.96.0.5:80"), .in = client->space})));
}

}  // namespace
}  // namespace tulle::proxy
