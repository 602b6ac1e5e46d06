#include "mesh/pick.h"

#include "base/random.h"
#include "mesh/mesh_test_util.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace tulle::mesh {
namespace {

using namespace std::chrono_literals;
using testing::at;
using testing::EndpointSpec;
using testing::ip;

const std::vector<EndpointSpec> three = {
    {"10.244.0.1:8081"}, {"10.244.0.2:8081"}, {"10.244.0.3:8081"}};

// One service, whose endpoints are called by the last number of their address: 1, 2, 3…
class PickTest : public ::testing::Test {
 protected:
  void serve(std::vector<EndpointSpec> endpoints,
             LoadBalancing policy = LoadBalancing::least_request) {
    Service made = testing::service("world", "10.96.0.7", std::move(endpoints));
    made.load_balancing = policy;
    made.client_affinity_timeout = affinity;
    builder.put(std::move(made));
    snapshot = builder.build();
  }

  const Service& world() const { return *snapshot->service(ObjectNameView{"default", "world"}); }
  const ServicePort& port() const { return world().ports[0]; }

  Pick pick_one(std::string_view client = "10.244.9.9", std::vector<SocketAddress> excluded = {}) {
    return pick(world(), port(), {.client = ip(client), .excluded = excluded}, now, random);
  }
  // The picked endpoint's number; 0 for none.
  int number(const Pick& picked) { return picked ? picked.endpoint->address.ip.bytes()[3] : 0; }
  int pick_number() { return number(pick_one()); }

  // Starts a request that stays in flight.
  int start() {
    Pick picked = pick_one();
    held[number(picked)].emplace_back(picked.endpoint->state);
    return number(picked);
  }
  void finish(int endpoint) { held[endpoint].pop_back(); }

  std::map<int, int> pick_many(int times) {
    std::map<int, int> counts;
    for (int i = 0; i < times; ++i) ++counts[pick_number()];
    return counts;
  }

  SnapshotBuilder builder;
  SnapshotPtr snapshot;
  Random random{7};
  Instant now{};
  std::optional<std::chrono::seconds> affinity;
  std::map<int, std::vector<InFlight>> held;
};

TEST_F(PickTest, least_request_with_nothing_in_flight_goes_round_exactly) {
  serve(three);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(pick_number(), i % 3 + 1);
}

TEST_F(PickTest, least_request_is_never_more_than_one_apart) {
  serve(three);
  Random chance(42);
  for (int i = 0; i < 2000; ++i) {
    std::size_t least = SIZE_MAX;
    for (int e : {1, 2, 3}) least = std::min(least, held[e].size());
    int picked = start();
    EXPECT_EQ(held[picked].size(), least + 1);
    int other = static_cast<int>(chance.below(3)) + 1;
    if (chance.below(3) > 0 && !held[other].empty()) finish(other);
  }
}

TEST_F(PickTest, ties_go_round_among_the_tied) {
  serve(three);
  EXPECT_EQ(start(), 1);
  EXPECT_EQ(pick_number(), 2);
  EXPECT_EQ(pick_number(), 3);
  EXPECT_EQ(pick_number(), 2);
  EXPECT_EQ(pick_number(), 3);
  finish(1);
  EXPECT_EQ(pick_number(), 1);
}

TEST_F(PickTest, least_request_fills_by_weight) {
  serve({{"10.244.0.1:80", Health::ready, 1},
         {"10.244.0.2:80", Health::ready, 3},
         {"10.244.0.3:80", Health::ready, 6}});
  for (int i = 0; i < 100; ++i) start();
  EXPECT_NEAR(static_cast<double>(held[1].size()), 10, 1);
  EXPECT_NEAR(static_cast<double>(held[2].size()), 30, 1);
  EXPECT_NEAR(static_cast<double>(held[3].size()), 60, 1);
}

TEST_F(PickTest, least_request_goes_round_by_weight_while_all_are_idle) {
  serve({{"10.244.0.1:80", Health::ready, 4}, {"10.244.0.2:80", Health::ready, 1}});
  EXPECT_EQ(pick_many(50), (std::map<int, int>{{1, 40}, {2, 10}}));
}

TEST_F(PickTest, round_robin_ignores_load_and_is_exact) {
  serve(three, LoadBalancing::round_robin);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(start(), i % 3 + 1);
}

TEST_F(PickTest, weighted_round_robin_is_exact_in_every_round_and_smooth) {
  serve({{"10.244.0.1:80", Health::ready, 50},
         {"10.244.0.2:80", Health::ready, 10},
         {"10.244.0.3:80", Health::ready, 10}},
        LoadBalancing::round_robin);
  std::string turns;
  for (int i = 0; i < 14; ++i) turns += std::to_string(pick_number());
  EXPECT_EQ(turns, "11123111112311");
  EXPECT_EQ(pick_many(70), (std::map<int, int>{{1, 50}, {2, 10}, {3, 10}}));
}

TEST_F(PickTest, a_rotation_too_long_is_rounded_and_serves_everyone) {
  std::vector<EndpointSpec> many;
  std::vector<std::string> names;
  for (int i = 1; i <= 20; ++i) names.push_back("10.244.0." + std::to_string(i) + ":80");
  many.reserve(names.size());
  for (const auto& name : names) many.push_back({name, Health::ready, 997});
  many[0].weight = 1;
  serve(many, LoadBalancing::round_robin);
  EXPECT_LE(port().tiers[0].rotation.size(), 4096U);
  auto counts = pick_many(static_cast<int>(port().tiers[0].rotation.size()));
  EXPECT_EQ(counts.size(), 20U);
  EXPECT_EQ(counts[1], 1);
  EXPECT_EQ(counts[2], counts[20]);
}

TEST_F(PickTest, random_is_fair_by_weight) {
  serve({{"10.244.0.1:80", Health::ready, 1},
         {"10.244.0.2:80", Health::ready, 2},
         {"10.244.0.3:80", Health::ready, 7}},
        LoadBalancing::random);
  auto counts = pick_many(10000);
  EXPECT_NEAR(counts[1], 1000, 100);
  EXPECT_NEAR(counts[2], 2000, 150);
  EXPECT_NEAR(counts[3], 7000, 200);
}

TEST_F(PickTest, only_ready_endpoints_are_picked_and_draining_ones_only_when_none_is) {
  serve({{"10.244.0.1:80", Health::not_ready},
         {"10.244.0.2:80", Health::draining},
         {"10.244.0.3:80", Health::ready},
         {"10.244.0.4:80", Health::ready}});
  EXPECT_EQ(pick_many(10), (std::map<int, int>{{3, 5}, {4, 5}}));
  serve({{"10.244.0.1:80", Health::not_ready}, {"10.244.0.2:80", Health::draining}});
  EXPECT_EQ(pick_many(4), (std::map<int, int>{{2, 4}}));
}

TEST_F(PickTest, every_policy_passes_over_excluded_endpoints) {
  for (auto policy :
       {LoadBalancing::least_request, LoadBalancing::round_robin, LoadBalancing::random}) {
    serve(three, policy);
    for (int i = 0; i < 20; ++i) {
      Pick picked = pick_one("10.244.9.9", {at("10.244.0.1:8081"), at("10.244.0.3:8081")});
      EXPECT_EQ(number(picked), 2);
      EXPECT_EQ(picked.reason, PickReason::only_endpoint);
    }
  }
}

TEST_F(PickTest, no_endpoint_is_explained_with_service_and_cause) {
  struct Row {
    std::vector<EndpointSpec> endpoints;
    std::vector<SocketAddress> excluded;
    PickReason reason;
    std::string text;
  };
  const Row rows[] = {
      {{},
       {},
       PickReason::no_endpoints,
       "service default/world port 80 has no endpoints: no pod with an address matches its "
       "selector"},
      {{{"10.244.0.1:80", Health::not_ready}, {"10.244.0.2:80", Health::not_ready}},
       {},
       PickReason::none_ready,
       "service default/world port 80 has no ready endpoint (0 of 2 ready)"},
      {{{"10.244.0.1:80"}, {"10.244.0.2:80", Health::not_ready}},
       {at("10.244.0.1:80")},
       PickReason::all_tried,
       "service default/world port 80: every endpoint that is ready failed (tried 1 of 2)"},
  };
  for (const Row& row : rows) {
    serve(row.endpoints);
    Pick picked = pick_one("10.244.9.9", row.excluded);
    EXPECT_FALSE(picked);
    EXPECT_EQ(picked.reason, row.reason);
    EXPECT_EQ(explain(picked, world(), port()), row.text);
  }
  serve(three);
  start();
  EXPECT_EQ(explain(pick_one(), world(), port()),
            "10.244.0.2:8081, least requests: 0 in flight, 3 candidates");
}

TEST_F(PickTest, a_client_stays_until_it_was_silent_for_the_timeout) {
  affinity = 100s;
  serve(three);
  Pick first = pick_one("10.244.5.1");
  EXPECT_EQ(first.reason, PickReason::least_request);
  EXPECT_NE(number(pick_one("10.244.5.2")), number(first));
  for (int i = 0; i < 5; ++i) {
    now += 99s;
    Pick again = pick_one("10.244.5.1");
    EXPECT_EQ(number(again), number(first));
    EXPECT_EQ(again.reason, PickReason::client_affinity);
  }
  now += 100s;
  EXPECT_EQ(pick_one("10.244.5.1").reason, PickReason::least_request);
}

TEST_F(PickTest, a_client_whose_endpoint_fails_or_leaves_is_bound_anew) {
  affinity = 100s;
  serve(three);
  EXPECT_EQ(number(pick_one("10.244.5.1")), 1);
  EXPECT_EQ(number(pick_one("10.244.5.1", {at("10.244.0.1:8081")})), 2);
  EXPECT_EQ(number(pick_one("10.244.5.1")), 2);
  serve({three[0], three[2]});
  EXPECT_EQ(pick_one("10.244.5.1").reason, PickReason::least_request);
}

TEST_F(PickTest, counters_turns_and_affinity_survive_a_new_snapshot) {
  affinity = 100s;
  serve(three);
  EXPECT_EQ(start(), 1);
  SnapshotPtr before = snapshot;
  serve(three);
  EXPECT_EQ(port().endpoints[0].state->in_flight.load(), 1U);
  EXPECT_EQ(number(pick_one("10.244.9.9")), 1) << "bound";
  EXPECT_EQ(number(pick_one("10.244.9.1")), 2) << "less loaded";
  serve({three[1], three[2]});
  serve(three);
  EXPECT_EQ(port().endpoints[0].state->in_flight.load(), 1U) << "held by the request alone";
  held.clear();
  EXPECT_EQ(before->service(ObjectNameView{"default", "world"})
                ->ports[0]
                .endpoints[0]
                .state->in_flight.load(),
            0U);
}

TEST(AffinityTableTest, is_full_at_its_limit_and_forgets_the_longest_silent) {
  AffinityTable table;
  Cidr clients = *Cidr::parse("10.0.0.0/8");
  Instant now{};
  for (std::size_t i = 0; i <= AffinityTable::clients_max; ++i) {
    table.bind(clients.at(i), at("10.244.0.1:80"), 1h, now);
  }
  EXPECT_EQ(table.size(), AffinityTable::clients_max);
  EXPECT_FALSE(table.find(clients.at(0), 1h, now));
  EXPECT_TRUE(table.find(clients.at(1), 1h, now));
  table.bind(clients.at(1), at("10.244.0.1:80"), 1h, now + 1h);
  EXPECT_EQ(table.size(), 1U) << "everyone else was silent for the timeout";
}

// 1 and 2 come first, 3 and 4 stand in for them, 5 for all.
const std::vector<EndpointSpec> levels = {{"10.244.0.5:8081", Health::ready, 1, {}, 7},
                                          {"10.244.0.4:8081", Health::ready, 1, {}, 1},
                                          {"10.244.0.1:8081"},
                                          {"10.244.0.3:8081", Health::ready, 1, {}, 1},
                                          {"10.244.0.2:8081"}};

TEST_F(PickTest, what_stands_in_has_its_turn_when_none_before_it_can_be_picked) {
  struct Row {
    std::vector<int> gone;  // tried in vain
    std::map<int, int> shares;
  };
  const std::vector<Row> rows = {{{}, {{1, 6}, {2, 6}}},     {{1}, {{2, 12}}},
                                 {{1, 2}, {{3, 6}, {4, 6}}}, {{1, 2, 4}, {{3, 12}}},
                                 {{1, 2, 3, 4}, {{5, 12}}},  {{1, 2, 3, 4, 5}, {{0, 12}}}};
  for (const auto policy : {LoadBalancing::least_request, LoadBalancing::round_robin}) {
    serve(levels, policy);
    for (const Row& row : rows) {
      std::vector<SocketAddress> gone;
      gone.reserve(row.gone.size());
      for (const int each : row.gone)
        gone.push_back({.ip = IpAddress::v4(10, 244, 0, each), .port = 8081});
      std::map<int, int> shares;
      for (int i = 0; i < 12; ++i) ++shares[number(pick_one("10.244.9.9", gone))];
      EXPECT_EQ(shares, row.shares) << to_string(policy) << ", gone: " << row.gone.size();
    }
  }
}

TEST_F(PickTest, of_every_policy_the_first_level_alone_is_picked) {
  for (const auto policy : {LoadBalancing::random, LoadBalancing::peak_ewma,
                            LoadBalancing::ring_hash, LoadBalancing::maglev}) {
    serve(levels, policy);
    std::map<int, int> shares;
    for (std::uint64_t key = 0; key < 100; ++key) {
      const PickRequest request{.client = ip("10.244.9.9"), .hash = key * 0x9e3779b97f4a7c15};
      ++shares[number(pick(world(), port(), request, now, random))];
    }
    EXPECT_EQ(shares.size(), 2U) << to_string(policy);
    EXPECT_GT(shares[1], 20) << to_string(policy);
    EXPECT_GT(shares[2], 20) << to_string(policy);
  }
}

TEST_F(PickTest, an_ejected_level_is_stood_in_for_before_ejections_are_passed_over) {
  serve(levels);
  const auto eject = [&](int which) {
    for (const Endpoint& endpoint : port().endpoints) {
      if (endpoint.address.ip.bytes()[3] != which) continue;
      OutlierDetection policy{.ejected_percent_max = 100};
      EXPECT_TRUE(set_aside(port(), endpoint, policy, 10s, now));
    }
  };
  eject(1);
  EXPECT_EQ(pick_many(4), (std::map<int, int>{{2, 4}}));
  eject(2);
  EXPECT_EQ(pick_many(4), (std::map<int, int>{{3, 2}, {4, 2}}));
  const Pick picked = pick_one();
  EXPECT_TRUE(picked.stands_in);
  EXPECT_THAT(explain(picked, world(), port()),
              ::testing::HasSubstr("those that come before it cannot take the request"));
  const auto all = candidacies(world(), port(), {}, now, random);
  EXPECT_THAT(
      all, ::testing::ElementsAre(Candidacy::ejected, Candidacy::ejected, Candidacy::may_be_picked,
                                  Candidacy::may_be_picked, Candidacy::in_reserve));
  eject(3);
  EXPECT_EQ(pick_many(4), (std::map<int, int>{{4, 4}}));
  eject(4);
  EXPECT_EQ(pick_many(4), (std::map<int, int>{{5, 4}}));
  // Nobody is left: it is the proxy's own trouble, and everybody is asked again.
  eject(5);
  EXPECT_EQ(pick_many(4), (std::map<int, int>{{1, 2}, {2, 2}}));
}

TEST_F(PickTest, a_level_that_is_dead_is_stood_in_for_however_many_it_has) {
  serve({{"10.244.0.1:8081"},
         {"10.244.0.2:8081"},
         {"10.244.0.3:8081"},
         {"10.244.0.4:8081", Health::ready, 1, {}, 1}});
  const OutlierDetection policy;  // of a half at most, but for a level that others stand in for
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(set_aside(port(), port().endpoints[static_cast<std::size_t>(i)], policy, 10s, now));
  }
  EXPECT_EQ(pick_many(4), (std::map<int, int>{{4, 4}}));
  EXPECT_TRUE(set_aside(port(), port().endpoints[3], policy, 10s, now)) << "one always may be";
  EXPECT_EQ(pick_many(6), (std::map<int, int>{{1, 2}, {2, 2}, {3, 2}})) << "all are in panic";
}

TEST_F(PickTest, those_that_stand_in_have_equal_turns) {
  serve({{"10.244.0.1:8081"},
         {"10.244.0.2:8081", Health::ready, 1, {}, 1},
         {"10.244.0.3:8081", Health::ready, 1, {}, 1},
         {"10.244.0.4:8081", Health::ready, 1, {}, 1}},
        LoadBalancing::round_robin);
  EXPECT_TRUE(set_aside(port(), port().endpoints[0], {}, 10s, now));
  EXPECT_EQ(pick_many(9), (std::map<int, int>{{2, 3}, {3, 3}, {4, 3}}));
}

TEST_F(PickTest, a_level_that_is_full_spills_over) {
  Policy limits;
  limits.circuit_breaking.requests_per_endpoint_max = 1;
  Service made = testing::service("world", "10.96.0.7", levels);
  made.policy = std::make_shared<const Policy>(limits);
  builder.put(std::move(made));
  snapshot = builder.build();
  std::map<int, int> shares;
  for (int i = 0; i < 5; ++i) ++shares[start()];
  EXPECT_EQ(shares, (std::map<int, int>{{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}}));
  EXPECT_EQ(pick_one().reason, PickReason::all_busy);
}

TEST_F(PickTest, a_client_stays_where_it_was_sent_while_that_may_be_picked) {
  affinity = 10s;
  serve(levels);
  const auto gone = std::vector{at("10.244.0.1:8081"), at("10.244.0.2:8081")};
  const int held_by = number(pick_one("10.244.9.9", gone));
  EXPECT_EQ(number(pick_one("10.244.9.9")), held_by);
  EXPECT_LE(number(pick_one("10.244.9.8")), 2);
}

TEST_F(PickTest, a_local_policy_keeps_requests_on_the_node) {
  const auto serve_local = [&](Health of_local) {
    Service made = testing::service("world", "10.96.0.7",
                                    {{"10.244.0.1:8081"},
                                     {"10.244.0.2:8081", of_local, 1, {}, 0, true},
                                     {"10.244.0.3:8081"},
                                     {"10.244.0.4:8081", of_local, 1, {}, 0, true}});
    made.external_local = true;
    builder.put(std::move(made));
    snapshot = builder.build();
  };
  const auto shares = [&](bool external) {
    std::map<int, int> counts;
    const PickRequest request{.client = ip("10.244.9.9"), .external = external};
    for (int i = 0; i < 12; ++i) ++counts[number(pick(world(), port(), request, now, random))];
    return counts;
  };
  serve_local(Health::ready);
  EXPECT_EQ(shares(false), (std::map<int, int>{{1, 3}, {2, 3}, {3, 3}, {4, 3}}));
  EXPECT_EQ(shares(true), (std::map<int, int>{{2, 6}, {4, 6}}));
  EXPECT_THAT(candidacies(world(), port(), {.external = true}, now, random),
              ::testing::ElementsAre(Candidacy::may_be_picked, Candidacy::may_be_picked,
                                     Candidacy::elsewhere, Candidacy::elsewhere));
  // Those of this node that end are better than none (KEP-1669).
  serve_local(Health::draining);
  EXPECT_EQ(shares(false), (std::map<int, int>{{1, 6}, {3, 6}}));
  EXPECT_EQ(shares(true), (std::map<int, int>{{2, 6}, {4, 6}}));
  serve_local(Health::not_ready);
  const Pick none = pick(world(), port(), {.external = true}, now, random);
  EXPECT_EQ(none.reason, PickReason::none_local);
  EXPECT_THAT(explain(none, world(), port()), ::testing::HasSubstr("its traffic policy is Local"));
}

}  // namespace
}  // namespace tulle::mesh
