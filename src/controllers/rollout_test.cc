#include "controllers/rollout.h"

#include "base/random.h"
#include "codec/json.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <algorithm>
#include <numeric>
#include <string>

namespace tulle::controllers {
namespace {

using Sizes = std::vector<std::int64_t>;

std::int64_t sum(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
}

TEST(Rollout, limits_round_surge_up_and_unavailable_down) {
  struct Row {
    std::string rolling_update;
    std::int64_t replicas, surge, unavailable;
  };
  const std::vector<Row> rows = {
      {R"({})", 4, 1, 1},
      {R"({})", 1, 1, 0},
      {R"({})", 10, 3, 2},
      {R"({"maxSurge":"25%","maxUnavailable":"25%"})", 0, 0, 0},
      {R"({"maxSurge":2,"maxUnavailable":0})", 3, 2, 0},
      {R"({"maxSurge":0,"maxUnavailable":0})", 3, 0, 1},
      {R"({"maxSurge":"0%","maxUnavailable":"10%"})", 5, 0, 1},
      {R"({"maxSurge":"100%","maxUnavailable":"100%"})", 7, 7, 7},
      {R"({"maxSurge":"150%","maxUnavailable":50})", 2, 3, 2},
  };
  for (const Row& row : rows) {
    const auto strategy = codec::parse_json(row.rolling_update);
    const boost::json::object deployment{{"spec", {{"strategy", {{"rollingUpdate", *strategy}}}}}};
    const RolloutLimits limits = rollout_limits(deployment, row.replicas);
    EXPECT_EQ(limits.surge, row.surge) << row.rolling_update << " of " << row.replicas;
    EXPECT_EQ(limits.unavailable, row.unavailable) << row.rolling_update << " of " << row.replicas;
  }
}

TEST(Rollout, the_new_set_grows_into_the_room_that_surge_leaves) {
  struct Row {
    std::int64_t wanted;
    SetSize newest;
    std::vector<SetSize> old;
    RolloutLimits limits;
    std::int64_t next;
  };
  const std::vector<Row> rows = {
      {3, {}, {}, {1, 0}, 3},                     // the first rollout
      {4, {}, {{4, 4}}, {1, 1}, 1},               // surge only
      {4, {1, 1}, {{4, 4}}, {1, 1}, 1},           // no room until the old one shrinks
      {4, {1, 1}, {{3, 3}}, {1, 1}, 2},           //
      {4, {3, 3}, {}, {1, 1}, 4},                 // never above what is wanted
      {4, {6, 6}, {{1, 1}}, {1, 1}, 4},           // scaled down
      {4, {0, 0}, {{3, 3}, {4, 4}}, {1, 1}, 0},   // too many already
      {10, {2, 0}, {{3, 3}, {4, 1}}, {3, 2}, 6},  //
      {0, {0, 0}, {{2, 2}}, {1, 0}, 0},           // nothing is wanted
  };
  for (const Row& row : rows) {
    EXPECT_EQ(next_new_size(row.wanted, row.newest, row.old, row.limits), row.next)
        << row.wanted << " wanted, new set has " << row.newest.spec;
  }
}

TEST(Rollout, old_sets_lose_pods_that_serve_nobody_first) {
  struct Row {
    std::string what;
    std::int64_t wanted;
    SetSize newest;
    std::vector<SetSize> old;
    RolloutLimits limits;
    Sizes next;
  };
  const std::vector<Row> rows = {
      {"one may be missing", 4, {1, 0}, {{4, 4}}, {1, 1}, {3}},
      {"none may be missing and the new one is not available", 4, {1, 0}, {{4, 4}}, {1, 0}, {4}},
      {"none may be missing and the new one is available", 4, {1, 1}, {{4, 4}}, {1, 0}, {3}},
      {"the new set is complete", 4, {4, 4}, {{1, 1}}, {1, 0}, {0}},
      {"the oldest goes first", 4, {2, 2}, {{2, 2}, {2, 2}}, {2, 0}, {0, 2}},
      {"what is not available costs nothing", 4, {1, 0}, {{2, 2}, {2, 0}}, {1, 1}, {2, 1}},
      {"a broken new set keeps the old one", 10, {5, 0}, {{8, 8}}, {3, 2}, {8}},
      {"nothing is wanted", 0, {0, 0}, {{3, 3}}, {1, 0}, {0}},
      {"no old sets", 3, {3, 3}, {}, {1, 0}, {}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(next_old_sizes(row.wanted, row.newest, row.old, row.limits), row.next) << row.what;
  }
}

TEST(Rollout, a_change_of_scale_is_shared_in_proportion) {
  struct Row {
    std::int64_t wanted;
    Sizes sizes;
    std::int64_t surge;
    Sizes next;
  };
  const std::vector<Row> rows = {
      {20, {5, 5}, 0, {10, 10}},     //
      {15, {6, 4}, 5, {12, 8}},      //
      {4, {5, 5}, 1, {2, 3}},        // of equals the oldest shrinks
      {11, {5, 5}, 0, {5, 6}},       // and the newest grows
      {0, {5, 3}, 2, {0, 0}},        // nothing wanted: no surge either
      {3, {0, 0}, 1, {0, 0}},        // nothing to be in proportion to
      {6, {8, 2}, 0, {5, 1}},        // rounded to the nearest
      {7, {3, 3, 3}, 0, {2, 2, 3}},  //
      {1, {1, 1, 1}, 0, {0, 0, 1}},  //
  };
  for (const Row& row : rows) {
    const Sizes next = proportional_sizes(row.wanted, row.sizes, row.surge);
    EXPECT_EQ(sum(next), sum(row.next)) << "to " << row.wanted;
    EXPECT_EQ(next, row.next) << "to " << row.wanted;
  }
}

TEST(Rollout, proportional_sizes_add_up_and_stay_positive) {
  Random random(1);
  for (int round = 0; round < 5000; ++round) {
    Sizes sizes(1 + random.below(5));
    for (auto& size : sizes) size = static_cast<std::int64_t>(random.below(40));
    const auto wanted = static_cast<std::int64_t>(random.below(60));
    const auto surge = static_cast<std::int64_t>(random.below(10));
    const Sizes next = proportional_sizes(wanted, sizes, surge);
    ASSERT_EQ(next.size(), sizes.size());
    ASSERT_TRUE(std::ranges::all_of(next, [](std::int64_t size) { return size >= 0; }));
    if (sum(sizes) > 0) ASSERT_EQ(sum(next), wanted == 0 ? 0 : wanted + surge);
  }
}

// A deployment's sets as pods: each becomes available at some time, and a set that shrinks gives up
// those that are not available first, as ReplicaSets do.
struct Simulated {
  void step(Random& random) {
    const std::int64_t up = next_new_size(wanted, newest, old, limits);
    if (up != newest.spec) {
      newest.spec = up;
    } else {
      const auto sizes = next_old_sizes(wanted, newest, old, limits);
      for (std::size_t i = 0; i < old.size(); ++i) old[i].spec = sizes[i];
    }
    for (SetSize& set : old) set.available = std::min(set.available, set.spec);
    newest.available = std::min(newest.available, newest.spec);
    if (newest.available < newest.spec && random.below(2) == 0) ++newest.available;
  }
  std::int64_t pods() const {
    std::int64_t count = newest.spec;
    for (const SetSize& set : old) count += set.spec;
    return count;
  }
  std::int64_t available() const {
    std::int64_t count = newest.available;
    for (const SetSize& set : old) count += set.available;
    return count;
  }

  std::int64_t wanted;
  RolloutLimits limits;
  SetSize newest;
  std::vector<SetSize> old;
};

TEST(Rollout, a_rollout_stays_within_its_limits_and_ends) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Random random(seed);
    const auto wanted = static_cast<std::int64_t>(1 + random.below(20));
    Simulated rollout{.wanted = wanted, .limits = {}, .newest = {}, .old = {}};
    rollout.limits.surge = static_cast<std::int64_t>(random.below(5));
    rollout.limits.unavailable = std::min(wanted, static_cast<std::int64_t>(random.below(5)));
    if (rollout.limits.surge == 0 && rollout.limits.unavailable == 0) rollout.limits.surge = 1;
    // One or two old sets that hold what is wanted; some of their pods may be broken.
    const auto first = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(wanted)));
    rollout.old = {{first, first}, {wanted - first, wanted - first}};
    if (random.below(3) == 0) {
      rollout.old[1].available =
          static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(wanted - first)));
    }
    const std::int64_t least = std::min(rollout.available(), wanted - rollout.limits.unavailable);
    int steps = 0;
    while (rollout.newest.available < wanted || rollout.pods() > wanted) {
      ASSERT_LT(++steps, 1000) << "seed " << seed << ": does not end";
      rollout.step(random);
      ASSERT_LE(rollout.pods(), wanted + rollout.limits.surge) << "seed " << seed;
      ASSERT_GE(rollout.available(), least) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace tulle::controllers
