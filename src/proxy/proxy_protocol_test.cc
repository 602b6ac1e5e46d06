// The PROXY protocol, in at the front doors and out to the endpoints.
#include "proxy/test_world.h"

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using codec::encode_proxy_header;
using codec::ProxiedAddresses;
using codec::ProxyVersion;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ProxyProtocolTest : public ProxyTest {
 protected:
  void serve(mesh::ProxyProtocol protocol) {
    service.type = mesh::ServiceType::node_port;
    service.ports[0].node_port = 30080;
    mesh::Policy policy;
    policy.proxy_protocol = protocol;
    service.policy = std::make_shared<const mesh::Policy>(std::move(policy));
    auto table = std::make_shared<mesh::IngressTable>();
    EXPECT_TRUE(
        table->set_default("default/i", {.service = {"default", "world"}, .port_number = 80}));
    builder.set_ingress(std::move(table));
    make_servers(1);
  }
  http::Wire dial_host(std::string_view to = "127.0.0.1:30080") {
    http::Wire wire(sim, sim.loop.run(network.connect({.to = at(to)})).value());
    sim.settle();
    return wire;
  }
  bool has_come(net::Listener& listener) {
    auto outcome =
        sim.loop.run(rt::with_deadline(sim.loop, sim.loop.now() + 1s, listener.accept()));
    return outcome.has_value();
  }

  const ProxiedAddresses told{.source = at("203.0.113.7:50000"),
                              .destination = at("198.51.100.1:443")};
};

TEST_F(ProxyProtocolTest, a_header_that_comes_in_goes_out_in_the_version_asked_for) {
  serve({.accept = true, .send = ProxyVersion::v2});
  const auto listener = listen_raw(0);
  for (const ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2}) {
    http::Wire wire = dial_host();
    wire.say_byte_by_byte(encode_proxy_header(version, told) + "PING\r\n");
    http::Wire server = accept(*listener);
    EXPECT_EQ(server.hear(), encode_proxy_header(ProxyVersion::v2, told) + "PING\r\n");
    server.say("PONG\r\n");
    EXPECT_EQ(wire.hear(), "PONG\r\n");
  }
}

TEST_F(ProxyProtocolTest, what_a_pod_dials_is_announced_and_has_no_header_itself) {
  serve({.accept = true, .send = ProxyVersion::v1});
  const auto listener = listen_raw(0);
  http::Wire wire = dial();
  wire.say("PING\r\n");
  http::Wire server = accept(*listener);
  const std::string heard = server.hear();
  EXPECT_THAT(heard, StartsWith("PROXY TCP4 10.244.0.100 10.96.0.5 "));
  EXPECT_THAT(heard, HasSubstr(" 80\r\nPING\r\n"));
}

TEST_F(ProxyProtocolTest, a_server_that_speaks_first_has_the_header_first) {
  serve({.send = ProxyVersion::v1});
  const auto listener = listen_raw(0);
  http::Wire wire = dial();
  http::Wire server = accept(*listener);
  EXPECT_THAT(server.hear(), StartsWith("PROXY TCP4 10.244.0.100 "));
  server.say("220 ready\r\n");
  EXPECT_EQ(wire.hear(), "220 ready\r\n");
}

TEST_F(ProxyProtocolTest, without_its_header_a_connection_is_closed_and_reaches_nobody) {
  serve({.accept = true});
  for (const std::string_view bytes :
       {"GET / HTTP/1.1\r\nHost: world\r\n\r\n", "PROXY TCP4 1.2.3.4 nowhere 1 2\r\nPING\r\n"}) {
    http::Wire wire = dial_host();
    wire.say(bytes);
    EXPECT_EQ(wire.hear(), "");
    EXPECT_TRUE(wire.ended());
  }
  http::Wire silent = dial_host();
  silent.say("PROXY TCP4 ");
  sim.advance(4s);
  silent.hear();
  EXPECT_FALSE(silent.ended());
  sim.advance(2s);
  silent.hear();
  EXPECT_TRUE(silent.ended());
  EXPECT_EQ(servers[0].world->requests, 0);
}

TEST_F(ProxyProtocolTest, the_balancers_own_connection_keeps_its_addresses) {
  serve({.accept = true, .send = ProxyVersion::v1});
  const auto listener = listen_raw(0);
  http::Wire wire = dial_host();
  wire.say(encode_proxy_header(ProxyVersion::v2, {}) + "PING\r\n");
  http::Wire server = accept(*listener);
  EXPECT_THAT(server.hear(), HasSubstr(" 127.0.0.1 "));
}

TEST_F(ProxyProtocolTest, clients_of_http_share_no_announced_connection) {
  serve({.send = ProxyVersion::v1});
  const auto listener = listen_raw(0);
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  http::Wire first = dial();
  first.say(request("/1"));
  http::Wire server = accept(*listener);
  EXPECT_THAT(server.hear(),
              testing::MatchesRegex("PROXY TCP4 10\\.244\\.0\\.100 .*\r\nGET /1 .*"));
  server.say(answer);
  EXPECT_EQ(body_of(first.hear()), "ok");
  first.say(request("/2"));
  EXPECT_THAT(server.hear(), StartsWith("GET /2 ")) << "the same client, the same connection";
  server.say(answer);
  EXPECT_EQ(body_of(first.hear()), "ok");

  http::Wire second = dial();
  second.say(request("/3"));
  http::Wire other = accept(*listener);
  EXPECT_THAT(other.hear(), HasSubstr("GET /3 "));
  first.close();
  server.hear();
  EXPECT_TRUE(server.ended()) << "it is of no use to anybody else";
  EXPECT_FALSE(other.ended());
}

TEST_F(ProxyProtocolTest, the_ingress_believes_the_header_but_explains_nothing_to_it) {
  serve({});
  constexpr SocketAddress ingress{.ip = IpAddress::v4(127, 0, 0, 1), .port = 9080};
  Worker behind(
      sim.loop, network, Random(3), metrics,
      {.front_door = {.node_addresses = {}, .ingress = ingress, .ingress_proxy_protocol = true}});
  behind.open_front_door();
  behind.set_pods(std::make_shared<PodTable>(*pods));
  behind.set_snapshot(builder.build());
  http::Wire wire = dial_host("127.0.0.1:9080");
  wire.say(encode_proxy_header(
               ProxyVersion::v1,
               ProxiedAddresses{.source = at("127.0.0.1:4"), .destination = at("127.0.0.1:80")}) +
           request("/", "GET", "x-tulle-explain: 1\r\n"));
  std::string heard = wire.hear();
  EXPECT_EQ(status_of(heard), "200");
  EXPECT_THAT(heard, Not(HasSubstr("x-tulle-explain")));
  http::Wire client_wire = dial_host("127.0.0.1:9080");
  client_wire.say(encode_proxy_header(ProxyVersion::v2, told) + request("/"));
  EXPECT_EQ(status_of(client_wire.hear()), "200");
  EXPECT_EQ(servers[0].world->last_headers.get("X-Forwarded-For"), "203.0.113.7");
  http::Wire bare = dial_host("127.0.0.1:9080");
  bare.say(request("/"));
  bare.hear();
  EXPECT_TRUE(bare.ended());
}

}  // namespace
}  // namespace tulle::proxy
