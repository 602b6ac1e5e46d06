#include "dns/server.h"

#include "dns/message_stream.h"
#include "mesh/snapshot_builder.h"
#include "net/memory_network.h"
#include "rt/combine.h"
#include "rt/sim_driver.h"

#include <gtest/gtest.h>

#include <array>

namespace tulle::dns {
namespace {

using namespace std::chrono_literals;

constexpr SocketAddress kServer{.ip = IpAddress::v4(10, 96, 0, 10), .port = 53};
constexpr SocketAddress kResolver{.ip = IpAddress::v4(127, 0, 0, 53), .port = 53};

mesh::SnapshotPtr snapshot_with_world() {
  mesh::SnapshotBuilder builder;
  mesh::Service service;
  service.name = {.namespace_name = "default", .name = "world"};
  service.cluster_addresses = {IpAddress::v4(10, 96, 0, 77)};
  service.ports.push_back({.port = 80});
  builder.put(std::move(service));
  mesh::Workload workload;
  workload.name = {.namespace_name = "default", .name = "hello-1"};
  workload.search_domains = {"default.svc.cluster.local", "svc.cluster.local", "cluster.local"};
  builder.put(std::move(workload));
  return builder.build();
}

struct Fixture {
  rt::SimDriver driver;
  rt::Loop loop{driver};
  net::MemoryNetwork network{loop, Random(1)};
  net::NamespacePtr pod = std::make_shared<net::Namespace>("pod", OwnedFd());
  Server server{
      loop, network, Random(2), {.address = kServer, .forwarder = {.resolvers = {kResolver}}}};

  Fixture() {
    server.set_snapshot(snapshot_with_world());
    EXPECT_TRUE(server.listen_in("u1", {.namespace_name = "default", .name = "hello-1"}, pod));
  }
};

codec::DnsMessage question(std::string name, codec::DnsType type) {
  codec::DnsMessage query;
  query.id = 4711;
  query.recursion_desired = true;
  query.questions.push_back({.name = std::move(name), .type = type});
  return query;
}

rt::Task<Result<codec::DnsMessage>> ask(Fixture& fixture, codec::DnsMessage query) {
  const auto socket = *fixture.network.bind_datagram({.at = {}, .in = fixture.pod});
  CO_TRY_VOID(socket->send(*codec::build_dns(query), kServer));
  std::array<char, 4096> buffer;
  CO_TRY(const auto received, co_await socket->receive(buffer));
  co_return codec::parse_dns(std::string_view(buffer.data(), received.size));
}

codec::DnsMessage answer_to(Fixture& fixture, const codec::DnsMessage& query) {
  auto answer = fixture.loop.run(
      rt::with_deadline(fixture.loop, fixture.loop.now() + 30s, ask(fixture, query)));
  EXPECT_TRUE(answer) << answer.error().message;
  return answer ? *answer : codec::DnsMessage{};
}

TEST(DnsServer, answers_a_short_name_in_one_step_under_the_name_that_was_asked) {
  Fixture fixture;
  const auto answer = answer_to(fixture, question("world", codec::DnsType::a));
  EXPECT_EQ(answer.id, 4711);
  EXPECT_EQ(answer.rcode, codec::DnsRcode::no_error);
  ASSERT_EQ(answer.answers.size(), 1U);
  EXPECT_EQ(answer.answers[0].name, "world");
  EXPECT_EQ(std::get<codec::DnsA>(answer.answers[0].data).address,
            (std::array<std::uint8_t, 4>{10, 96, 0, 77}));
}

TEST(DnsServer, answers_by_rcode_what_it_does_not_do) {
  struct Row {
    codec::DnsMessage query;
    codec::DnsRcode rcode;
  };
  Row rows[] = {
      {question("world.default.svc.cluster.local", codec::DnsType::aaaa),
       codec::DnsRcode::no_error},
      {question("nobody.default.svc.cluster.local", codec::DnsType::a),
       codec::DnsRcode::name_error},
      {question("world", codec::DnsType::any), codec::DnsRcode::refused},
      {question("world", codec::DnsType::a), codec::DnsRcode::not_implemented},
      {question("world", codec::DnsType::a), codec::DnsRcode::bad_version},
  };
  rows[3].query.opcode = 4;
  rows[4].query.edns.emplace().version = 1;
  Fixture fixture;
  for (const Row& row : rows) {
    const auto answer = answer_to(fixture, row.query);
    EXPECT_EQ(answer.rcode, row.rcode) << row.query.questions[0].name;
    EXPECT_TRUE(answer.answers.empty());
  }
}

// A resolver that first lies about the id, then answers.
rt::Task<void> resolve_once(net::Datagram& socket) {
  std::array<char, 4096> buffer;
  const auto received = co_await socket.receive(buffer);
  EXPECT_TRUE(received);
  const auto query = codec::parse_dns(std::string_view(buffer.data(), received->size));
  auto answer = codec::dns_response_to(*query);
  answer.answers.push_back({.name = query->questions[0].name,
                            .type = codec::DnsType::a,
                            .ttl_s = 60,
                            .data = codec::DnsA{{192, 0, 2, 1}}});
  ++answer.id;
  EXPECT_TRUE(socket.send(*codec::build_dns(answer), received->from));
  --answer.id;
  answer.answers[0].ttl_s = 30;
  EXPECT_TRUE(socket.send(*codec::build_dns(answer), received->from));
}

TEST(DnsServer, forwards_other_names_and_believes_only_answers_to_its_own_question) {
  Fixture fixture;
  const auto resolver = *fixture.network.bind_datagram({.at = kResolver});
  rt::Scope scope(fixture.loop);
  scope.spawn(resolve_once(*resolver));
  const auto answer = answer_to(fixture, question("example.com", codec::DnsType::a));
  ASSERT_EQ(answer.answers.size(), 1U);
  EXPECT_EQ(answer.answers[0].ttl_s, 30U);
}

TEST(DnsServer, says_server_failure_when_no_resolver_answers) {
  Fixture fixture;
  const auto answer = answer_to(fixture, question("example.com", codec::DnsType::a));
  EXPECT_EQ(answer.rcode, codec::DnsRcode::server_failure);
}

rt::Task<Result<codec::DnsMessage>> ask_by_tcp(Fixture& fixture, codec::DnsMessage query) {
  CO_TRY(const auto stream, co_await fixture.network.connect({.to = kServer, .in = fixture.pod}));
  CO_TRY_VOID(co_await write_message(*stream, *codec::build_dns(query)));
  CO_TRY(const std::string bytes, co_await read_message(*stream));
  co_return codec::parse_dns(bytes);
}

TEST(DnsServer, answers_over_tcp_too) {
  Fixture fixture;
  const auto answer = fixture.loop.run(ask_by_tcp(fixture, question("world", codec::DnsType::a)));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->answers.size(), 1U);
}

TEST(ParseResolvers, reads_nameserver_lines_only) {
  const auto resolvers = parse_resolvers(
      "# comment\nnameserver 192.0.2.1\nsearch a b\nnameserver\t2001:db8::1 \nnameserver x\n"
      "nameservers 192.0.2.9\nnameserver 192.0.2.2");
  ASSERT_EQ(resolvers.size(), 3U);
  EXPECT_EQ(resolvers[0].to_string(), "192.0.2.1:53");
  EXPECT_EQ(resolvers[1].to_string(), "[2001:db8::1]:53");
  EXPECT_EQ(resolvers[2].to_string(), "192.0.2.2:53");
}

}  // namespace
}  // namespace tulle::dns
