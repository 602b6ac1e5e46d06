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
  for (const auto& name : names) many.push_back({name, Health::ready, 997});
  many[0].weight = 1;
  serve(many, LoadBalancing::round_robin);
  EXPECT_LE(port().rotation.size(), 4096U);
  auto counts = pick_many(static_cast<int>(port().rotation.size()));
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

}  // namespace
}  // namespace tulle::mesh
