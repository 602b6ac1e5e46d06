#include "proxy/health_checker.h"

#include "http/server.h"
#include "http/test_wire.h"
#include "mesh/mesh_test_util.h"
#include "mesh/pick.h"

#include <gtest/gtest.h>

#include <array>

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using mesh::HealthCheck;
using mesh::testing::at;

// A server that is well or not, over HTTP and as gRPC has it.
class Patient final : public http::Handler {
 public:
  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override {
    ++asked;
    last = request.head;
    if (request.head.method == "POST") return serve_grpc(request, exchange);
    return send(exchange, {.status = well ? 204 : 500});
  }

  bool well = true;
  int asked = 0;
  codec::RequestHead last;
  std::string grpc_request;

 private:
  static rt::Task<void> send(http::Exchange& exchange, codec::ResponseHead head) {
    static_cast<void>(co_await exchange.send(head, ""));
  }
  rt::Task<void> serve_grpc(http::Request& request, http::Exchange& exchange) {
    auto body = co_await http::read_all(request.body, 1000);
    grpc_request = body ? *body : "";
    const char status = well ? '\1' : '\2';
    const std::string answer = std::string("\0\0\0\0\2\x08", 6) + status;
    const codec::Headers trailers{{"grpc-status", "0"}};
    static_cast<void>(co_await exchange.start({.headers = {{"Content-Type", "application/grpc"}}}));
    static_cast<void>(co_await exchange.write(answer));
    static_cast<void>(co_await exchange.finish(&trailers));
  }
};

// Service world with endpoints 127.0.0.1:81 and :82, of which the first is the patient.
class HealthTest : public testing::Test {
 protected:
  HealthTest() { listen(); }

  void listen() {
    auto listener = network.listen({.at = at("127.0.0.1:81")});
    server = std::make_unique<http::Server>(sim.loop, *std::move(listener), patient,
                                            http::Server::Options());
  }
  void check_by(std::optional<HealthCheck> check, std::string workload = "") {
    mesh::Service world = mesh::testing::service(
        "world", "10.96.0.7", {{.address = "127.0.0.1:81"}, {.address = "127.0.0.1:82"}});
    for (mesh::Endpoint& endpoint : world.ports[0].endpoints) {
      if (!workload.empty()) endpoint.workload = {"default", workload};
    }
    mesh::Policy policy;
    policy.outlier.panic_percent = 0;
    policy.health_check = std::move(check);
    policy.proxy_protocol = proxy_protocol;
    world.policy = std::make_shared<const mesh::Policy>(policy);
    builder.put(std::move(world));
    snapshot = builder.build();
    checker.follow(*snapshot);
  }
  const mesh::Service& world() const {
    return *snapshot->service(mesh::ObjectNameView{"default", "world"});
  }
  mesh::Candidacy first() {
    return mesh::candidacies(world(), world().ports[0], {}, sim.loop.now(), random)[0];
  }
  static HealthCheck http_check() {
    return {.type = HealthCheck::Type::http, .path = "/up", .interval = 1s, .timeout = 100ms};
  }

  http::Sim sim;
  net::MemoryNetwork network{sim.loop, Random(1)};
  Patient patient;
  std::unique_ptr<http::Server> server;
  mesh::SnapshotBuilder builder;
  mesh::SnapshotPtr snapshot;
  Random random{2};
  mesh::ProxyProtocol proxy_protocol;
  HealthChecker checker{sim.loop, network, Random(3)};
};

TEST_F(HealthTest, an_endpoint_is_left_out_after_failures_in_a_row_until_it_is_well_again) {
  check_by(http_check());
  sim.advance(5s);
  EXPECT_EQ(first(), mesh::Candidacy::may_be_picked);
  EXPECT_EQ(patient.last.target, "/up");
  patient.well = false;
  sim.advance(1s + 900ms);
  EXPECT_EQ(first(), mesh::Candidacy::may_be_picked) << "once or twice is nothing yet";
  sim.advance(2s);
  EXPECT_EQ(first(), mesh::Candidacy::unhealthy);
  patient.well = true;
  sim.advance(900ms);
  EXPECT_EQ(first(), mesh::Candidacy::unhealthy);
  sim.advance(2s);
  EXPECT_EQ(first(), mesh::Candidacy::may_be_picked);
}

TEST_F(HealthTest, an_answer_that_does_not_come_in_time_is_a_failure) {
  HealthCheck check = http_check();
  server.reset();
  const auto silent = *network.listen({.at = at("127.0.0.1:81")});
  check_by(check);
  sim.advance(5s);
  EXPECT_EQ(first(), mesh::Candidacy::unhealthy);
}

TEST_F(HealthTest, tcp_asks_only_for_a_connection) {
  check_by(HealthCheck{.type = HealthCheck::Type::tcp, .interval = 1s});
  patient.well = false;
  sim.advance(10s);
  EXPECT_EQ(first(), mesh::Candidacy::may_be_picked);
  server.reset();
  sim.advance(4s);
  EXPECT_EQ(first(), mesh::Candidacy::unhealthy);
}

TEST_F(HealthTest, where_endpoints_expect_it_the_check_says_that_it_is_the_proxys_own) {
  server.reset();
  const auto listener = *network.listen({.at = at("127.0.0.1:81")});
  proxy_protocol.send = codec::ProxyVersion::v2;
  check_by(http_check());
  http::Wire wire(sim, sim.loop.run(listener->accept()).value());
  const std::string own = codec::encode_proxy_header(codec::ProxyVersion::v2, {});
  EXPECT_EQ(wire.hear().substr(0, own.size() + 7), own + "GET /up");
}

TEST_F(HealthTest, grpc_asks_for_the_service_by_name) {
  check_by(HealthCheck{.type = HealthCheck::Type::grpc, .service = "shop", .interval = 1s});
  sim.advance(5s);
  EXPECT_EQ(first(), mesh::Candidacy::may_be_picked);
  EXPECT_EQ(patient.last.target, "/grpc.health.v1.Health/Check");
  EXPECT_EQ(patient.grpc_request, std::string("\0\0\0\0\x06\x0a\x04shop", 11));
  patient.well = false;
  sim.advance(5s);
  EXPECT_EQ(first(), mesh::Candidacy::unhealthy);
}

TEST_F(HealthTest, pods_are_not_asked_and_nobody_is_without_a_policy) {
  check_by(http_check(), "world-1");
  EXPECT_EQ(checker.checked(), 0U);
  check_by(http_check());
  EXPECT_EQ(checker.checked(), 2U);
  patient.well = false;
  sim.advance(5s);
  EXPECT_EQ(first(), mesh::Candidacy::unhealthy);
  check_by(std::nullopt);
  EXPECT_EQ(checker.checked(), 0U);
  EXPECT_EQ(first(), mesh::Candidacy::may_be_picked);
  const int before = patient.asked;
  sim.advance(1min);
  EXPECT_EQ(patient.asked, before);
}

TEST_F(HealthTest, a_change_of_the_snapshot_begins_no_check_anew) {
  check_by(http_check());
  sim.advance(100ms);
  for (int i = 0; i < 20; ++i) {
    check_by(http_check());
    sim.advance(10ms);
  }
  EXPECT_EQ(patient.asked, 1);
}

}  // namespace
}  // namespace tulle::proxy
