#include "controllers/stateful_rollout.h"

#include "codec/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>
#include <string_view>

namespace tulle::controllers {
namespace {

// A pod per letter: a available, u ready but not for long enough, n not ready, f ended, t told to
// go, . not there. Capital: of the newest revision.
std::vector<Replica> pods(std::string_view letters) {
  std::vector<Replica> replicas;
  replicas.reserve(letters.size());
  for (const char letter : letters) {
    const bool updated = letter >= 'A' && letter <= 'Z';
    ReplicaState state = ReplicaState::absent;
    switch (updated ? letter - 'A' + 'a' : letter) {
      case 'a': state = ReplicaState::available; break;
      case 'u': state = ReplicaState::unavailable; break;
      case 'n': state = ReplicaState::not_ready; break;
      case 'f': state = ReplicaState::ended; break;
      case 't': state = ReplicaState::ending; break;
      default: break;
    }
    replicas.push_back({.state = state, .updated = updated});
  }
  return replicas;
}

// "+0" creates the first replica, "-0" removes it, "x0" removes the first of the condemned.
std::string text_of(const StatefulSteps& steps) {
  std::string text;
  for (const std::size_t i : steps.create) text += fmt::format("+{} ", i);
  for (const std::size_t i : steps.remove) text += fmt::format("-{} ", i);
  for (const std::size_t i : steps.remove_condemned) text += fmt::format("x{} ", i);
  if (!text.empty()) text.pop_back();
  return text;
}

struct Row {
  std::string_view replicas;
  std::string_view condemned;
  std::string_view steps;
  StatefulStrategy strategy = {};
};

void check(const std::vector<Row>& rows, bool ordered) {
  for (const Row& row : rows) {
    StatefulView view{
        .strategy = row.strategy, .replicas = pods(row.replicas), .condemned = pods(row.condemned)};
    view.strategy.ordered = ordered;
    EXPECT_EQ(text_of(next_steps(view)), row.steps)
        << (ordered ? "ordered" : "parallel") << " '" << row.replicas << "' condemned '"
        << row.condemned << "'";
  }
}

TEST(StatefulRollout, in_order_one_pod_is_made_or_taken_at_a_time_and_waited_for) {
  check(
      {
          {"...", "", "+0"}, {"N..", "", ""}, {"U..", "", ""},   {"A..", "", "+1"},
          {"AA.", "", "+2"}, {"AAA", "", ""}, {"A.A", "", "+1"},  // one was deleted
          {"AtA", "", ""},    // not before the old one is really gone
          {"F.A", "", "-0"},  // ended: replaced by one of the same name
          {"T.A", "", ""},    //
          {"A", "AA", "x0"},  // fewer are wanted
          {"A", "TA", ""},    // one after the other
          {"N", "AA", ""},    // not while one that stays is not ready
          {".", "AA", "+0"},  //
          {"A", "NA", "x0"},  //
          {"A", "NN", ""},    // the lower may be what the higher needs
          {"A", "AN", "x0"},  //
          {"A", "FA", "x0"},  //
          {"", "AAA", "x0"},  //
          {"", "", ""},       //
      },
      true);
}

TEST(StatefulRollout, in_order_a_new_revision_comes_from_the_highest_ordinal_down) {
  const StatefulStrategy from_one{.partition = 1};
  const StatefulStrategy two_at_once{.unavailable_max = 2};
  const StatefulStrategy by_hand{.rolling = false};
  check(
      {
          {"aaa", "", "-2"},
          {"aat", "", ""},
          {"aa.", "", "+2"},
          {"aaN", "", ""},
          {"aaU", "", ""},
          {"aaA", "", "-1"},
          {"aAA", "", "-0"},
          {"aaa", "a", "x0"},  // first what is to go
          {"aAA", "", "", from_one},
          {"naa", "", "", from_one},  // old and to stay so: waited for
          {"aaa", "", "-2 -1", two_at_once},
          {"aaA", "", "-1 -0", two_at_once},
          {"aat", "", "", two_at_once},
          {"aaa", "", "", by_hand},
          {"nan", "", "", by_hand},
          {"aa.", "", "+2", by_hand},
      },
      true);
}

TEST(StatefulRollout, in_order_a_broken_revision_gives_way_to_its_successor) {
  check(
      {
          {"aan", "", "-2"},  // the newest is another by now
          {"aau", "", ""},    // it serves: it may yet become available
          {"naa", "", "-0"},
          {"n..", "", "-0"},
          {"aaN", "", ""},  // still broken
      },
      true);
}

TEST(StatefulRollout, in_parallel_nothing_waits_but_a_rollout_for_pods_that_serve) {
  const StatefulStrategy two_at_once{.unavailable_max = 2};
  const StatefulStrategy from_two{.partition = 2};
  check(
      {
          {"...", "", "+0 +1 +2"},
          {"N.F", "", "+1 -2"},
          {"A", "NTA", "x0 x2"},
          {"aaa", "", "-2"},
          {"aaN", "", ""},
          {"aat", "", ""},
          {"aaA", "", "-1"},
          {"nan", "", "-2 -0"},  // no loss
          {"aNa", "", ""},
          {"aau", "", ""},
          {"aaaa", "", "-3 -2", two_at_once},
          {"aaaN", "", "-2", two_at_once},
          {"aaaa", "", "-3", from_two},
          {"aaAA", "", "", from_two},
          {"nnAA", "", "", from_two},
      },
      false);
}

TEST(StatefulRollout, pods_below_the_partition_are_made_of_the_current_revision) {
  const StatefulStrategy partitioned{.partition = 2};
  EXPECT_FALSE(is_made_updated(partitioned, 1));
  EXPECT_TRUE(is_made_updated(partitioned, 2));
  EXPECT_TRUE(is_made_updated({}, 0));
  EXPECT_TRUE(is_made_updated({.rolling = false, .partition = 2}, 0));
}

TEST(StatefulRollout, the_strategy_is_read_with_the_defaults_of_the_api) {
  const auto strategy_of = [](std::string_view spec) {
    return stateful_strategy({{"spec", *codec::parse_json(spec)}});
  };
  EXPECT_TRUE(strategy_of("{}").ordered);
  EXPECT_TRUE(strategy_of("{}").rolling);
  EXPECT_EQ(strategy_of("{}").unavailable_max, 1);
  EXPECT_FALSE(strategy_of(R"({"podManagementPolicy":"Parallel"})").ordered);
  EXPECT_FALSE(strategy_of(R"({"updateStrategy":{"type":"OnDelete"}})").rolling);
  const StatefulStrategy half = strategy_of(
      R"({"replicas":5,
          "updateStrategy":{"rollingUpdate":{"maxUnavailable":"50%","partition":3}}})");
  EXPECT_EQ(half.unavailable_max, 2);
  EXPECT_EQ(half.partition, 3);
  EXPECT_EQ(
      strategy_of(R"({"replicas":5,"updateStrategy":{"rollingUpdate":{"maxUnavailable":"1%"}}})")
          .unavailable_max,
      1);
}

}  // namespace
}  // namespace tulle::controllers
