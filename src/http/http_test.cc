// Client and server together, over TLS on the kernel's network.
#include "http/client.h"
#include "http/server.h"
#include "net/kernel_network.h"
#include "net/pki.h"
#include "rt/combine.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tulle::http {
namespace {

using namespace std::chrono_literals;

// Says who asked, and then the body that came.
class WhoAsks final : public Handler {
 public:
  rt::Task<void> handle(Request& request, Exchange& exchange) override {
    static_cast<void>(co_await exchange.start({}, Exchange::Flush::with_first_write));
    const std::string who = request.tls_peer != nullptr ? request.tls_peer->common_name : "nobody";
    static_cast<void>(co_await exchange.write(who + ":"));
    for (;;) {
      const auto piece = co_await request.body.read();
      if (!piece) co_return exchange.abort();
      if (piece->empty()) break;
      static_cast<void>(co_await exchange.write(*piece));
    }
    static_cast<void>(co_await exchange.finish());
  }
};

struct Authority {
  Authority() {
    ca = *net::make_certificate_authority(
        {.common_name = "test", .not_before = start, .lifetime = 24h});
    server = *net::issue_certificate(ca, {.common_name = "server",
                                          .dns_names = {"api.test"},
                                          .server = true,
                                          .not_before = start,
                                          .lifetime = 24h});
    client = *net::issue_certificate(
        ca, {.common_name = "alice", .client = true, .not_before = start, .lifetime = 24h});
  }
  WallTime start = std::chrono::system_clock::now() - 1h;
  net::KeyPair ca, server, client;
};

rt::Task<void> call_repeatedly(Client& client, int times, std::size_t size) {
  for (int i = 0; i < times; ++i) {
    const std::string body(size, static_cast<char>('a' + i));
    auto reply = co_await client.post("/", "text/plain", body);
    EXPECT_TRUE(reply.has_value()) << (reply ? "" : reply.error().message);
    if (reply) EXPECT_EQ(reply->body, "alice:" + body);
  }
}

rt::Task<int> run_all(rt::Loop& loop, Server& server, Client& client) {
  {
    rt::Scope calls(loop);
    for (const std::size_t size : {0U, 10U, 100'000U, 1'000'000U}) {
      calls.spawn(call_repeatedly(client, 5, size));
    }
    co_await calls.idle();
  }
  const auto open = static_cast<int>(server.connections());
  co_await server.drain(loop.now() + 10s);
  co_return open;
}

TEST(Http, carries_bodies_of_all_sizes_over_tls_on_the_kernels_network) {
  auto driver = *rt::EpollDriver::create();
  rt::Loop loop(driver);
  net::KernelNetwork network(loop, driver);
  const Authority authority;
  WhoAsks handler;
  auto listener = network.listen({.at = {.ip = IpAddress::v4(127, 0, 0, 1), .port = 0}});
  ASSERT_TRUE(listener.has_value()) << listener.error().message;
  Server::Options options;
  options.tls = *net::TlsContext::server({.certificate_chain_pem = authority.server.certificate_pem,
                                          .private_key_pem = authority.server.private_key_pem,
                                          .client_ca_pem = authority.ca.certificate_pem,
                                          .client_certificate_required = true});
  Server server(loop, *std::move(listener), handler, std::move(options));
  Client client(
      loop, network,
      {.address = server.local_address(),
       .tls = *net::TlsContext::client({.ca_pem = authority.ca.certificate_pem,
                                        .certificate_chain_pem = authority.client.certificate_pem,
                                        .private_key_pem = authority.client.private_key_pem}),
       .server_name = "api.test"});
  EXPECT_EQ(loop.run(run_all(loop, server, client)), 4);
  EXPECT_EQ(server.connections(), 0U);
}

}  // namespace
}  // namespace tulle::http
