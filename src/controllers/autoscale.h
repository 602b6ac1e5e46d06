// The arithmetic of a HorizontalPodAutoscaler (autoscaling/v2), apart from reading and writing:
// what the metrics propose, and how fast a workload may follow. Pure but for the history it keeps,
// and tested by tables. The rules are those of Kubernetes' own controller.
#pragma once

#include "base/time.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace tulle::controllers {

// One pod, as one metric sees it. All amounts are thousandths of the metric's unit.
struct PodSample {
  // What it may have to be at its target: the target itself, or its share of what the pod requests.
  std::int64_t allowance = 0;
  // What is assumed where it was not measured and the others have little to do: all that it asked
  // for, or its target.
  std::int64_t presumed = 0;
  std::optional<std::int64_t> usage = std::nullopt;
  // It is not up yet: counts as idle where the others have too much to do, else not at all.
  bool starting = false;
};

// How far from its target a metric may be without anything to be done.
struct Tolerance {
  double up = 0.1;
  double down = 0.1;
};

// The number of pods that brings the metric to its target; nothing where no pod was measured.
std::optional<std::int64_t> propose(std::int64_t current, std::span<const PodSample> samples,
                                    const Tolerance& tolerance);

// One direction of spec.behavior.
struct ScalingRules {
  enum class Select : std::uint8_t { most, least, disabled };
  struct Policy {
    bool percent = false;  // of the replicas at the period's start; else a number of pods
    std::int64_t value = 0;
    Duration period{};
  };
  Duration window{};  // of stabilization
  Select select = Select::most;
  std::vector<Policy> policies = {};
};
struct ScalingBehavior {
  ScalingRules up;
  ScalingRules down;
  Tolerance tolerance = {};
};
// As spec.behavior says, with upstream's defaults for what it leaves out.
ScalingBehavior scaling_behavior(const boost::json::object& spec);

// What a workload may be scaled to now.
struct ScaleDecision {
  std::int64_t replicas = 0;
  bool stabilized = false;  // a recommendation of before holds it back
  // Why it is not what was recommended, as reasons of the condition ScalingLimited: "ScaleUpLimit",
  // "ScaleDownLimit", "TooManyReplicas", "TooFewReplicas"; "" where it is.
  std::string_view limit = {};
};

// What was recommended and done before, of one autoscaler. Forgets what no rule can ask for.
class ScaleHistory final {
 public:
  // The bounds of both windows and periods (autoscaling/v2 validation).
  static constexpr Duration window_max = std::chrono::hours(1);
  static constexpr Duration period_max = std::chrono::minutes(30);

  struct Bounds {
    std::int64_t min = 1;
    std::int64_t max = 1;
  };
  // Notes the recommendation, and says how far it may be followed.
  ScaleDecision decide(std::int64_t current, std::int64_t recommended, const Bounds& bounds,
                       const ScalingBehavior& behavior, Instant now);
  void scaled(std::int64_t from, std::int64_t to, Instant now);

 private:
  struct Entry {
    Instant at;
    std::int64_t value = 0;  // replicas recommended, or the change
  };

  std::int64_t stabilize(std::int64_t current, std::int64_t recommended,
                         const ScalingBehavior& behavior, Instant now) const;
  std::int64_t change_since(Instant start) const;
  std::int64_t limit(std::int64_t current, const ScalingRules& rules, bool up, Instant now) const;

  std::deque<Entry> recommendations_;
  std::deque<Entry> changes_;  // of the number of replicas; negative: fewer
};

}  // namespace tulle::controllers
