// TLS at the Ingress: ended here by server name, or passed through.
#include "net/tls.h"
#include "mesh/ingress_table.h"
#include "mesh/tls_table.h"
#include "net/pki.h"
#include "proxy/connection.h"
#include "proxy/test_world.h"
#include "rt/combine.h"

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class TlsTest : public ProxyTest {
 protected:
  TlsTest() {
    make_servers(1);
    const WallTime now{};
    authority = *net::make_certificate_authority(
        {.common_name = "authority", .not_before = now, .lifetime = 24h * 365 * 100});
    auto rules = std::make_shared<mesh::IngressTable>();
    const mesh::IngressBackend world{.service = {"default", "world"}, .port_number = 80};
    EXPECT_TRUE(rules->set_default("default/i", world));
    builder.set_ingress(std::move(rules));
    serve({{"shop.example", {.ingress = "default/i", .certificate = issue("shop.example")}},
           {"raw.example", {.ingress = "default/i", .backend = world}},
           {"bad.example",
            {.ingress = "default/i",
             .certificate = std::make_shared<const mesh::Certificate>("default/bad", "x", "y")}}});
  }

  std::shared_ptr<const mesh::Certificate> issue(const std::string& name) {
    const auto pair = *net::issue_certificate(authority, {.common_name = name,
                                                          .dns_names = {name},
                                                          .server = true,
                                                          .not_before = WallTime{},
                                                          .lifetime = 24h * 365 * 100});
    return std::make_shared<const mesh::Certificate>("default/" + name, pair.certificate_pem,
                                                     pair.private_key_pem);
  }
  void serve(std::map<std::string, mesh::TlsHost> hosts) {
    auto table = std::make_shared<mesh::TlsTable>();
    for (auto& [name, host] : hosts) table->add(name, std::move(host));
    builder.set_tls(std::move(table));
    publish();
  }
  std::unique_ptr<net::Stream> dial_tls_port() {
    return sim.loop.run(network.connect({.to = at("127.0.0.1:8443")})).value();
  }
  Result<std::unique_ptr<net::TlsStream>> handshake(const std::string& name,
                                                    std::vector<std::string> alpn = {}) {
    const auto context =
        *net::TlsContext::client({.ca_pem = authority.certificate_pem, .alpn = std::move(alpn)});
    return sim.loop.run(
        rt::with_deadline(sim.loop, sim.loop.now() + 30s,
                          net::tls_connect(sim.loop, dial_tls_port(), context, name)));
  }

  net::KeyPair authority;
};

TEST_F(TlsTest, ends_here_with_the_certificate_of_the_name_and_serves_http) {
  auto stream = handshake("shop.example", {"http/1.1"});
  ASSERT_TRUE(stream) << stream.error().message;
  EXPECT_EQ((*stream)->alpn(), "http/1.1");
  http::Wire wire(sim, *std::move(stream));
  EXPECT_EQ(body_of(ask(wire, "/")), "world-0");
  EXPECT_EQ(servers[0].world->last_headers.get("X-Forwarded-Proto"), "https");
}

TEST_F(TlsTest, http2_is_preferred) {
  const auto stream = handshake("shop.example", {"http/1.1", "h2"});
  ASSERT_TRUE(stream);
  EXPECT_EQ((*stream)->alpn(), "h2");
}

TEST_F(TlsTest, a_new_certificate_is_for_new_connections_and_ends_none) {
  auto before = handshake("shop.example");
  ASSERT_TRUE(before);
  http::Wire wire(sim, *std::move(before));
  serve({{"other.example", {.certificate = issue("other.example")}}});
  EXPECT_EQ(body_of(ask(wire, "/")), "world-0");
  EXPECT_TRUE(handshake("other.example"));
  EXPECT_FALSE(handshake("shop.example"));
}

TEST_F(TlsTest, a_name_that_nobody_has_or_without_a_good_certificate_is_refused_by_an_alert) {
  for (const std::string name : {"nobody.example", "bad.example"}) {
    const auto stream = handshake(name);
    ASSERT_FALSE(stream);
    EXPECT_THAT(stream.error().message, HasSubstr("unrecognized name")) << name;
  }
}

TEST_F(TlsTest, is_passed_through_byte_for_byte) {
  const auto listener = listen_raw(0);
  auto client = dial_tls_port();
  const auto context = *net::TlsContext::client({.verify_peer = false});
  const auto connecting = [](rt::Loop& loop, std::unique_ptr<net::Stream> inner,
                             std::shared_ptr<const net::TlsContext> with) -> rt::Task<void> {
    (void)co_await net::tls_connect(loop, std::move(inner), std::move(with), "raw.example");
  };
  rt::Scope scope(sim.loop);
  scope.spawn(connecting(sim.loop, std::move(client), context));
  http::Wire server = accept(*listener);
  const std::string hello = server.hear();
  EXPECT_EQ(hello.substr(0, 2), "\x16\x03");
  EXPECT_THAT(hello, HasSubstr("raw.example"));
}

TEST_F(TlsTest, who_speaks_plain_http_is_told_and_who_says_nothing_is_not_waited_for) {
  http::Wire wire(sim, dial_tls_port());
  wire.say(request("/"));
  EXPECT_THAT(wire.hear(), HasSubstr("this port speaks HTTPS"));
  http::Wire silent(sim, dial_tls_port());
  silent.say("\x16\x03\x01");
  sim.advance(kTlsHandshakeTimeout);
  silent.hear();
  EXPECT_TRUE(silent.ended());
}

TEST_F(TlsTest, without_any_tls_the_port_is_closed) {
  serve({});
  EXPECT_FALSE(sim.loop.run(network.connect({.to = at("127.0.0.1:8443")})));
}

}  // namespace
}  // namespace tulle::proxy
