#include "controllers/daemon_rollout.h"

#include "codec/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <sstream>
#include <string>
#include <string_view>

namespace tulle::controllers {
namespace {

// A word per node, of a letter per pod, oldest first: a available, u ready but not for long enough,
// n not ready, f ended, t told to go; capital: of the newest revision; - none. Before them ! for a
// node that wants none, and ? for one that wants none but lets stay who is there.
std::vector<DaemonNode> nodes(const std::string& words) {
  std::vector<DaemonNode> made;
  std::istringstream stream(words);
  for (std::string word; stream >> word;) {
    DaemonNode node;
    for (const char letter : word) {
      const bool updated = letter >= 'A' && letter <= 'Z';
      switch (updated ? letter - 'A' + 'a' : letter) {
        case '!': node.wanted = node.may_stay = false; break;
        case '?': node.wanted = false; break;
        case 'a': node.pods.push_back({DaemonState::available, updated}); break;
        case 'u': node.pods.push_back({DaemonState::unavailable, updated}); break;
        case 'n': node.pods.push_back({DaemonState::not_ready, updated}); break;
        case 'f': node.pods.push_back({DaemonState::ended, updated}); break;
        case 't': node.pods.push_back({DaemonState::ending, updated}); break;
        default: break;
      }
    }
    made.push_back(std::move(node));
  }
  return made;
}

// "+1" makes a pod on the second node, "-1.0" removes the first pod there.
std::string text_of(const DaemonSteps& steps) {
  std::string text;
  for (const std::size_t i : steps.create) text += fmt::format("+{} ", i);
  for (const DaemonVictim& victim : steps.remove) {
    text += fmt::format("-{}.{} ", victim.node, victim.pod);
  }
  if (!text.empty()) text.pop_back();
  return text;
}

struct Row {
  std::string nodes;
  std::string_view steps;
  DaemonStrategy strategy = {};
};

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    EXPECT_EQ(text_of(next_steps(row.strategy, nodes(row.nodes))), row.steps)
        << row.nodes << " surge " << row.strategy.surge_max << " unavailable "
        << row.strategy.unavailable_max;
  }
}

TEST(DaemonRollout, every_node_that_wants_a_pod_has_just_one) {
  check({
      {"", ""},
      {"- - -", "+0 +1 +2"},
      {"A - N", "+1"},
      {"T A", ""},  // not before the old one is gone
      {"F A", "-0.0"},
      {"FA", "-0.0"},
      {"AAA", "-0.1 -0.2"},
      {"! !A ? ?A", "-1.0"},
      {"!T !FA", "-1.0 -1.1"},
  });
}

TEST(DaemonRollout, old_pods_go_while_enough_others_are_available) {
  const DaemonStrategy two{.unavailable_max = 2};
  const DaemonStrategy by_hand{.rolling = false};
  check({
      {"a a a", "-0.0"},
      {"t a a", ""},
      {"N a a", ""},
      {"U a a", ""},
      {"- a a", "+0"},
      {"A a a", "-1.0"},
      {"A A A", ""},
      {"a n a", "-1.0"},  // that one serves nobody
      {"n n a", "-0.0 -1.0"},
      {"u a a", "-0.0"},
      {"a a a a", "-0.0 -1.0", two},
      {"N a a a", "-1.0", two},
      {"!a ?a A", "-0.0"},  // who may stay is left alone
      {"a a n", "", by_hand},
      {"a - n", "+1", by_hand},
  });
}

TEST(DaemonRollout, with_a_surge_the_new_pod_comes_before_the_old_one_goes) {
  const DaemonStrategy one{.surge_max = 1, .unavailable_max = 0};
  const DaemonStrategy two{.surge_max = 2, .unavailable_max = 0};
  check({
      {"a a a", "+0", one},
      {"aN a a", "", one},
      {"aU a a", "", one},
      {"aA a a", "+1 -0.0", one},
      {"A a a", "+1", one},
      {"a n a", "+0 +1", one},
      {"nN a a", "-0.0", one},  // neither is ready: the newer one is kept
      {"aN a a a", "+1", two},
      {"a t a", "+0", one},
      {"aaNN A", "-0.1 -0.3", one},
  });
}

TEST(DaemonRollout, limits_are_of_the_nodes_that_want_a_pod_and_rounded_up) {
  struct Limits {
    std::string_view rolling_update;
    std::int64_t wanted, surge, unavailable;
  };
  for (const Limits& row :
       {Limits{"{}", 5, 0, 1}, Limits{R"({"maxUnavailable":"30%"})", 5, 0, 2},
        Limits{R"({"maxUnavailable":3})", 5, 0, 3}, Limits{R"({"maxUnavailable":0})", 5, 0, 1},
        Limits{R"({"maxSurge":"10%","maxUnavailable":0})", 5, 1, 0}}) {
    const auto strategy = daemon_strategy(
        {{"spec",
          {{"updateStrategy", {{"rollingUpdate", *codec::parse_json(row.rolling_update)}}}}}},
        row.wanted);
    EXPECT_EQ(strategy.surge_max, row.surge) << row.rolling_update;
    EXPECT_EQ(strategy.unavailable_max, row.unavailable) << row.rolling_update;
    EXPECT_TRUE(strategy.rolling);
  }
  EXPECT_FALSE(
      daemon_strategy({{"spec", {{"updateStrategy", {{"type", "OnDelete"}}}}}}, 1).rolling);
}

}  // namespace
}  // namespace tulle::controllers
