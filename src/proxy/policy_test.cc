// What a TrafficPolicy does to requests and connections on their way.
#include "http/date.h"
#include "proxy/request_key.h"
#include "proxy/retry.h"
#include "proxy/test_world.h"

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class PolicyFlowTest : public ProxyTest {
 protected:
  // The answer to one request on a connection of its own.
  std::string once(std::string_view path = "/", std::string_view method = "GET",
                   std::string_view fields = "") {
    http::Wire wire = dial();
    wire.say(request(path, method, fields));
    return wire.hear();
  }
  static std::string field_of(const std::string& response, std::string_view name) {
    const auto at = response.find(std::string(name) + ": ");
    if (at == std::string::npos) return "";
    const auto from = at + name.size() + 2;
    return response.substr(from, response.find("\r\n", from) - from);
  }
  void fail_with(std::size_t server, int status, codec::Headers fields = {}) {
    servers[server].world->answer_head = {.status = status, .headers = std::move(fields)};
  }
  std::string metric(std::string_view name) {
    const std::string all = registry.exposition();
    const auto at = all.find("\n" + std::string(name) + "{");
    if (at == std::string::npos) return "";
    return all.substr(at + 1, all.find('\n', at + 1) - at - 1);
  }
};

// --- Keys and sessions ---------------------------------------------------------------------------

TEST(RequestKey, is_what_the_policy_names) {
  using Type = mesh::HashOn::Type;
  const codec::RequestHead head{
      .target = "/cart?user=7&user=8&empty=&x",
      .headers = {{"X-User", "ann"}, {"Cookie", "a=1; user = bob "}, {"Cookie", "later=2"}}};
  struct Row {
    mesh::HashOn on;
    std::optional<std::string_view> key;
  };
  const std::vector<Row> rows = {
      {{Type::header, "x-user"}, "ann"},
      {{Type::header, "X-Other"}, std::nullopt},
      {{Type::cookie, "user"}, "bob"},
      {{Type::cookie, "later"}, "2"},
      {{Type::cookie, "User"}, std::nullopt},
      {{Type::query_parameter, "user"}, "7"},
      {{Type::query_parameter, "empty"}, ""},
      {{Type::query_parameter, "x"}, ""},
      {{Type::query_parameter, "use"}, std::nullopt},
      {{Type::path, ""}, "/cart"},
  };
  for (const Row& row : rows) {
    const auto found = hash_key(row.on, &head, {});
    ASSERT_EQ(found.has_value(), row.key.has_value()) << row.on.name;
    if (found) EXPECT_EQ(*found, mesh::hash_text(*row.key)) << row.on.name;
    EXPECT_FALSE(hash_key(row.on, nullptr, {})) << "a TCP connection has none";
  }
  const mesh::HashOn client{};
  EXPECT_EQ(hash_key(client, nullptr, ip("10.0.0.1")), hash_key(client, &head, ip("10.0.0.1")));
  EXPECT_NE(hash_key(client, nullptr, ip("10.0.0.1")), hash_key(client, nullptr, ip("10.0.0.2")));
}

TEST(RequestKey, a_session_that_was_written_is_read_again_and_nothing_else) {
  const mesh::SessionPersistence cookie{.cookie_age = 90s};
  codec::Headers headers;
  write_session(cookie, 0xab, headers);
  EXPECT_EQ(headers.get("Set-Cookie"),
            "tulle-session=00000000000000ab; Path=/; HttpOnly; SameSite=Lax; Max-Age=90");
  EXPECT_EQ(read_session(cookie, {{"Cookie", "tulle-session=00000000000000ab"}}), 0xabU);
  for (const std::string_view value : {"", "x", "ab cd", "0xab", "-1", "11112222333344445"}) {
    EXPECT_FALSE(read_session(cookie, {{"Cookie", "tulle-session=" + std::string(value)}}))
        << value;
  }
  const mesh::SessionPersistence header{.type = mesh::SessionPersistence::Type::header,
                                        .name = "X-Session"};
  headers.clear();
  write_session(header, 7, headers);
  EXPECT_EQ(read_session(header, headers), 7U);
}

TEST(RetryRules, which_methods_may_go_twice) {
  for (const std::string_view method : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}) {
    EXPECT_TRUE(is_idempotent({.method = std::string(method)})) << method;
  }
  for (const std::string_view method : {"POST", "PATCH", "CONNECT", "get"}) {
    EXPECT_FALSE(is_idempotent({.method = std::string(method)})) << method;
  }
  EXPECT_TRUE(is_idempotent({.method = "POST", .headers = {{"Idempotency-Key", "k"}}}));
  EXPECT_FALSE(is_idempotent({.method = "POST", .headers = {{"Idempotency-Key", ""}}}));
}

TEST(RetryRules, what_an_answer_says_of_its_endpoint) {
  using mesh::Outcome;
  struct Row {
    int status;
    std::string_view grpc;
    Outcome outcome;
  };
  const std::vector<Row> rows = {
      {200, "", Outcome::success},        {404, "", Outcome::success},
      {429, "", Outcome::success},        {500, "", Outcome::server_error},
      {501, "", Outcome::success},        {502, "", Outcome::gateway_error},
      {504, "", Outcome::gateway_error},  {505, "", Outcome::server_error},
      {200, "0", Outcome::success},       {200, "5", Outcome::success},
      {200, "13", Outcome::server_error}, {200, "14", Outcome::gateway_error},
  };
  for (const Row& row : rows) {
    codec::ResponseHead head{.status = row.status};
    if (!row.grpc.empty()) head.headers.append("grpc-status", row.grpc);
    EXPECT_EQ(outcome_of(head), row.outcome) << row.status << " " << row.grpc;
  }
}

TEST(RetryRules, a_backoff_is_drawn_below_a_limit_that_doubles) {
  Random random(3);
  const mesh::Retry policy{.backoff = 20ms, .backoff_max = 100ms};
  for (std::uint32_t retry = 0; retry < 40; ++retry) {
    const Duration limit = std::min<Duration>(20ms * (1 << std::min(retry, 10U)), 100ms);
    Duration longest{};
    for (int i = 0; i < 200; ++i) longest = std::max(longest, backoff(policy, retry, random));
    EXPECT_LE(longest, limit);
    EXPECT_GE(longest, limit * 9 / 10);
  }
}

TEST_F(PolicyFlowTest, requests_with_one_key_go_to_one_endpoint) {
  make_servers(3);
  set_policy({.load_balancing = mesh::LoadBalancing::maglev,
              .hash_on = mesh::HashOn{.type = mesh::HashOn::Type::header, .name = "X-User"}});
  std::map<std::string, int> seen;
  for (int user = 0; user < 30; ++user) {
    const std::string field = "X-User: u" + std::to_string(user) + "\r\n";
    const std::string first = body_of(once("/", "GET", field));
    ++seen[first];
    for (int i = 0; i < 3; ++i) EXPECT_EQ(body_of(once("/", "GET", field)), first);
  }
  EXPECT_EQ(seen.size(), 3U);
}

TEST_F(PolicyFlowTest, a_session_cookie_is_set_once_and_leads_back) {
  make_servers(3);
  set_policy({.session = mesh::SessionPersistence{}});
  const std::string first = once();
  const std::string cookie = field_of(first, "Set-Cookie");
  ASSERT_THAT(cookie, HasSubstr("tulle-session="));
  const std::string back = "Cookie: a=b; " + cookie.substr(0, cookie.find(';')) + "\r\n";
  for (int i = 0; i < 6; ++i) {
    const std::string again = once("/", "GET", back);
    EXPECT_EQ(body_of(again), body_of(first));
    EXPECT_EQ(field_of(again, "Set-Cookie"), "");
  }
  // Its endpoint is gone: another one, and another cookie.
  const auto gone = static_cast<std::size_t>(body_of(first).back() - '0');
  health_of[servers[gone].address] = mesh::Health::not_ready;
  publish();
  const std::string elsewhere = once("/", "GET", back);
  EXPECT_NE(body_of(elsewhere), body_of(first));
  EXPECT_THAT(field_of(elsewhere, "Set-Cookie"), HasSubstr("tulle-session="));
}

// --- Time-outs -----------------------------------------------------------------------------------

TEST_F(PolicyFlowTest, a_request_takes_no_longer_than_its_policy_allows) {
  make_servers(1);
  set_policy({.timeouts = {.request = 2s}});
  http::Wire wire = dial();
  wire.say(request("/hang"));
  sim.advance(1999ms);
  EXPECT_EQ(wire.hear(), "");
  sim.advance(1ms);
  EXPECT_EQ(status_of(wire.hear()), "504");
  EXPECT_EQ(servers[0].world->cancelled, 1);
}

TEST_F(PolicyFlowTest, an_attempt_that_takes_too_long_goes_elsewhere_if_it_may) {
  make_servers(2);
  set_policy({.timeouts = {.per_try = 1s}});
  servers[0].world->delay = 1h;
  servers[1].world->delay = 500ms;
  for (const std::string_view method : {"GET", "DELETE"}) {
    http::Wire wire = dial();
    http::Wire other = dial();
    wire.say(request("/", method));
    other.say(request("/", method));
    sim.advance(1s + 25ms + 500ms);
    EXPECT_EQ(body_of(wire.hear()), "world-1") << method;
    EXPECT_EQ(body_of(other.hear()), "world-1") << method;
  }
  std::vector<std::string> statuses;
  for (int i = 0; i < 2; ++i) {
    http::Wire wire = dial();
    wire.say(request("/", "POST", "Content-Length: 0\r\n"));
    sim.advance(2s);
    statuses.push_back(status_of(wire.hear()));
  }
  EXPECT_THAT(statuses, UnorderedElementsAre("504", "200")) << "a POST is not sent twice";
}

TEST_F(PolicyFlowTest, a_response_in_which_nothing_moves_is_given_up) {
  make_servers(1);
  set_policy({.timeouts = {.idle = 10s}});
  http::Wire wire = dial();
  wire.say(request("/stream"));
  for (int i = 0; i < 5; ++i) {
    servers[0].world->pieces.push_back("piece");
    sim.advance(9s);
  }
  EXPECT_FALSE(wire.ended());
  sim.advance(2s);
  wire.hear();
  EXPECT_TRUE(wire.ended());
}

TEST_F(PolicyFlowTest, an_upgraded_stream_ends_when_it_is_idle_or_too_old) {
  make_servers(1);
  const auto upgrade = [this] {
    http::Wire wire = dial();
    wire.say(request("/upgrade", "GET", "Connection: upgrade\r\nUpgrade: echo\r\n"));
    EXPECT_EQ(status_of(wire.hear()), "101");
    return wire;
  };
  set_policy({.timeouts = {.idle = 10s, .stream = 25s}});
  http::Wire silent = upgrade();
  http::Wire busy = upgrade();
  for (int i = 0; i < 2; ++i) {
    sim.advance(9s);
    busy.say("hi");
    EXPECT_EQ(busy.hear(), "hi");
  }
  silent.hear();
  EXPECT_TRUE(silent.ended());
  EXPECT_FALSE(busy.ended());
  sim.advance(8s);
  busy.hear();
  EXPECT_TRUE(busy.ended());
}

TEST_F(PolicyFlowTest, a_kept_connection_that_is_too_old_takes_no_request) {
  make_servers(1);
  const auto listener = listen_raw(0);
  set_policy({.timeouts = {.connection_age_max = 30s}});
  http::Wire wire = dial("10.96.0.5:80");
  const auto answer = [&](http::Wire& server) {
    EXPECT_THAT(server.hear(), HasSubstr("GET / HTTP/1.1"));
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_EQ(body_of(wire.hear()), "ok");
  };
  http::Wire first = accept(*listener);
  wire.say(request("/"));
  answer(first);
  sim.advance(20s);
  wire.say(request("/"));
  answer(first);
  sim.advance(20s);
  wire.say(request("/"));
  http::Wire second = accept(*listener);
  answer(second);
  first.hear();
  EXPECT_TRUE(first.ended());
}

// --- Retries -------------------------------------------------------------------------------------

TEST_F(PolicyFlowTest, codes_of_the_policy_are_retried_where_that_does_no_harm) {
  make_servers(2);
  set_policy({.retry = {.codes = {503}}});
  fail_with(0, 503);
  const auto outcome = [this](std::string_view method, std::string_view fields = "") {
    std::vector<std::string> statuses;
    for (int i = 0; i < 2; ++i) {
      http::Wire wire = dial();
      wire.say(request("/", method, "Content-Length: 0\r\n" + std::string(fields)));
      sim.advance(25ms);
      statuses.push_back(status_of(wire.hear()));
    }
    return statuses;
  };
  EXPECT_THAT(outcome("GET"), ElementsAre("200", "200"));
  EXPECT_THAT(outcome("PUT"), ElementsAre("200", "200"));
  EXPECT_THAT(outcome("POST", "Idempotency-Key: 7\r\n"), ElementsAre("200", "200"));
  EXPECT_THAT(outcome("POST"), UnorderedElementsAre("200", "503"));
  fail_with(0, 500);
  EXPECT_THAT(outcome("GET"), UnorderedElementsAre("200", "500")) << "no code of the policy";
}

TEST_F(PolicyFlowTest, the_answer_of_the_last_attempt_is_handed_on_whole) {
  make_servers(2);
  set_policy({.retry = {.attempts = 1, .codes = {503}}});
  for (std::size_t i : {0, 1}) fail_with(i, 503, {{"X-Why", "tired"}});
  http::Wire wire = dial();
  wire.say(request("/"));
  sim.advance(25ms);
  const std::string response = wire.hear();
  EXPECT_EQ(status_of(response), "503");
  EXPECT_EQ(field_of(response, "X-Why"), "tired");
  EXPECT_THAT(body_of(response), HasSubstr("world-"));
  EXPECT_THAT(counts(), ElementsAre(1, 1));
}

TEST_F(PolicyFlowTest, a_body_under_way_goes_on_whole_when_its_early_answer_is_not_retried) {
  make_servers(1);
  const auto listener = listen_raw(0);
  set_policy({.retry = {.codes = {503}}, .retry_budget = {.percent = 0, .per_second_min = 0}});
  http::Wire wire = dial();
  http::Wire server = accept(*listener);
  wire.say(request("/", "PUT", "Content-Length: 10\r\n") + "0123");
  EXPECT_THAT(server.hear(), testing::EndsWith("\r\n\r\n0123"));
  server.say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nno");
  EXPECT_EQ(status_of(wire.hear()), "503");
  wire.say("456789");
  EXPECT_EQ(server.hear(), "456789");
  server.say("pe");
  EXPECT_EQ(wire.hear(), "pe");
}

TEST_F(PolicyFlowTest, retries_stay_within_their_budget) {
  make_servers(2);
  set_policy({.outlier = {.ejected_percent_max = 0},
              .retry = {.attempts = 3, .codes = {503}},
              .retry_budget = {.percent = 0, .per_second_min = 5}});
  for (std::size_t i : {0, 1}) fail_with(i, 503);
  std::vector<http::Wire> wires;
  for (int i = 0; i < 50; ++i) {
    wires.push_back(dial());
    wires.back().say(request("/"));
    sim.advance(10ms);
  }
  sim.advance(1s);
  for (http::Wire& wire : wires) EXPECT_EQ(status_of(wire.hear()), "503");
  const int retries = counts()[0] + counts()[1] - 50;
  EXPECT_GE(retries, 5);
  EXPECT_LE(retries, 5 + 5) << "five at once, and five a second";
}

TEST_F(PolicyFlowTest, without_attempts_nothing_is_sent_twice) {
  make_servers(2);
  set_policy({.retry = {.attempts = 0, .codes = {503}}});
  fail_with(0, 503);
  fail_with(1, 503);
  EXPECT_EQ(status_of(once()), "503");
  EXPECT_EQ(counts()[0] + counts()[1], 1);
}

TEST_F(PolicyFlowTest, a_slow_answer_is_asked_for_elsewhere_too) {
  make_servers(2);
  set_policy({.hedging_percentile = 95});
  for (World* world : {servers[0].world.get(), servers[1].world.get()}) world->delay = 8ms;
  for (int i = 0; i < 100; ++i) {
    http::Wire wire = dial();
    wire.say(request("/"));
    sim.advance(8ms);
    ASSERT_EQ(status_of(wire.hear()), "200");
  }
  const int before = counts()[0] + counts()[1];
  servers[0].world->delay = 1h;
  for (int i = 0; i < 4; ++i) {
    http::Wire wire = dial();
    wire.say(request("/"));
    sim.advance(20ms);
    EXPECT_EQ(body_of(wire.hear()), "world-1");
  }
  EXPECT_LE(counts()[0] + counts()[1] - before, 8);
  EXPECT_GE(servers[0].world->cancelled, 2) << "what is too late is given up";
  std::vector<std::string> heard;
  for (int i = 0; i < 2; ++i) {
    http::Wire wire = dial();
    wire.say(request("/", "POST", "Content-Length: 0\r\n"));
    sim.advance(20ms);
    heard.push_back(status_of(wire.hear()));
  }
  EXPECT_THAT(heard, UnorderedElementsAre("200", "(no response)")) << "a POST is not sent twice";
}

// --- Outliers ------------------------------------------------------------------------------------

TEST_F(PolicyFlowTest, an_endpoint_that_fails_is_left_out_and_tested_later) {
  make_servers(2);
  set_policy({.outlier = {.consecutive_failures = 3, .ejection_time = 30s}});
  fail_with(0, 500);
  int failed = 0;
  for (int i = 0; i < 20; ++i) failed += status_of(once()) == "500" ? 1 : 0;
  EXPECT_EQ(failed, 3);
  EXPECT_EQ(metric("tulle_endpoint_ejections_total"),
            R"(tulle_endpoint_ejections_total{service="default/world",port="80"} 1)");
  fail_with(0, 200);
  sim.advance(30s);
  const int before = servers[0].world->requests;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(status_of(once()), "200");
  EXPECT_EQ(servers[0].world->requests - before, 10);
}

TEST_F(PolicyFlowTest, an_endpoint_that_takes_no_connections_is_left_out_without_a_policy) {
  make_servers(3);
  servers[0].http.reset();
  for (int i = 0; i < 30; ++i) ASSERT_EQ(status_of(once()), "200");
  EXPECT_EQ(metric("tulle_endpoint_ejections_total"),
            R"(tulle_endpoint_ejections_total{service="default/world",port="80"} 1)");
}

TEST_F(PolicyFlowTest, an_endpoint_that_asks_for_a_pause_gets_it) {
  make_servers(2);
  set_policy({.outlier = {.heeds_retry_after = true}});
  fail_with(0, 429, {{"Retry-After", "7"}});
  std::string all;
  for (int i = 0; i < 10; ++i) all += status_of(once()) + " ";
  EXPECT_THAT(all, HasSubstr("429"));
  EXPECT_EQ(servers[0].world->requests, 1);
  fail_with(0, 200);
  sim.advance(7s);
  for (int i = 0; i < 10; ++i) once();
  EXPECT_EQ(servers[0].world->requests, 6);
}

TEST_F(PolicyFlowTest, a_retry_goes_to_whom_was_not_asked_yet) {
  make_servers(3);
  set_policy({.retry = {.attempts = 2, .codes = {503}, .backoff = 0s, .backoff_max = 0s}});
  for (std::size_t i = 0; i < 3; ++i) fail_with(i, 503);
  EXPECT_EQ(status_of(once()), "503");
  EXPECT_THAT(counts(), ElementsAre(1, 1, 1));
}

TEST(RetryAfter, is_a_number_of_seconds_or_a_date) {
  const WallTime now = *http::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", {});
  struct Row {
    int status;
    std::string_view text;
    std::optional<Duration> pause;
  };
  const std::vector<Row> rows = {
      {429, "7", 7s},
      {503, "0", 0s},
      {200, "7", std::nullopt},
      {503, "Sun, 06 Nov 1994 08:50:07 GMT", 30s},
      {429, "Sun, 06 Nov 1994 08:49:37 GMT", std::nullopt},
      {503, "-1", std::nullopt},
      {503, "7s", std::nullopt},
      {503, "soon", std::nullopt},
  };
  for (const Row& row : rows) {
    const codec::ResponseHead head{.status = row.status,
                                   .headers = {{"Retry-After", std::string(row.text)}}};
    EXPECT_EQ(retry_after(head, now), row.pause) << row.text;
  }
}

// --- Circuit breaking ----------------------------------------------------------------------------

TEST_F(PolicyFlowTest, requests_beyond_the_limit_wait_and_those_beyond_that_are_refused) {
  make_servers(2);
  set_policy({.circuit_breaking = {.requests_max = 2, .pending_max = 1, .pending_timeout = 500ms}});
  http::Wire first = dial();
  http::Wire second = dial();
  first.say(request("/hang"));
  second.say(request("/hang"));
  http::Wire waiting = dial();
  waiting.say(request("/"));
  const std::string refused = once();
  EXPECT_EQ(status_of(refused), "503");
  EXPECT_THAT(body_of(refused), HasSubstr("as many requests as its policy allows"));
  EXPECT_EQ(waiting.hear(), "");
  first.close();
  EXPECT_EQ(status_of(waiting.hear()), "200");
  EXPECT_EQ(metric("tulle_requests_shed_total"),
            R"(tulle_requests_shed_total{service="default/world",port="80"} 1)");

  http::Wire third = dial();
  third.say(request("/hang"));
  waiting.say(request("/"));
  sim.advance(499ms);
  EXPECT_EQ(waiting.hear(), "");
  sim.advance(1ms);
  EXPECT_EQ(status_of(waiting.hear()), "503") << "nobody left in time";
  second.close();
  EXPECT_EQ(status_of(once()), "200");
}

TEST_F(PolicyFlowTest, a_client_that_leaves_the_queue_makes_room_in_it) {
  make_servers(1);
  set_policy({.circuit_breaking = {.requests_per_endpoint_max = 1, .pending_max = 1}});
  http::Wire inside = dial();
  inside.say(request("/hang"));
  http::Wire waiting = dial();
  waiting.say(request("/"));
  EXPECT_EQ(status_of(once()), "503");
  waiting.close();
  http::Wire next = dial();
  next.say(request("/"));
  EXPECT_EQ(next.hear(), "");
  inside.close();
  EXPECT_EQ(status_of(next.hear()), "200");
}

TEST_F(PolicyFlowTest, tcp_connections_count_as_requests_do) {
  make_servers(1);
  const auto listener = listen_raw(0);
  service.ports[0].protocol = mesh::ProtocolHint::tcp;
  set_policy({.circuit_breaking = {.requests_max = 1}, .timeouts = {.idle = 1min}});
  http::Wire first = dial();
  http::Wire server = accept(*listener);
  http::Wire refused = dial();
  refused.hear();
  EXPECT_TRUE(refused.ended());
  first.say("hi");
  EXPECT_EQ(server.hear(), "hi");
  sim.advance(1min);
  first.hear();
  EXPECT_TRUE(first.ended()) << "idle";
  http::Wire second = dial();
  second.say("ho");
  http::Wire again = accept(*listener);
  EXPECT_EQ(again.hear(), "ho");
}

}  // namespace
}  // namespace tulle::proxy
