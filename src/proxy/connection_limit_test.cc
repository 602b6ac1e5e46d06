// What a policy does to the connections of an endpoint: so many, and a bounded wait for one.
#include "proxy/test_world.h"

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class ConnectionLimitTest : public ProxyTest {
 protected:
  ConnectionLimitTest() {
    network.redirect("other", {.ip = IpAddress::v4(127, 0, 0, 1), .port = kCapturePort});
    other = make_pod("other", "10.244.0.101");
    publish_pods();
    // Nothing is dialled for the case that the server speaks first.
    service.ports[0].protocol = mesh::ProtocolHint::http;
  }

  void limit(std::uint32_t connections, std::uint32_t pending = 0, Duration patience = 1s) {
    mesh::Policy policy;
    policy.circuit_breaking = {.connections_per_endpoint_max = connections,
                               .pending_max = pending,
                               .pending_timeout = patience};
    set_policy(policy);
  }
  http::Wire dial_from(const std::shared_ptr<Pod>& pod) {
    http::Wire wire(
        sim, sim.loop.run(network.connect({.to = at("10.96.0.5:80"), .in = pod->space})).value());
    sim.settle();
    return wire;
  }
  std::string shed() {
    const std::string all = registry.exposition();
    const std::string_view name = "\ntulle_requests_shed_total{service=\"default/world\"";
    const auto found = all.find(name);
    if (found == std::string::npos) return "0";
    const auto from = all.find(' ', found) + 1;
    return all.substr(from, all.find('\n', from) - from);
  }

  std::shared_ptr<Pod> other;
};

TEST_F(ConnectionLimitTest, an_idle_connection_of_one_caller_makes_room_for_another) {
  make_servers(1);
  limit(1);
  ASSERT_TRUE(worker.listen_in(other));
  for (int i = 0; i < 3; ++i) {
    for (const auto& caller : {client, other}) {
      http::Wire wire = dial_from(caller);
      EXPECT_EQ(body_of(ask(wire, "/")), "world-0");
      EXPECT_EQ(servers[0].http->connections(), 1U);
    }
  }
  EXPECT_EQ(shed(), "0");
}

TEST_F(ConnectionLimitTest, an_idle_connection_of_another_worker_makes_room_too) {
  make_servers(1);
  limit(1);
  Worker second(sim.loop, network, Random(5), metrics, {});
  second.set_pods(std::make_shared<PodTable>(*pods));
  const auto snapshot = builder.build();
  worker.set_snapshot(snapshot);
  second.set_snapshot(snapshot);
  ASSERT_TRUE(second.listen_in(other));
  for (int i = 0; i < 3; ++i) {
    for (const auto& caller : {client, other}) {
      http::Wire wire = dial_from(caller);
      EXPECT_EQ(body_of(ask(wire, "/")), "world-0");
      EXPECT_EQ(servers[0].http->connections(), 1U);
    }
  }
}

TEST_F(ConnectionLimitTest, who_waits_gets_the_connection_that_another_request_leaves) {
  make_servers(1);
  limit(1);
  auto listener = listen_raw(0);
  http::Wire first = dial();
  http::Wire second = dial();
  first.say(request("/first"));
  second.say(request("/second"));
  http::Wire server = accept(*listener);
  listener.reset();  // there is no other
  EXPECT_THAT(server.hear(), HasSubstr("GET /first"));
  server.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
  EXPECT_EQ(body_of(first.hear()), "one");
  EXPECT_THAT(server.hear(), HasSubstr("GET /second"));
  server.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo");
  EXPECT_EQ(body_of(second.hear()), "two");
}

TEST_F(ConnectionLimitTest, who_waits_too_long_is_told_and_the_endpoint_is_not_blamed) {
  make_servers(1);
  limit(1);
  http::Wire hanging = dial();
  hanging.say(request("/hang"));
  http::Wire wire = dial();
  wire.say(request("/"));
  EXPECT_EQ(wire.hear(), "");
  sim.advance(999ms);
  EXPECT_EQ(wire.hear(), "");
  sim.advance(1ms);
  const std::string answer = wire.hear();
  EXPECT_EQ(status_of(answer), "503");
  EXPECT_EQ(body_of(answer),
            "endpoint 10.244.0.2:8080 has as many connections as its policy allows\n");
  EXPECT_EQ(shed(), "1");
  for (int i = 0; i < 10; ++i) {
    wire.say(request("/"));
    sim.advance(1s);
    EXPECT_THAT(wire.hear(), HasSubstr("as many connections as its policy allows"));
  }
  hanging.close();
  EXPECT_EQ(body_of(ask(wire, "/")), "world-0");
}

TEST_F(ConnectionLimitTest, so_many_wait_and_no_more) {
  make_servers(1);
  limit(2, 3);
  std::vector<http::Wire> wires;
  for (int i = 0; i < 6; ++i) {
    wires.push_back(dial());
    wires.back().say(request(i < 2 ? "/hang" : "/"));
  }
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(wires[i].hear(), "") << i;
  EXPECT_EQ(status_of(wires[5].hear()), "503") << "at once";
  wires[0].close();
  for (std::size_t i = 2; i < 5; ++i) EXPECT_EQ(body_of(wires[i].hear()), "world-0") << i;
  EXPECT_EQ(servers[0].http->connections(), 2U);
}

TEST_F(ConnectionLimitTest, of_two_callers_whoever_came_first_is_next) {
  make_servers(1);
  limit(1);
  ASSERT_TRUE(worker.listen_in(other));
  auto listener = listen_raw(0);
  http::Wire first = dial_from(client);
  first.say(request("/first"));
  http::Wire server = accept(*listener);
  EXPECT_THAT(server.hear(), HasSubstr("GET /first"));
  http::Wire stranger = dial_from(other);
  stranger.say(request("/stranger"));
  sim.advance(10ms);
  http::Wire late = dial_from(client);
  late.say(request("/late"));
  server.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
  server.hear();
  EXPECT_TRUE(server.ended()) << "what one caller sent is never mistaken for another's";
  http::Wire next = accept(*listener);
  EXPECT_THAT(next.hear(), HasSubstr("GET /stranger"));
}

TEST_F(ConnectionLimitTest, tcp_connections_have_places_too) {
  make_servers(1);
  service.ports[0].protocol = mesh::ProtocolHint::tcp;
  limit(1);
  auto listener = listen_raw(0);
  http::Wire first = dial();
  http::Wire server = accept(*listener);
  first.say("PING");
  EXPECT_EQ(server.hear(), "PING");
  http::Wire second = dial();
  sim.advance(1s);
  second.hear();
  EXPECT_TRUE(second.ended());
  EXPECT_EQ(shed(), "1");
  http::Wire third = dial();
  third.say("PONG");
  first.close();
  server.close();
  http::Wire next = accept(*listener);
  EXPECT_EQ(next.hear(), "PONG");
}

TEST_F(ConnectionLimitTest, streams_of_http2_share_a_place_and_leave_it_when_it_is_wanted) {
  service.ports[0].protocol = mesh::ProtocolHint::http2;
  make_servers(1);
  limit(1, 0, 10s);
  ASSERT_TRUE(worker.listen_in(other));
  http::Wire hanging = dial_from(client);
  hanging.say(request("/hang"));
  http::Wire beside = dial_from(client);
  EXPECT_EQ(body_of(ask(beside, "/")), "world-0");
  http::Wire stranger = dial_from(other);
  stranger.say(request("/"));
  EXPECT_EQ(stranger.hear(), "");
  hanging.close();
  sim.advance(6s);  // its client may have ended its direction only
  EXPECT_EQ(body_of(stranger.hear()), "world-0") << "nothing is under way on the other now";
  EXPECT_EQ(servers[0].http->connections(), 1U);
  EXPECT_EQ(body_of(ask(beside, "/")), "world-0");
  EXPECT_EQ(servers[0].http->connections(), 1U);
}

TEST_F(ConnectionLimitTest, a_raised_limit_lets_in_those_who_wait_and_none_lifts_it) {
  make_servers(1);
  limit(1);
  http::Wire hanging = dial();
  hanging.say(request("/hang"));
  http::Wire waiting = dial();
  waiting.say(request("/"));
  EXPECT_EQ(waiting.hear(), "");
  limit(5);
  http::Wire next = dial();
  EXPECT_EQ(body_of(ask(next, "/")), "world-0");
  EXPECT_EQ(body_of(waiting.hear()), "world-0");
  set_policy({});
  std::vector<http::Wire> wires;
  for (int i = 0; i < 10; ++i) {
    wires.push_back(dial());
    wires.back().say(request("/hang"));
  }
  EXPECT_GE(servers[0].http->connections(), 11U);
}

}  // namespace
}  // namespace tulle::proxy
