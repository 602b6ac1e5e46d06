#include "proxy/recognise.h"
#include "proxy/test_world.h"
#include "proxy/tunnel.h"
#include "rt/combine.h"

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

// What is no HTTP, and who else may call.
class TcpTest : public ProxyTest {
 protected:
  TcpTest() {
    make_servers(2);
    for (std::size_t i = 0; i < servers.size(); ++i) listeners.push_back(listen_raw(i));
  }
  // Where the next connection arrived, and the connection.
  std::pair<std::size_t, http::Wire> arrived() {
    const auto any = [](net::Listener& listener) -> rt::Task<std::unique_ptr<net::Stream>> {
      auto stream = co_await listener.accept();
      co_return *std::move(stream);
    };
    auto first = sim.loop.run(first_of(any(*listeners[0]), any(*listeners[1])));
    return {first.first, http::Wire(sim, std::move(first.second))};
  }
  static rt::Task<std::pair<std::size_t, std::unique_ptr<net::Stream>>> first_of(
      rt::Task<std::unique_ptr<net::Stream>> a, rt::Task<std::unique_ptr<net::Stream>> b) {
    auto outcome = co_await rt::race(std::move(a), std::move(b));
    const std::size_t index = outcome.index();
    co_return std::pair(index, std::visit([](auto& stream) { return std::move(stream); }, outcome));
  }

  std::vector<std::unique_ptr<net::Listener>> listeners;
};

TEST_F(TcpTest, a_server_that_speaks_first_is_heard_without_a_wait) {
  const Instant start = sim.loop.now();
  http::Wire wire = dial();
  auto [index, server] = arrived();
  server.say("220 ready\r\n");
  EXPECT_EQ(wire.hear(), "220 ready\r\n");
  wire.say("HELO\r\n");
  EXPECT_EQ(server.hear(), "HELO\r\n");
  EXPECT_EQ(sim.loop.now(), start);
}

TEST_F(TcpTest, a_client_that_speaks_first_is_carried_byte_for_byte) {
  http::Wire wire = dial();
  wire.say("PING\r\n");
  auto [index, server] = arrived();
  EXPECT_EQ(server.hear(), "PING\r\n");
  server.say("PONG\r\n");
  EXPECT_EQ(wire.hear(), "PONG\r\n");
  wire.close();
  server.hear();
  EXPECT_TRUE(server.ended());
}

TEST_F(TcpTest, where_clients_spoke_first_the_next_one_gets_a_moment_before_anybody_is_dialled) {
  {
    http::Wire wire = dial();
    wire.say("PING\r\n");
    arrived();
  }
  http::Wire wire = dial();
  rt::Scope scope(sim.loop);
  std::optional<http::Wire> server;
  scope.spawn([](http::Sim& on, net::Listener& one, net::Listener& other,
                 std::optional<http::Wire>& came) -> rt::Task<void> {
    auto any = co_await rt::race(one.accept(), other.accept());
    came.emplace(on, std::visit([](auto& stream) { return *std::move(stream); }, any));
  }(sim, *listeners[0], *listeners[1], server));
  sim.advance(kClientPatience - 1ms);
  EXPECT_FALSE(server);
  sim.advance(1ms);
  ASSERT_TRUE(server) << "the server may have come to speak first";
  server->say("220 ready\r\n");
  EXPECT_EQ(wire.hear(), "220 ready\r\n");

  const Instant start = sim.loop.now();
  http::Wire next = dial();
  arrived().second.say("220 ready\r\n");
  EXPECT_EQ(next.hear(), "220 ready\r\n");
  EXPECT_EQ(sim.loop.now(), start) << "and then it is known for that";
}

TEST_F(TcpTest, a_client_that_speaks_within_its_moment_is_not_held_up) {
  for (int i = 0; i < 3; ++i) {
    http::Wire wire = dial();
    const Instant start = sim.loop.now();
    wire.say("PING\r\n");
    EXPECT_EQ(arrived().second.hear(), "PING\r\n");
    EXPECT_EQ(sim.loop.now(), start);
  }
}

TEST_F(TcpTest, connections_are_spread_evenly) {
  std::vector<int> count(2);
  for (int i = 0; i < 10; ++i) {
    http::Wire wire = dial();
    wire.say("PING\r\n");
    ++count[arrived().first];
  }
  EXPECT_THAT(count, ElementsAre(5, 5));
}

TEST_F(TcpTest, the_end_of_one_direction_leaves_the_other) {
  http::Wire wire = dial();
  wire.say("question?");
  auto [index, server] = arrived();
  wire.half_close();
  EXPECT_EQ(server.hear(), "question?");
  EXPECT_TRUE(server.ended());
  server.say("answer");
  EXPECT_EQ(wire.hear(), "answer");
  EXPECT_FALSE(wire.ended());
  server.close();
  wire.hear();
  EXPECT_TRUE(wire.ended());
}

TEST_F(TcpTest, a_refused_endpoint_is_passed_over) {
  listeners[0].reset();
  for (int i = 0; i < 2; ++i) {
    http::Wire wire = dial();
    wire.say("PING\r\n");
    http::Wire server = accept(*listeners[1]);
    EXPECT_EQ(server.hear(), "PING\r\n");
  }
}

TEST_F(TcpTest, an_endpoint_that_ends_before_anybody_spoke_is_not_the_end) {
  http::Wire wire = dial();
  arrived().second.close();
  wire.hear();
  EXPECT_FALSE(wire.ended());
  wire.say("PING\r\n");
  auto [index, server] = arrived();
  EXPECT_EQ(server.hear(), "PING\r\n");
}

TEST_F(TcpTest, nowhere_to_go_resets_the_connection) {
  listeners.clear();
  for (const auto* to : {"10.96.0.5:80", "10.96.0.5:81", "10.244.0.3:8080"}) {
    http::Wire wire = dial(to);
    wire.say("PING\r\n");
    wire.hear();
    EXPECT_TRUE(wire.failed()) << to;
  }
}

TEST_F(TcpTest, a_client_that_waits_for_nobody_to_speak_does_not_wait_for_long) {
  listeners.clear();
  for (const auto* to : {"10.96.0.5:80", "10.96.0.5:81"}) {
    http::Wire wire = dial(to);
    wire.hear();
    EXPECT_FALSE(wire.ended()) << "it may be a client of HTTP, which is told why";
    sim.advance(1s);
    wire.hear();
    EXPECT_TRUE(wire.failed()) << to;
  }
}

TEST_F(TcpTest, a_stream_that_is_cut_does_not_look_complete) {
  http::Wire wire = dial();
  wire.say("SELECT\r\n");
  auto [index, server] = arrived();
  server.say("the first half");
  EXPECT_EQ(wire.hear(), "the first half");
  network.kill(servers[index].address.ip);
  wire.hear();
  EXPECT_TRUE(wire.failed());
}

TEST_F(TcpTest, a_port_said_to_be_tcp_is_not_looked_at) {
  service.ports[0].protocol = mesh::ProtocolHint::tcp;
  publish();
  http::Wire wire = dial();
  wire.say("GET / HTTP/1.1\r\n\r\n");
  auto [index, server] = arrived();
  EXPECT_EQ(server.hear(), "GET / HTTP/1.1\r\n\r\n");
}

TEST_F(TcpTest, a_pods_own_address_leads_to_that_pod_and_shows_the_caller) {
  const auto stream = connect("10.244.0.3:8080");
  const auto accepted = sim.loop.run(listeners[1]->accept());
  ASSERT_TRUE(accepted);
  EXPECT_EQ((*accepted)->peer_address().ip, client->address);
  const std::string_view bytes = "GET / HTTP/1.1\r\n\r\n";
  ASSERT_TRUE(stream->try_write(std::span(&bytes, 1)));
  http::Wire server(
      sim, sim.loop.run(network.connect({.to = servers[0].address, .in = servers[0].pod->space}))
               .value());
  sim.settle();
  std::array<char, 64> buffer;
  const auto attempt = (*accepted)->try_read(buffer);
  ASSERT_TRUE(attempt && *attempt);
  EXPECT_EQ(std::string_view(buffer.data(), **attempt), bytes);
}

TEST_F(TcpTest, an_address_outside_is_dialled_from_the_host) {
  const auto outside = network.listen({.at = at("93.184.216.34:443")});
  ASSERT_TRUE(outside);
  http::Wire wire = dial("93.184.216.34:443");
  http::Wire server = accept(**outside);
  server.say("hello");
  EXPECT_EQ(wire.hear(), "hello");
}

class FrontDoorTest : public ProxyTest {
 protected:
  FrontDoorTest() {
    service.type = mesh::ServiceType::node_port;
    service.ports[0].node_port = 30080;
    make_servers(2);
    auto ingress = std::make_shared<mesh::IngressTable>();
    ingress->add({.ingress = "default/web",
                  .host = "shop.example",
                  .path = "/api",
                  .backend = {.service = {"default", "world"}, .port_number = 80}});
    ingress->add({.ingress = "default/web",
                  .host = "shop.example",
                  .path = "/gone",
                  .backend = {.service = {"default", "nobody"}, .port_number = 80}});
    builder.set_ingress(std::move(ingress));
    publish();
  }
  http::Wire dial_host(std::string_view to) {
    return {sim, sim.loop.run(network.connect({.to = at(to)})).value()};
  }
  std::string ask_ingress(std::string_view host, std::string_view path) {
    http::Wire wire = dial_host("127.0.0.1:8080");
    wire.say("GET " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n");
    return wire.hear();
  }
};

TEST_F(FrontDoorTest, a_node_port_leads_to_its_service) {
  http::Wire wire = dial_host("127.0.0.1:30080");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(status_of(ask(wire, "/")), "200");
  EXPECT_THAT(counts(), ElementsAre(5, 5));
}

TEST_F(FrontDoorTest, ingress_goes_by_host_and_path) {
  EXPECT_EQ(status_of(ask_ingress("shop.example", "/api/x")), "200");
  EXPECT_EQ(status_of(ask_ingress("SHOP.example:8080", "/api")), "200");
  EXPECT_EQ(status_of(ask_ingress("shop.example", "/apix")), "404");
  EXPECT_EQ(status_of(ask_ingress("other.example", "/api")), "404");
  EXPECT_EQ(status_of(ask_ingress("shop.example", "/gone")), "503");
}

TEST_F(FrontDoorTest, a_door_closes_with_its_service_and_its_connections_go_on) {
  http::Wire wire = dial_host("127.0.0.1:30080");
  ask(wire, "/stream");
  const std::size_t busy = servers[0].world->requests == 1 ? 0 : 1;
  service.ports[0].node_port = 0;
  publish();
  EXPECT_FALSE(sim.loop.run(network.connect({.to = at("127.0.0.1:30080")})));
  servers[busy].world->pieces.insert(servers[busy].world->pieces.end(), {"on", ""});
  sim.advance(2ms);
  EXPECT_THAT(wire.hear(), testing::EndsWith("0\r\n\r\n"));
}

TEST_F(FrontDoorTest, a_taken_port_is_tried_again) {
  auto other = network.listen({.at = at("127.0.0.1:30081")});
  ASSERT_TRUE(other);
  service.ports[0].node_port = 30081;
  publish();
  other->reset();
  sim.advance(1s);
  http::Wire wire = dial_host("127.0.0.1:30081");
  EXPECT_EQ(status_of(ask(wire, "/")), "200");
}

TEST_F(FrontDoorTest, the_health_check_port_says_how_many_endpoints_of_this_node_take_requests) {
  service.external_local = true;
  service.health_check_node_port = 30099;
  publish();
  const auto ask_health = [this] {
    http::Wire wire = dial_host("127.0.0.1:30099");
    return ask(wire, "/healthz");
  };
  const std::string answer = ask_health();
  EXPECT_EQ(status_of(answer), "200");
  EXPECT_THAT(answer, testing::HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(answer, testing::HasSubstr("X-Load-Balancing-Endpoint-Weight: 2\r\n"));
  EXPECT_EQ(body_of(answer), R"({
	"service": {
		"namespace": "default",
		"name": "world"
	},
	"localEndpoints": 2,
	"serviceProxyHealthy": true
})");

  health_of[servers[0].address] = mesh::Health::draining;
  publish();
  EXPECT_THAT(ask_health(), testing::HasSubstr("\"localEndpoints\": 1,"));
  const auto* port = builder.build()
                         ->service(mesh::ObjectNameView{"default", "world"})
                         ->find_port(80, mesh::Transport::tcp);
  port->find_pickable(servers[1].address)->state->drain = mesh::Drain::avoided;
  const std::string none = ask_health();
  EXPECT_EQ(status_of(none), "503") << "it is about to stop";
  EXPECT_THAT(none, testing::HasSubstr("\"localEndpoints\": 0,"));

  service.health_check_node_port = 0;
  publish();
  EXPECT_FALSE(sim.loop.run(network.connect({.to = at("127.0.0.1:30099")})));
}

TEST_F(FrontDoorTest, what_is_not_on_this_node_does_not_count_for_its_health) {
  mesh::Service far = mesh::testing::service("far", "10.96.0.6", {{"10.244.9.9:80"}});
  far.external_local = true;
  far.health_check_node_port = 30098;
  builder.put(std::move(far));
  publish();
  http::Wire wire = dial_host("127.0.0.1:30098");
  EXPECT_EQ(status_of(ask(wire, "/")), "503");
}

// Always has something to read and always takes what is written, up to an end.
class Torrent final : public net::Stream {
 public:
  explicit Torrent(int reads) : reads_left_(reads) {}
  net::Attempt try_read(std::span<char> buffer) override {
    if (reads_left_ == 0) return Result<std::size_t>(0UL);
    --reads_left_;
    return Result<std::size_t>(buffer.size());
  }
  net::Attempt try_write(std::span<const std::string_view> pieces) override {
    std::size_t size = 0;
    for (const std::string_view piece : pieces) size += piece.size();
    return Result<std::size_t>(size);
  }
  void wait(net::Interest, rt::Runnable&) override { ADD_FAILURE() << "it never blocks"; }
  Result<void> shutdown_write() override { return {}; }
  SocketAddress local_address() const override { return {}; }
  SocketAddress peer_address() const override { return {}; }
  int reads_left() const { return reads_left_; }

 private:
  int reads_left_;
};

TEST(Tunnel, a_stream_that_never_waits_does_not_keep_the_others_waiting) {
  http::Sim sim;
  Torrent down(1000);
  Torrent up(0);
  const auto carry = [](rt::Loop& loop, Torrent& a, Torrent& b) -> rt::Task<void> {
    EXPECT_TRUE((co_await tunnel(loop, a, b)).outcome);
  };
  rt::Scope scope(sim.loop);
  scope.spawn(carry(sim.loop, down, up));
  for (int turn = 1; turn < 10; ++turn) {
    sim.loop.turn_once();
    EXPECT_GE(down.reads_left(), 1000 - turn * 16);
    EXPECT_GT(down.reads_left(), 0);
  }
  sim.settle();
  EXPECT_EQ(down.reads_left(), 0);
}

}  // namespace
}  // namespace tulle::proxy
