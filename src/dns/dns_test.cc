#include "dns/server.h"

#include "dns/message_stream.h"
#include "mesh/snapshot_builder.h"
#include "net/memory_network.h"
#include "rt/combine.h"
#include "rt/sim_driver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

namespace tulle::dns {
namespace {

using namespace std::chrono_literals;

constexpr SocketAddress kServer{.ip = IpAddress::v4(10, 96, 0, 10), .port = 53};
constexpr SocketAddress kResolver{.ip = IpAddress::v4(127, 0, 0, 53), .port = 53};

constexpr auto kRrsig = static_cast<codec::DnsType>(46);
constexpr SocketAddress kCorpResolver{.ip = IpAddress::v4(127, 0, 0, 54), .port = 53};
const StubDomain kCorp{.domain = "corp.example", .resolvers = {kCorpResolver}};

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
      loop,
      network,
      Random(2),
      Random(3),
      {.address = kServer, .forwarder = {.resolvers = {kResolver}, .stub_domains = {kCorp}}}};

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

rt::Task<Result<codec::DnsMessage>> ask_by_tcp(Fixture& fixture, codec::DnsMessage query) {
  CO_TRY(const auto stream, co_await fixture.network.connect({.to = kServer, .in = fixture.pod}));
  CO_TRY_VOID(co_await write_message(*stream, *codec::build_dns(query)));
  CO_TRY(const std::string bytes, co_await read_message(*stream));
  co_return codec::parse_dns(bytes);
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

// A resolver of the host: says to every question what it was told to.
class Resolver final {
 public:
  explicit Resolver(Fixture& fixture, const SocketAddress& at = kResolver)
      : network_(fixture.network),
        socket_(*network_.bind_datagram({.at = at})),
        listener_(*network_.listen({.at = at})),
        tasks_(fixture.loop) {
    tasks_.spawn(serve_udp());
    tasks_.spawn(serve_tcp());
  }

  codec::DnsRcode rcode = codec::DnsRcode::no_error;
  std::uint32_t ttl_s = 60;
  std::size_t addresses = 1;
  bool silent = false;
  bool cuts = false;        // over UDP
  bool lower_case = false;  // whatever capitals were asked
  bool lies_first = false;
  std::vector<std::string> asked;  // in lower case
  std::vector<std::string> asked_by_tcp;
  std::set<std::string> spellings;
  std::vector<std::string> flags;  // of the questions: "", "DO", "CD", "DO CD"; never AD

 private:
  codec::DnsMessage answer(const codec::DnsMessage& query) {
    codec::DnsMessage answer = codec::dns_response_to(query);
    std::string& name = answer.questions[0].name;
    spellings.insert(name);
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(std::tolower(c));
    if (lower_case) name = lower;
    answer.rcode = rcode;
    note_flags(query);
    const bool dnssec_ok = query.edns && query.edns->dnssec_ok;
    answer.authentic_data = dnssec_ok && !query.checking_disabled;
    for (std::size_t i = 0; i < addresses; ++i) {
      const codec::DnsA address{{192, 0, 2, static_cast<std::uint8_t>(i + 1)}};
      answer.answers.push_back(
          {.name = name, .type = codec::DnsType::a, .ttl_s = ttl_s, .data = address});
    }
    if (dnssec_ok) {
      answer.answers.push_back(
          {.name = name, .type = kRrsig, .ttl_s = ttl_s, .data = codec::DnsRaw{"signed"}});
    }
    if (addresses == 0) {
      codec::DnsSoa soa{.primary = "ns.example", .mailbox = "me.example", .minimum_s = ttl_s};
      answer.authorities.push_back(
          {.name = "example", .type = codec::DnsType::soa, .ttl_s = 3600, .data = soa});
    }
    return answer;
  }
  void note_flags(const codec::DnsMessage& query) {
    std::string text = query.edns && query.edns->dnssec_ok ? "DO" : "";
    if (query.checking_disabled) text += text.empty() ? "CD" : " CD";
    if (query.authentic_data) text += " AD";
    flags.push_back(std::move(text));
  }
  static std::string lower_name(const codec::DnsMessage& query) {
    std::string name = query.questions[0].name;
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    return name;
  }
  rt::Task<void> serve_udp() {
    std::array<char, 4096> buffer;
    for (;;) {
      const auto received = co_await socket_->receive(buffer);
      if (!received) co_return;
      const auto query = codec::parse_dns(std::string_view(buffer.data(), received->size));
      asked.push_back(lower_name(*query));
      if (silent) continue;
      codec::DnsMessage answered = answer(*query);
      answered.truncated = cuts;
      if (lies_first) {
        codec::DnsMessage lie = answered;
        ++lie.id;
        lie.answers[0].data = codec::DnsA{{6, 6, 6, 6}};
        EXPECT_TRUE(socket_->send(*codec::build_dns(lie), received->from));
      }
      EXPECT_TRUE(socket_->send(*codec::build_dns(answered), received->from));
    }
  }
  rt::Task<void> serve_tcp() {
    for (;;) {
      const auto stream = co_await listener_->accept();
      const auto bytes = co_await read_message(**stream);
      if (!bytes) continue;
      const auto query = codec::parse_dns(*bytes);
      asked_by_tcp.push_back(lower_name(*query));
      EXPECT_TRUE(co_await write_message(**stream, *codec::build_dns(answer(*query))));
    }
  }

  net::MemoryNetwork& network_;
  std::unique_ptr<net::Datagram> socket_;
  std::unique_ptr<net::Listener> listener_;
  rt::Scope tasks_;
};

// What is forwarded, and what is kept of it.
class DnsForwardTest : public testing::Test {
 protected:
  codec::DnsMessage ask_a(std::string name) {
    return answer_to(fixture, question(std::move(name), codec::DnsType::a));
  }
  void advance(Duration time) { fixture.loop.run(wait(fixture.loop, time)); }
  static rt::Task<void> wait(rt::Loop& loop, Duration time) { co_await rt::sleep(loop, time); }

  Fixture fixture;
  Resolver resolver{fixture};
};

TEST_F(DnsForwardTest, only_an_answer_to_the_own_question_is_believed) {
  resolver.lies_first = true;
  const auto answer = ask_a("example.com");
  ASSERT_EQ(answer.answers.size(), 1U);
  EXPECT_EQ(std::get<codec::DnsA>(answer.answers[0].data).address[0], 192);
}

TEST_F(DnsForwardTest, the_capitals_of_a_question_are_random_and_those_of_the_answer_as_asked) {
  for (int i = 0; i < 10; ++i) {
    const std::string name = "Example-" + std::to_string(i) + ".com";
    const auto answer = ask_a(name);
    EXPECT_EQ(answer.questions[0].name, name);
    ASSERT_EQ(answer.answers.size(), 1U);
    EXPECT_EQ(answer.answers[0].name, name);
  }
  int plain = 0;
  for (const std::string& name : resolver.spellings) plain += name.starts_with("example-") ? 1 : 0;
  EXPECT_LE(plain, 1);
}

TEST_F(DnsForwardTest, a_resolver_with_capitals_of_its_own_is_asked_by_tcp_once) {
  resolver.lower_case = true;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask_a("host-" + std::to_string(i) + ".example.com").answers.size(), 1U);
  }
  EXPECT_EQ(resolver.asked_by_tcp.size(), 1U);
}

TEST_F(DnsForwardTest, an_answer_that_was_cut_is_asked_for_by_tcp) {
  resolver.cuts = true;
  resolver.addresses = 200;
  EXPECT_TRUE(ask_a("big.example.com").truncated) << "by UDP it does not fit for us either";
  EXPECT_EQ(resolver.asked_by_tcp.size(), 1U);
  const auto whole =
      fixture.loop.run(ask_by_tcp(fixture, question("big.example.com", codec::DnsType::a)));
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->answers.size(), 200U);
  EXPECT_EQ(resolver.asked_by_tcp.size(), 1U) << "it was kept";
}

TEST_F(DnsForwardTest, a_lost_datagram_is_sent_again) {
  resolver.silent = true;
  rt::Scope scope(fixture.loop);
  const auto heal = [](rt::Loop& loop, Resolver& which) -> rt::Task<void> {
    co_await rt::sleep(loop, 1s);
    which.silent = false;
  };
  scope.spawn(heal(fixture.loop, resolver));
  EXPECT_EQ(ask_a("example.com").answers.size(), 1U);
  EXPECT_EQ(resolver.asked.size(), 2U);
}

TEST_F(DnsForwardTest, a_stub_domain_has_resolvers_of_its_own) {
  Resolver corp(fixture, kCorpResolver);
  for (const std::string_view name : {"corp.example", "db.CORP.example", "a.b.corp.example"}) {
    ask_a(std::string(name));
  }
  ask_a("notcorp.example");
  EXPECT_EQ(corp.asked.size(), 3U);
  EXPECT_EQ(resolver.asked, std::vector<std::string>{"notcorp.example"});
}

TEST_F(DnsForwardTest, an_answer_is_kept_as_long_as_it_says_and_tells_what_is_left) {
  EXPECT_EQ(ask_a("example.com").answers[0].ttl_s, 60U);
  advance(20s);
  EXPECT_EQ(ask_a("EXAMPLE.com").answers[0].ttl_s, 40U);
  EXPECT_EQ(resolver.asked.size(), 1U);
  advance(41s);
  EXPECT_EQ(ask_a("example.com").answers[0].ttl_s, 60U);
  EXPECT_EQ(resolver.asked.size(), 2U);
}

TEST_F(DnsForwardTest, that_there_is_nothing_is_kept_as_long_as_the_zone_says) {
  resolver.addresses = 0;
  for (const auto rcode : {codec::DnsRcode::name_error, codec::DnsRcode::no_error}) {
    resolver.rcode = rcode;
    const std::string name = rcode == codec::DnsRcode::no_error ? "empty.example" : "no.example";
    const std::size_t before = resolver.asked.size();
    EXPECT_EQ(ask_a(name).rcode, rcode);
    advance(59s);
    const auto again = ask_a(name);
    EXPECT_EQ(again.rcode, rcode);
    ASSERT_EQ(again.authorities.size(), 1U);
    EXPECT_EQ(resolver.asked.size() - before, 1U);
    advance(2s);
    ask_a(name);
    EXPECT_EQ(resolver.asked.size() - before, 2U);
  }
}

TEST_F(DnsForwardTest,
       what_proves_an_answer_is_asked_for_and_kept_as_the_flags_of_the_question_say) {
  struct Row {
    bool dnssec_ok;
    bool checking_disabled;
    std::string_view forwarded;
  };
  const Row rows[] = {
      {false, false, ""}, {true, false, "DO"}, {false, true, "CD"}, {true, true, "DO CD"}};
  for (int round = 0; round < 2; ++round) {
    for (const Row& row : rows) {
      auto query = question("example.com", codec::DnsType::a);
      query.edns = {.dnssec_ok = row.dnssec_ok};
      query.checking_disabled = row.checking_disabled;
      query.authentic_data = true;  // RFC 6840 §5.7: wants to know
      const auto answer = answer_to(fixture, query);
      EXPECT_EQ(answer.answers.size(), row.dnssec_ok ? 2U : 1U) << row.forwarded;
      EXPECT_EQ(answer.checking_disabled, row.checking_disabled);
      ASSERT_TRUE(answer.edns);
      EXPECT_EQ(answer.edns->dnssec_ok, row.dnssec_ok) << "RFC 3225 §3";
      EXPECT_FALSE(answer.authentic_data) << "nothing was validated here";
    }
  }
  EXPECT_EQ(resolver.flags, (std::vector<std::string>{"", "DO", "CD", "DO CD"})) << "each once";
}

TEST(DnsServer, what_is_the_clusters_is_answered_alike_whatever_is_asked_of_signatures) {
  Fixture fixture;
  auto query = question("world", codec::DnsType::a);
  query.edns = {.dnssec_ok = true};
  query.checking_disabled = true;
  const auto answer = answer_to(fixture, query);
  EXPECT_EQ(answer.answers.size(), 1U);
  EXPECT_TRUE(answer.authoritative);
  EXPECT_TRUE(answer.checking_disabled);
  EXPECT_FALSE(answer.authentic_data);
  ASSERT_TRUE(answer.edns);
  EXPECT_TRUE(answer.edns->dnssec_ok);
}

TEST_F(DnsForwardTest, what_may_not_be_kept_is_not) {
  resolver.ttl_s = 0;
  ask_a("example.com");
  ask_a("example.com");
  EXPECT_EQ(resolver.asked.size(), 2U);
}

TEST_F(DnsForwardTest, a_question_that_is_under_way_is_not_asked_twice) {
  const auto both = [](Fixture& on) -> rt::Task<std::size_t> {
    std::vector<rt::Task<Result<codec::DnsMessage>>> all;
    all.reserve(5);
    for (int i = 0; i < 5; ++i) all.push_back(ask(on, question("example.com", codec::DnsType::a)));
    const auto answers = co_await rt::all(on.loop, std::move(all));
    std::size_t found = 0;
    for (const auto& answer : answers) found += answer ? answer->answers.size() : 0;
    co_return found;
  };
  EXPECT_EQ(fixture.loop.run(both(fixture)), 5U);
  EXPECT_EQ(resolver.asked.size(), 1U);
}

TEST_F(DnsForwardTest, what_is_often_asked_for_is_asked_for_anew_before_its_time_is_over) {
  for (int i = 0; i < 3; ++i) ask_a("example.com");
  advance(55s);
  EXPECT_EQ(ask_a("example.com").answers[0].ttl_s, 5U);
  advance(1s);
  EXPECT_EQ(resolver.asked.size(), 2U);
  EXPECT_GE(ask_a("example.com").answers[0].ttl_s, 59U);
}

TEST_F(DnsForwardTest, while_no_resolver_answers_what_is_old_is_better_than_nothing) {
  ask_a("example.com");
  resolver.silent = true;
  advance(2min);
  const Instant start = fixture.loop.now();
  const auto stale = ask_a("example.com");
  ASSERT_EQ(stale.answers.size(), 1U);
  EXPECT_EQ(stale.answers[0].ttl_s, 30U);
  EXPECT_EQ(fixture.loop.now() - start, 1800ms);
  advance(10s);
  EXPECT_EQ(ask_a("example.com").answers.size(), 1U);
  resolver.silent = false;
  advance(10s);
  EXPECT_GE(ask_a("example.com").answers[0].ttl_s, 50U) << "a new one";
  resolver.silent = true;
  advance(25h);
  EXPECT_EQ(ask_a("example.com").rcode, codec::DnsRcode::server_failure);
}

TEST_F(DnsForwardTest, a_failure_is_kept_for_a_moment) {
  resolver.rcode = codec::DnsRcode::refused;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(ask_a("example.com").rcode, codec::DnsRcode::server_failure);
  }
  EXPECT_EQ(resolver.asked.size(), 2U) << "one question, two rounds";
  resolver.rcode = codec::DnsRcode::no_error;
  advance(6s);
  EXPECT_EQ(ask_a("example.com").answers.size(), 1U);
}

TEST(DnsCache, holds_no_more_than_it_may) {
  Fixture fixture;
  Resolver resolver(fixture);
  Forwarder forwarder(fixture.loop, fixture.network, Random(1), {.resolvers = {kResolver}});
  Cache cache(fixture.loop, forwarder, {.entries_max = 10});
  const auto ask_for = [&](int i) {
    const auto answer =
        fixture.loop.run(cache.ask({.question = {.name = "h" + std::to_string(i) + ".example"}}));
    EXPECT_TRUE(answer);
  };
  for (int i = 0; i < 50; ++i) {
    ask_for(i);
    ask_for(0);  // it is always in use
  }
  EXPECT_EQ(cache.size(), 10U);
  EXPECT_EQ(std::ranges::count(resolver.asked, "h0.example"), 1);
}

TEST(DnsServer, what_cannot_be_read_is_said_in_no_more_bytes_than_it_had) {
  Fixture fixture;
  const auto say = [](Fixture& on, std::string bytes) -> rt::Task<Result<std::string>> {
    const auto socket = *on.network.bind_datagram({.at = {}, .in = on.pod});
    CO_TRY_VOID(socket->send(bytes, kServer));
    std::array<char, 4096> buffer;
    CO_TRY(const auto received, co_await socket->receive(buffer));
    co_return std::string(buffer.data(), received.size);
  };
  const auto heard = [&](std::string bytes) {
    return fixture.loop.run(
        rt::with_deadline(fixture.loop, fixture.loop.now() + 1s, say(fixture, std::move(bytes))));
  };
  const std::string bad("\x12\x34\x01\0\0\1\0\0\0\0\0\0\xff", 13);
  const auto complaint = heard(bad);
  ASSERT_TRUE(complaint);
  EXPECT_EQ(complaint->size(), 12U);
  EXPECT_EQ(codec::parse_dns(*complaint)->rcode, codec::DnsRcode::format_error);
  EXPECT_EQ(codec::parse_dns(*complaint)->id, 0x1234);
  std::string response = bad;
  response[2] = static_cast<char>(0x81);
  EXPECT_FALSE(heard(response)) << "a response is never answered";
  EXPECT_FALSE(heard("short"));
}

TEST(DnsServer, says_server_failure_when_no_resolver_answers) {
  Fixture fixture;
  const auto answer = answer_to(fixture, question("example.com", codec::DnsType::a));
  EXPECT_EQ(answer.rcode, codec::DnsRcode::server_failure);
}

TEST(DnsServer, answers_over_tcp_too) {
  Fixture fixture;
  const auto answer = fixture.loop.run(ask_by_tcp(fixture, question("world", codec::DnsType::a)));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->answers.size(), 1U);
}

rt::Task<std::vector<std::uint16_t>> two_by_tcp(Fixture& fixture) {
  const auto stream = *co_await fixture.network.connect({.to = kServer, .in = fixture.pod});
  codec::DnsMessage slow = question("example.com", codec::DnsType::a);
  codec::DnsMessage quick = question("world", codec::DnsType::a);
  slow.id = 1;
  quick.id = 2;
  for (const auto& query : {slow, quick}) {
    EXPECT_TRUE(co_await write_message(*stream, *codec::build_dns(query)));
  }
  EXPECT_TRUE(stream->shutdown_write());
  std::vector<std::uint16_t> ids;
  for (int i = 0; i < 2; ++i) {
    const auto bytes = co_await read_message(*stream);
    if (bytes) ids.push_back(codec::parse_dns(*bytes)->id);
  }
  co_return ids;
}

TEST(DnsServer, over_tcp_nobody_waits_for_the_question_before_and_all_are_answered) {
  Fixture fixture;  // without a resolver: the first one takes its time
  EXPECT_EQ(fixture.loop.run(two_by_tcp(fixture)), (std::vector<std::uint16_t>{2, 1}));
}

TEST(DnsServer, a_connection_with_something_unreadable_is_closed_after_a_complaint) {
  Fixture fixture;
  const auto talk = [](Fixture& on) -> rt::Task<void> {
    const auto stream = *co_await on.network.connect({.to = kServer, .in = on.pod});
    EXPECT_TRUE(co_await write_message(*stream, std::string(12, '\1')));
    const auto complaint = co_await read_message(*stream);
    EXPECT_TRUE(complaint);
    if (complaint) EXPECT_EQ(codec::parse_dns(*complaint)->rcode, codec::DnsRcode::format_error);
    EXPECT_FALSE(co_await read_message(*stream));
  };
  const Instant start = fixture.loop.now();
  fixture.loop.run(talk(fixture));
  EXPECT_EQ(fixture.loop.now(), start);
}

TEST(DnsServer, answers_the_host_by_full_names) {
  Fixture fixture;
  const SocketAddress at{.ip = IpAddress::v4(127, 0, 0, 1), .port = 5353};
  ASSERT_TRUE(fixture.server.listen_on_host(at));
  const auto ask_host = [](Fixture& on, SocketAddress server,
                           std::string name) -> rt::Task<codec::DnsRcode> {
    const auto socket = *on.network.bind_datagram({.at = {}});
    const auto query = question(std::move(name), codec::DnsType::a);
    EXPECT_TRUE(socket->send(*codec::build_dns(query), server));
    std::array<char, 4096> buffer;
    const auto received = co_await socket->receive(buffer);
    co_return codec::parse_dns(std::string_view(buffer.data(), received->size))->rcode;
  };
  EXPECT_EQ(fixture.loop.run(ask_host(fixture, at, "world.default.svc.cluster.local")),
            codec::DnsRcode::no_error);
  EXPECT_EQ(fixture.loop.run(ask_host(fixture, at, "world")), codec::DnsRcode::server_failure);
}

TEST(ParseStubDomain, reads_a_domain_and_its_resolvers) {
  const auto stub = parse_stub_domain("Corp.Example.=10.0.0.53,[::1]:5353");
  ASSERT_TRUE(stub);
  EXPECT_EQ(stub->domain, "corp.example");
  ASSERT_EQ(stub->resolvers.size(), 2U);
  EXPECT_EQ(stub->resolvers[0].to_string(), "10.0.0.53:53");
  EXPECT_EQ(stub->resolvers[1].to_string(), "[::1]:5353");
  for (const std::string_view bad : {"", "corp", "corp=", "=10.0.0.53", "corp=x"}) {
    EXPECT_FALSE(parse_stub_domain(bad)) << bad;
  }
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
