#include "http/grpc_health.h"

#include "http/server.h"
#include "http/test_wire.h"

#include <gtest/gtest.h>

#include <optional>

namespace tulle::http {
namespace {

const SocketAddress kServer{.ip = IpAddress::v4(127, 0, 0, 1), .port = 50051};

// Answers every request alike, and keeps what it was asked.
class Doctor final : public Handler {
 public:
  rt::Task<void> handle(Request& request, Exchange& exchange) override {
    asked = request.head;
    asked_message = (co_await read_all(request.body, 1000)).value_or("");
    static_cast<void>(co_await exchange.start(head));
    static_cast<void>(co_await exchange.write(message));
    static_cast<void>(co_await exchange.finish(&trailers));
  }

  codec::ResponseHead head{.headers = {{"Content-Type", "application/grpc"}}};
  std::string message;
  codec::Headers trailers;
  codec::RequestHead asked;
  std::string asked_message;
};

class GrpcHealth : public testing::Test {
 protected:
  GrpcHealth() : server(sim.loop, *network.listen({.at = kServer}), doctor, Server::Options()) {}

  static rt::Task<void> run(GrpcHealth& test, std::string service) {
    auto stream = co_await test.network.connect({.to = kServer});
    test.outcome = co_await check_grpc_health(
        test.sim.loop, *std::move(stream),
        {.service = std::move(service), .authority = "pod:50051", .user_agent = "probe"});
  }
  // "": well.
  std::string ask(std::string service = "") {
    outcome.reset();
    rt::Scope scope(sim.loop);
    scope.spawn(run(*this, std::move(service)));
    sim.settle();
    if (!outcome) return "no answer";
    return *outcome ? "" : outcome->error().message;
  }

  Sim sim;
  net::MemoryNetwork network{sim.loop, Random(1)};
  Doctor doctor;
  Server server;
  std::optional<Result<void>> outcome;
};

TEST_F(GrpcHealth, the_answer_decides) {
  struct Case {
    std::string message;
    codec::Headers trailers;
    const char* outcome;
  };
  const auto framed = [](std::string message) {
    return std::string("\0\0\0\0", 4) + static_cast<char>(message.size()) + message;
  };
  const codec::Headers ok{{"grpc-status", "0"}};
  for (const Case& each :
       {Case{framed("\x08\x01"), ok, ""},
        Case{framed("\x08\x02"), ok, "service unhealthy (responded with \"NOT_SERVING\")"},
        Case{framed("\x08\x03"), ok, "service unhealthy (responded with \"SERVICE_UNKNOWN\")"},
        Case{framed("\x08\x09"), ok, "service unhealthy (responded with \"9\")"},
        Case{framed(""), ok, "service unhealthy (responded with \"UNKNOWN\")"},
        Case{framed("\x10\x01"), ok, "error: the answer is no HealthCheckResponse"},
        Case{"\x08\x01", ok, "error: the answer is no HealthCheckResponse"},
        Case{"",
             {{"grpc-status", "5"}, {"grpc-message", "unknown%20service"}},
             "error: health rpc probe failed: status 5: unknown service"},
        Case{"",
             {{"grpc-status", "12"}, {"grpc-message", "no such method"}},
             "error: this server does not implement the grpc health protocol "
             "(grpc.health.v1.Health): no such method"}}) {
    doctor.message = each.message;
    doctor.trailers = each.trailers;
    EXPECT_EQ(ask(), each.outcome);
  }
  doctor.head.status = 404;
  EXPECT_EQ(ask(), "error: health rpc probe failed: status 404 of HTTP");
}

TEST_F(GrpcHealth, the_service_is_asked_for_by_name) {
  doctor.message = std::string("\0\0\0\0\2\x08\1", 7);
  ask("shop");
  EXPECT_EQ(doctor.asked.target, "/grpc.health.v1.Health/Check");
  EXPECT_EQ(doctor.asked.headers.get("Host"), "pod:50051");
  EXPECT_EQ(doctor.asked.headers.get("User-Agent"), "probe");
  EXPECT_EQ(doctor.asked_message, std::string("\0\0\0\0\x06\x0a\x04shop", 11));
  ask();
  EXPECT_EQ(doctor.asked_message, std::string("\0\0\0\0\0", 5));
  // Lengths of more than seven bits.
  ask(std::string(300, 's'));
  EXPECT_EQ(doctor.asked_message,
            std::string("\0\0\0\x01\x2f\x0a\xac\x02", 8) + std::string(300, 's'));
}

}  // namespace
}  // namespace tulle::http
