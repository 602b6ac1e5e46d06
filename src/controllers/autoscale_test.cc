#include "controllers/autoscale.h"

#include "codec/json.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>

namespace tulle::controllers {
namespace {

using std::chrono::seconds;

// "50 150 ? s": pods with a target of 100 that use so much, were not measured, or are starting.
std::vector<PodSample> samples(const std::string& text) {
  std::vector<PodSample> found;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    PodSample sample{.allowance = 100, .presumed = 125, .usage = {}, .starting = word == "s"};
    if (word != "?" && word != "s") sample.usage = std::stoll(word);
    found.push_back(sample);
    at = end + 1;
  }
  return found;
}

TEST(Autoscale, the_metric_is_brought_to_its_target) {
  struct Row {
    std::string pods;
    std::int64_t current;
    std::int64_t proposed;  // -1: nothing
  };
  const std::vector<Row> rows = {
      {"100 100", 2, 2},     {"105 110", 2, 2},  // within a tenth
      {"150 150", 2, 3},                         //
      {"300 0 0", 3, 3},                         // 300 of 300
      {"50 50 50 50", 4, 2},                     //
      {"10 10 10", 3, 1},                        //
      {"0 0", 2, 0},                             // the least is the bounds' business
      {"200 200 s s", 4, 4},                     // those that start will take their share
      {"400 400 s s", 4, 8},                     //
      {"50 50 s s", 2, 1},                       // they are none of it where there is little to do
      {"200 200 ?", 3, 4},                       // one that is not measured is presumed idle
      {"20 20 ?", 3, 2},                         // or busy, so that it is not taken away
      {"85 85 ?", 3, 3},                         // what is presumed never turns a change round
      {"? ?", 2, -1},                            //
      {"s s", 2, -1},                            //
      {"", 0, -1},                               //
      {"110 110 110", 3, 3},                     // just within
      {"1000 1000", 2, 20},                      //
  };
  for (const Row& row : rows) {
    EXPECT_EQ(propose(row.current, samples(row.pods), {}).value_or(-1), row.proposed) << row.pods;
  }
}

ScalingBehavior behavior(std::string_view text) {
  const auto spec = codec::parse_json(text);
  return scaling_behavior({{"behavior", *spec}});
}

// A workload that follows its autoscaler, one recommendation after the other.
class Followed : public testing::Test {
 protected:
  std::string follow(std::int64_t recommended, Duration later = seconds(15)) {
    now_ = now_ + later;
    const ScaleDecision decision =
        history_.decide(replicas_, recommended, bounds_, behavior_, now_);
    if (decision.replicas != replicas_) history_.scaled(replicas_, decision.replicas, now_);
    replicas_ = decision.replicas;
    std::string said = std::to_string(replicas_);
    if (decision.stabilized) said += " stabilized";
    if (!decision.limit.empty()) said.append(" ").append(decision.limit);
    return said;
  }

  ScaleHistory history_;
  ScaleHistory::Bounds bounds_{.min = 1, .max = 100};
  ScalingBehavior behavior_ = scaling_behavior({});
  std::int64_t replicas_ = 2;
  Instant now_{std::chrono::hours(5)};
};

TEST_F(Followed, growing_is_quick_and_bounded_per_period) {
  EXPECT_EQ(follow(50), "6 ScaleUpLimit");              // four more
  EXPECT_EQ(follow(50, seconds(5)), "6 ScaleUpLimit");  // within the same period
  EXPECT_EQ(follow(50), "12 ScaleUpLimit");             // twice as many
  EXPECT_EQ(follow(50), "24 ScaleUpLimit");
  EXPECT_EQ(follow(50), "48 ScaleUpLimit");
  EXPECT_EQ(follow(50), "50");
}

TEST_F(Followed, shrinking_waits_for_five_quiet_minutes) {
  replicas_ = 10;
  EXPECT_EQ(follow(4), "10 stabilized");
  EXPECT_EQ(follow(8, seconds(150)), "10 stabilized");
  EXPECT_EQ(follow(4, seconds(160)), "8 stabilized");  // the largest of five minutes
  EXPECT_EQ(follow(4, seconds(150)), "4");
}

TEST_F(Followed, the_bounds_hold_whatever_is_recommended) {
  bounds_ = {.min = 2, .max = 5};
  EXPECT_EQ(follow(50), "5 TooManyReplicas");
  EXPECT_EQ(follow(0, std::chrono::minutes(6)), "2 TooFewReplicas");
}

TEST_F(Followed, behavior_sets_window_policies_and_direction) {
  behavior_ = behavior(R"({"scaleDown":{"stabilizationWindowSeconds":0,"selectPolicy":"Min",
    "policies":[{"type":"Pods","value":1,"periodSeconds":60},
                {"type":"Percent","value":50,"periodSeconds":60}]},
    "scaleUp":{"selectPolicy":"Disabled"}})");
  replicas_ = 10;
  EXPECT_EQ(follow(2), "9 ScaleDownLimit");
  EXPECT_EQ(follow(2), "9 ScaleDownLimit");
  EXPECT_EQ(follow(2, seconds(61)), "8 ScaleDownLimit");
  EXPECT_EQ(follow(20), "8 ScaleUpLimit");
}

TEST_F(Followed, a_window_for_growing_waits_for_the_smallest_recommendation) {
  behavior_ = behavior(R"({"scaleUp":{"stabilizationWindowSeconds":60}})");
  EXPECT_EQ(follow(5), "2 stabilized");
  EXPECT_EQ(follow(4, seconds(61)), "4");
}

TEST(Autoscale, a_tolerance_may_be_set_for_each_direction) {
  const ScalingBehavior loose = behavior(R"({"scaleUp":{"tolerance":"0.5"},
                                             "scaleDown":{"tolerance":"50m"}})");
  EXPECT_EQ(propose(2, samples("140 140"), loose.tolerance), 2);
  EXPECT_EQ(
      propose(20, std::vector<PodSample>(20, {.allowance = 100, .usage = 94}), loose.tolerance),
      19);
}

}  // namespace
}  // namespace tulle::controllers
