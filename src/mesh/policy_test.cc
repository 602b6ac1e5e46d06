// What the policies of a service do to its picks: hashing, latency, sessions, slow start, limits.
#include "base/random.h"
#include "mesh/mesh_test_util.h"
#include "mesh/pick.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace tulle::mesh {
namespace {

using namespace std::chrono_literals;
using testing::EndpointSpec;

// One service with endpoints 10.244.0.1:80, .2, .3, …; they are called by that last number.
class PolicyTest : public ::testing::Test {
 protected:
  void serve(int count, std::map<int, EndpointSpec> special = {}) {
    std::vector<std::string> names;
    std::vector<EndpointSpec> specs;
    names.reserve(static_cast<std::size_t>(count));
    specs.reserve(static_cast<std::size_t>(count));
    for (int i = 1; i <= count; ++i) names.push_back(fmt::format("10.244.0.{}:80", i));
    for (int i = 1; i <= count; ++i) {
      EndpointSpec spec = special.contains(i) ? special[i] : EndpointSpec{};
      spec.address = names[static_cast<std::size_t>(i - 1)];
      specs.push_back(spec);
    }
    Service made = testing::service("world", "10.96.0.7", specs);
    made.load_balancing = policy.load_balancing.value_or(LoadBalancing::least_request);
    made.policy = std::make_shared<const Policy>(policy);
    builder.put(std::move(made));
    snapshot = builder.build();
  }
  const Service& world() const { return *snapshot->service(ObjectNameView{"default", "world"}); }
  const ServicePort& port() const { return world().ports[0]; }
  const Endpoint& endpoint(int number) const {
    for (const Endpoint& e : port().endpoints) {
      if (e.address.ip.bytes()[3] == number) return e;
    }
    std::abort();
  }

  static int number(const Pick& picked) {
    return picked ? picked.endpoint->address.ip.bytes()[3] : 0;
  }
  Pick ask(PickRequest request = {}) { return pick(world(), port(), request, now, random); }
  int pick_key(std::uint64_t key) { return number(ask({.hash = hash_text(std::to_string(key))})); }
  std::map<int, int> spread(int keys) {
    std::map<int, int> counts;
    for (int key = 0; key < keys; ++key) ++counts[pick_key(static_cast<std::uint64_t>(key))];
    return counts;
  }
  std::map<int, int> pick_many(int times) {
    std::map<int, int> counts;
    for (int i = 0; i < times; ++i) ++counts[number(ask())];
    return counts;
  }
  void fail_at(int number, int times, Outcome outcome = Outcome::connect_error) {
    for (int i = 0; i < times; ++i) {
      if (endpoint(number).state->outlier.count(policy.outlier, outcome, {}, now)) {
        judge(port(), endpoint(number), policy.outlier, now);
      }
    }
  }
  void succeed_at(int number, Duration latency = 1ms) {
    if (endpoint(number).state->outlier.count(policy.outlier, Outcome::success, latency, now)) {
      judge(port(), endpoint(number), policy.outlier, now);
    }
  }
  Standing standing(int number) const { return endpoint(number).state->outlier.standing(now); }

  Policy policy;
  SnapshotBuilder builder;
  SnapshotPtr snapshot;
  Random random{7};
  Instant now{1h};
};

class HashingTest : public PolicyTest, public ::testing::WithParamInterface<LoadBalancing> {
 protected:
  HashingTest() {
    policy.load_balancing = GetParam();
    policy.hash_on = HashOn{};
  }
};

TEST_P(HashingTest, a_key_always_leads_to_the_same_endpoint) {
  serve(5);
  for (std::uint64_t key = 0; key < 100; ++key) {
    const int first = pick_key(key);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(pick_key(key), first);
  }
}

TEST_P(HashingTest, keys_are_spread_evenly) {
  serve(10);
  const auto counts = spread(10000);
  EXPECT_EQ(counts.size(), 10U);
  // With 160 points an endpoint's share of a ring varies by about 8 % of itself.
  for (const auto& [number, count] : counts) EXPECT_NEAR(count, 1000, 300) << number;
}

TEST_P(HashingTest, keys_are_spread_by_weight) {
  serve(3, {{2, {.weight = 3}}});
  const auto counts = spread(10000);
  EXPECT_NEAR(counts.at(2), 6000, 600);
  EXPECT_NEAR(counts.at(1), 2000, 500);
}

TEST_P(HashingTest, when_an_endpoint_goes_few_other_keys_move) {
  serve(10);
  std::map<std::uint64_t, int> before;
  for (std::uint64_t key = 0; key < 5000; ++key) before[key] = pick_key(key);
  serve(10, {{4, {.health = Health::not_ready}}});
  int moved = 0;
  for (const auto& [key, endpoint] : before) {
    const int after = pick_key(key);
    EXPECT_NE(after, 4);
    if (endpoint != 4 && after != endpoint) ++moved;
  }
  // None on a ring; in a Maglev table a few percent (§5.3 of the paper).
  EXPECT_LE(moved, GetParam() == LoadBalancing::ring_hash ? 0 : 250);
  serve(10);
  for (const auto& [key, endpoint] : before) EXPECT_EQ(pick_key(key), endpoint) << "it is back";
}

TEST_P(HashingTest, an_endpoint_that_was_tried_or_ejected_is_passed_over_for_the_same_next_one) {
  serve(5);
  const int first = pick_key(1);
  const std::array tried{endpoint(first).address};
  const PickRequest again{.excluded = tried, .hash = hash_text("1")};
  const int second = number(ask(again));
  EXPECT_NE(second, first);
  EXPECT_EQ(number(ask(again)), second);
  fail_at(first, 5);
  EXPECT_EQ(pick_key(1), second);
}

TEST_P(HashingTest, a_bounded_load_is_never_exceeded_and_what_is_beyond_goes_to_others) {
  policy.bounded_load_percent = 125;
  serve(4);
  std::vector<InFlight> held;
  std::map<int, int> counts;
  for (int i = 1; i <= 400; ++i) {
    const Pick picked = ask({.hash = hash_text("the same key")});
    held.emplace_back(picked.endpoint->state);
    const int most = (i * 125 + 399) / 400;
    EXPECT_LE(++counts[number(picked)], most);
  }
  EXPECT_EQ(counts.size(), 4U);
}

TEST_P(HashingTest, the_bound_is_shared_by_those_that_may_be_taken) {
  policy.bounded_load_percent = 150;
  serve(4);
  for (int e : {1, 2}) fail_at(e, 5);  // half of them may be ejected
  std::map<int, int> counts;
  std::vector<InFlight> held;
  for (int i = 0; i < 100; ++i) {
    const Pick picked = ask({.hash = hash_text("the same key")});
    held.emplace_back(picked.endpoint->state);
    ++counts[number(picked)];
  }
  EXPECT_EQ(counts[3] + counts[4], 100);
  EXPECT_NEAR(std::max(counts[3], counts[4]), 75, 2);
}

TEST_P(HashingTest, a_request_without_a_key_is_balanced_by_load) {
  serve(3);
  EXPECT_EQ(ask().reason, PickReason::least_request);
  EXPECT_EQ(pick_many(30), (std::map<int, int>{{1, 10}, {2, 10}, {3, 10}}));
}

TEST_P(HashingTest, the_table_is_made_anew_only_when_the_endpoints_change) {
  serve(3);
  const auto before = port().tiers[0].hash;
  serve(3);
  EXPECT_EQ(port().tiers[0].hash, before);
  serve(4);
  EXPECT_NE(port().tiers[0].hash, before);
}

INSTANTIATE_TEST_SUITE_P(Hashing, HashingTest,
                         ::testing::Values(LoadBalancing::ring_hash, LoadBalancing::maglev),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST_F(PolicyTest, peak_ewma_prefers_the_faster_endpoint_and_weighs_its_load) {
  policy.load_balancing = LoadBalancing::peak_ewma;
  serve(2);
  endpoint(1).state->latency.observe(10ms, now);
  endpoint(2).state->latency.observe(30ms, now);
  std::vector<InFlight> held;
  std::map<int, int> counts;
  for (int i = 0; i < 8; ++i) {
    const Pick picked = ask();
    EXPECT_EQ(picked.reason, PickReason::peak_ewma);
    ++counts[number(picked)];
    held.emplace_back(picked.endpoint->state);
  }
  EXPECT_EQ(counts, (std::map<int, int>{{1, 6}, {2, 2}})) << "in proportion to their speed";
}

TEST_F(PolicyTest, peak_ewma_sees_one_slow_answer_at_once_and_forgets_it_slowly) {
  policy.load_balancing = LoadBalancing::peak_ewma;
  serve(2);
  for (int i = 0; i < 10; ++i) {
    now += 100ms;
    for (int e : {1, 2}) endpoint(e).state->latency.observe(10ms, now);
  }
  endpoint(1).state->latency.observe(1s, now);
  EXPECT_EQ(pick_many(10), (std::map<int, int>{{2, 10}}));
  now += 60s;
  EXPECT_LT(endpoint(1).state->latency.value(now), 10e6) << "it is tried again";
}

TEST_F(PolicyTest, peak_ewma_asks_an_unknown_endpoint_once_before_it_answered) {
  policy.load_balancing = LoadBalancing::peak_ewma;
  serve(2);
  endpoint(1).state->latency.observe(10ms, now);
  const Pick unknown = ask();
  EXPECT_EQ(number(unknown), 2);
  const InFlight held(unknown.endpoint->state);
  EXPECT_EQ(pick_many(10), (std::map<int, int>{{1, 10}}));
}

TEST_F(PolicyTest, a_session_stays_at_its_endpoint_as_long_as_that_may_be_picked) {
  policy.session = SessionPersistence{};
  serve(3);
  const std::uint64_t session = session_of(world(), endpoint(2));
  for (int i = 0; i < 5; ++i) {
    const Pick held = ask({.session = session});
    EXPECT_EQ(number(held), 2);
    EXPECT_EQ(held.reason, PickReason::session);
  }
  EXPECT_EQ(ask({.session = session + 1}).reason, PickReason::least_request);
  serve(3, {{2, {.health = Health::not_ready}}});
  EXPECT_NE(number(ask({.session = session})), 2);
}

TEST_F(PolicyTest, an_endpoint_that_became_ready_gets_its_share_bit_by_bit) {
  policy.slow_start = 100s;
  serve(2, {{2, {.health = Health::not_ready}}});
  pick_many(1);
  now += 200s;  // the first one is long warm
  serve(2);
  pick_many(1);  // its slow start begins
  const auto share = [this] { return pick_many(2000)[2] / 2000.0; };
  EXPECT_NEAR(share(), 0.1 / 1.1, 0.02);  // as if of a tenth of the weight
  now += 50s;
  EXPECT_NEAR(share(), 0.5 / 1.5, 0.04);
  now += 51s;
  EXPECT_EQ(share(), 0.5);
}

TEST_F(PolicyTest, endpoints_that_all_start_slowly_share_evenly) {
  policy.slow_start = 100s;
  serve(4);
  const auto counts = pick_many(4000);
  for (const auto& [number, count] : counts) EXPECT_NEAR(count, 1000, 150) << number;
}

TEST_F(PolicyTest, an_endpoint_takes_no_more_than_its_limit) {
  policy.circuit_breaking.requests_per_endpoint_max = 2;
  policy.load_balancing = LoadBalancing::random;
  serve(3);
  std::vector<InFlight> held;
  for (int i = 0; i < 6; ++i) {
    const Pick picked = ask();
    ASSERT_TRUE(picked);
    held.emplace_back(picked.endpoint->state);
  }
  for (int e : {1, 2, 3}) EXPECT_EQ(endpoint(e).state->in_flight, 2U);
  const Pick none = ask();
  EXPECT_FALSE(none);
  EXPECT_EQ(explain(none, world(), port()),
            "service default/world port 80: every endpoint that is ready has as many requests as "
            "its policy allows");
}

// --- Outlier detection ---------------------------------------------------------------------------

TEST_F(PolicyTest, failures_in_a_row_eject_and_a_success_between_them_does_not) {
  policy.outlier.consecutive_failures = 3;
  policy.outlier.ejection_time = 30s;
  serve(3);
  for (int i = 0; i < 10; ++i) {
    fail_at(1, 2, Outcome::server_error);
    succeed_at(1);
  }
  EXPECT_EQ(standing(1), Standing::good);
  fail_at(1, 3, Outcome::server_error);
  EXPECT_EQ(standing(1), Standing::ejected);
  EXPECT_EQ(pick_many(20), (std::map<int, int>{{2, 10}, {3, 10}}));
}

TEST_F(PolicyTest, each_kind_of_failure_has_a_count_of_its_own) {
  struct Row {
    std::string_view what;
    OutlierDetection policy;
    Outcome outcome;
    bool ejected;
  };
  const std::vector<Row> rows = {
      {"server errors are no gateway errors",
       {.consecutive_gateway_errors = 3},
       Outcome::server_error,
       false},
      {"gateway errors", {.consecutive_gateway_errors = 3}, Outcome::gateway_error, true},
      {"broken connections are gateway errors",
       {.consecutive_gateway_errors = 3},
       Outcome::broken,
       true},
      {"connect errors are, too",
       {.consecutive_gateway_errors = 3, .consecutive_connect_errors = 0},
       Outcome::connect_error,
       true},
      {"all are failures", {.consecutive_failures = 3}, Outcome::server_error, true},
      {"server errors without a policy", {}, Outcome::server_error, false},
      {"connect errors without a policy", {}, Outcome::connect_error, true},
      {"nothing is counted", {.consecutive_connect_errors = 0}, Outcome::connect_error, false},
      {"nothing may be ejected", {.ejected_percent_max = 0}, Outcome::connect_error, false},
  };
  for (const Row& row : rows) {
    policy.outlier = row.policy;
    builder.remove_service({"default", "world"});
    snapshot = nullptr;
    serve(3);
    fail_at(1, 5, row.outcome);
    EXPECT_EQ(standing(1) == Standing::ejected, row.ejected) << row.what;
  }
}

TEST_F(PolicyTest, only_a_share_of_the_endpoints_is_ejected_but_one_always_may_be) {
  serve(5);  // half of 5: two
  for (int e : {1, 2, 3, 4, 5}) fail_at(e, 10);
  int ejected = 0;
  for (int e : {1, 2, 3, 4, 5}) ejected += standing(e) == Standing::ejected ? 1 : 0;
  EXPECT_EQ(ejected, 2);
  policy.outlier.ejected_percent_max = 1;
  builder.remove_service({"default", "world"});
  snapshot = nullptr;
  serve(5);
  fail_at(3, 5);
  EXPECT_EQ(standing(3), Standing::ejected);
}

TEST_F(PolicyTest, below_the_panic_threshold_everybody_is_asked_again) {
  policy.outlier.ejected_percent_max = 100;
  policy.outlier.panic_percent = 50;
  serve(4);
  for (int e : {1, 2}) fail_at(e, 5);
  EXPECT_EQ(pick_many(20), (std::map<int, int>{{3, 10}, {4, 10}}));
  fail_at(3, 5);
  EXPECT_EQ(pick_many(20), (std::map<int, int>{{1, 5}, {2, 5}, {3, 5}, {4, 5}}));
}

TEST_F(PolicyTest, when_all_others_were_tried_an_ejected_endpoint_is_better_than_none) {
  serve(2);
  fail_at(1, 5);
  const std::array tried{endpoint(2).address};
  EXPECT_EQ(number(ask({.excluded = tried})), 1);
}

TEST_F(PolicyTest, probation_is_one_request_at_a_time_and_ends_with_a_success) {
  policy.outlier.ejection_time = 10s;
  serve(2);
  fail_at(1, 5);
  now += 9s;
  EXPECT_EQ(pick_many(10), (std::map<int, int>{{2, 10}}));
  now += 2s;
  EXPECT_EQ(standing(1), Standing::probation);
  while (number(ask()) != 1) {
  }
  {
    const InFlight probe(endpoint(1).state);
    EXPECT_EQ(pick_many(10), (std::map<int, int>{{2, 10}}));
  }
  succeed_at(1);
  EXPECT_EQ(standing(1), Standing::good);
  EXPECT_EQ(pick_many(10), (std::map<int, int>{{1, 5}, {2, 5}}));
}

TEST_F(PolicyTest, each_failed_probation_doubles_the_time_up_to_the_longest) {
  policy.outlier.ejection_time = 10s;
  policy.outlier.ejection_time_max = 35s;
  serve(2);
  fail_at(1, 5);
  for (const Duration time : {10s, 20s, 35s, 35s}) {
    now += time - 1s;
    EXPECT_EQ(standing(1), Standing::ejected);
    now += 1s;
    EXPECT_EQ(standing(1), Standing::probation);
    fail_at(1, 1);
  }
}

TEST_F(PolicyTest, an_endpoint_that_becomes_ready_anew_is_judged_anew) {
  serve(2);
  fail_at(1, 5);
  serve(2);
  EXPECT_EQ(standing(1), Standing::ejected) << "it was ready all the time";
  serve(2, {{1, {.health = Health::not_ready}}});
  serve(2);
  EXPECT_EQ(standing(1), Standing::good);
}

TEST_F(PolicyTest, a_share_of_failures_ejects_once_there_were_enough_requests) {
  policy.outlier = {.failure_percent = 40, .interval = 10s, .requests_min = 10};
  serve(3);
  const auto half_fail = [this](int number, int pairs) {
    for (int i = 0; i < pairs; ++i) {
      fail_at(number, 1, Outcome::server_error);
      succeed_at(number);
    }
  };
  half_fail(1, 3);
  half_fail(2, 20);
  now += 11s;
  for (int e : {1, 2}) succeed_at(e);
  EXPECT_EQ(standing(1), Standing::good) << "too few to tell";
  EXPECT_EQ(standing(2), Standing::ejected);
}

TEST_F(PolicyTest, an_endpoint_much_slower_than_the_others_is_ejected) {
  policy.outlier = {
      .latency_percent = 300, .interval = 10s, .requests_min = 5, .ejection_time = 1min};
  serve(3);
  for (int interval = 0; interval < 2; ++interval) {
    for (int i = 0; i < 10; ++i) {
      succeed_at(1, 10ms);
      succeed_at(2, 12ms);
      succeed_at(3, 50ms);
    }
    now += 11s;
  }
  for (int e : {1, 2, 3}) succeed_at(e, 10ms);
  EXPECT_EQ(standing(1), Standing::good);
  EXPECT_EQ(standing(2), Standing::good);
  EXPECT_EQ(standing(3), Standing::ejected);
}

TEST_F(PolicyTest, an_endpoint_is_set_aside_for_as_long_as_it_asks_within_the_limits) {
  policy.outlier.ejection_time_max = 60s;
  serve(2);
  EXPECT_TRUE(set_aside(port(), endpoint(1), policy.outlier, 5s, now));
  EXPECT_FALSE(set_aside(port(), endpoint(2), policy.outlier, 5s, now)) << "one of two is enough";
  now += 5s;
  EXPECT_EQ(standing(1), Standing::probation);
  EXPECT_TRUE(set_aside(port(), endpoint(1), policy.outlier, 1h, now));
  now += 60s;
  EXPECT_EQ(standing(1), Standing::probation);
}

// --- Budget, gate, histogram ---------------------------------------------------------------------

TEST(RetryTokens, are_a_share_of_the_requests_under_way) {
  RetryTokens tokens;
  const RetryBudget budget{.percent = 20, .per_second_min = 0};
  const Instant now{1h};
  EXPECT_FALSE(tokens.take(budget, 4, now));
  EXPECT_TRUE(tokens.take(budget, 5, now));
  EXPECT_FALSE(tokens.take(budget, 5, now));
  EXPECT_TRUE(tokens.take(budget, 10, now));
  tokens.give_back();
  EXPECT_TRUE(tokens.take(budget, 10, now));
  EXPECT_EQ(tokens.retrying(), 2U);
}

TEST(RetryTokens, have_a_minimum_per_second_whatever_is_under_way) {
  RetryTokens tokens;
  const RetryBudget budget{.percent = 0, .per_second_min = 10};
  Instant now{1h};
  int taken = 0;
  for (int tenth = 0; tenth < 100; ++tenth, now += 100ms) {
    for (int i = 0; i < 100; ++i) {
      if (!tokens.take(budget, 0, now)) continue;
      ++taken;
      tokens.give_back();
    }
  }
  EXPECT_NEAR(taken, 10 * 10 + 10, 1) << "ten seconds, and one second's worth at once";
}

TEST(Gate, lets_in_so_many_and_has_so_many_wait_in_order) {
  const auto gate = std::make_shared<Gate>();
  const Gate::Limits limits{.inside_max = 1, .waiting_max = 2};
  std::string turns;
  const auto come = [&](char name) {
    return Gate::enter(gate, limits, [&turns, name] { turns += name; });
  };
  auto a = come('a');
  auto b = come('b');
  auto c = come('c');
  EXPECT_EQ(come('d').entry(), Gate::Entry::full);
  EXPECT_EQ(a.entry(), Gate::Entry::inside);
  EXPECT_EQ(b.entry(), Gate::Entry::waiting);
  a.leave();
  EXPECT_EQ(turns, "b");
  EXPECT_EQ(b.entry(), Gate::Entry::inside);
  c.leave();  // it waits no longer
  EXPECT_EQ(gate->waiting(), 0U);
  b.leave();
  EXPECT_EQ(turns, "b");
  EXPECT_EQ(gate->inside(), 0U);
}

TEST(Gate, who_may_spare_a_place_is_asked_once_when_somebody_has_to_wait) {
  const auto gate = std::make_shared<Gate>();
  const Gate::Limits limits{.inside_max = 4, .waiting_max = 1};
  int one = 0;
  int other = 0;
  const auto enter = [&](int* who) {
    if (who == nullptr) return Gate::enter(gate, limits, [] {});
    return Gate::enter(gate, limits, [] {}, {.who = who, .on_wanted = [who] { ++*who; }});
  };
  auto first = enter(&one);
  const auto second = enter(&one);
  const auto third = enter(&other);
  const auto fourth = enter(nullptr);
  EXPECT_EQ(one + other, 0);
  const auto waiting = enter(&one);
  EXPECT_EQ(one, 1);
  EXPECT_EQ(other, 1);
  EXPECT_TRUE(gate->is_next(waiting));
  EXPECT_EQ(enter(&one).entry(), Gate::Entry::full);
  EXPECT_EQ(one, 1) << "one who may not even wait asks nobody";
  first.leave();
  EXPECT_EQ(waiting.entry(), Gate::Entry::inside);
  EXPECT_FALSE(gate->is_next(waiting));
}

TEST(Gate, a_limit_that_is_raised_lets_in_those_who_wait) {
  const auto gate = std::make_shared<Gate>();
  int turns = 0;
  const auto come = [&](std::uint32_t most) {
    return Gate::enter(gate, {.inside_max = most, .waiting_max = 5}, [&turns] { ++turns; });
  };
  const auto a = come(1);
  const auto b = come(1);
  const auto c = come(3);
  EXPECT_EQ(turns, 1);
  EXPECT_EQ(b.entry(), Gate::Entry::inside);
  EXPECT_EQ(c.entry(), Gate::Entry::inside);
}

TEST(LatencyHistogram, a_percentile_is_right_within_an_eighth) {
  LatencyHistogram latencies;
  for (int i = 1; i <= 63; ++i) latencies.observe(std::chrono::microseconds(i * 100));
  EXPECT_FALSE(latencies.percentile(95)) << "too few to tell";
  for (int i = 64; i <= 1000; ++i) latencies.observe(std::chrono::microseconds(i * 100));
  const auto is_near = [&](std::uint32_t percent, Duration wanted) {
    const Duration found = *latencies.percentile(percent);
    EXPECT_GE(found, wanted) << percent;
    EXPECT_LE(found, wanted + wanted / 8 + 1us) << percent;
  };
  is_near(50, 50ms);
  is_near(95, 95ms);
  is_near(99, 99ms);
}

TEST(LatencyHistogram, what_is_old_counts_less) {
  LatencyHistogram latencies;
  for (int i = 0; i < 4000; ++i) latencies.observe(100ms);
  for (int i = 0; i < 60000; ++i) latencies.observe(1ms);
  EXPECT_LE(*latencies.percentile(99), 2ms);
  latencies.observe(0ns);
  latencies.observe(10min);
}

}  // namespace
}  // namespace tulle::mesh
