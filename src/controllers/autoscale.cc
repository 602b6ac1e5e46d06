#include "controllers/autoscale.h"

#include "kube/object.h"
#include "kube/quantity.h"

#include <boost/json.hpp>

#include <algorithm>
#include <cmath>

namespace tulle::controllers {

namespace {

namespace json = boost::json;

struct Sum {
  double usage = 0;
  double allowance = 0;
  std::int64_t pods = 0;

  void add(std::int64_t used, std::int64_t allowed) {
    usage += static_cast<double>(used);
    allowance += static_cast<double>(allowed);
    ++pods;
  }
  double ratio() const { return usage / allowance; }
};

bool is_near(double ratio, const Tolerance& tolerance) {
  return ratio >= 1 - tolerance.down && ratio <= 1 + tolerance.up;
}

std::int64_t pods_for(double ratio, std::int64_t pods) {
  // Sums of decimal fractions are off by less than this.
  constexpr double rounding = 1e-9;
  return static_cast<std::int64_t>(std::ceil(ratio * static_cast<double>(pods) - rounding));
}

Duration seconds_at(const json::object& object, std::string_view path, std::int64_t fallback) {
  return std::chrono::seconds(kube::integer_at(object, path, fallback));
}

ScalingRules rules_from(const json::object& given, ScalingRules fallback) {
  ScalingRules rules = std::move(fallback);
  rules.window = seconds_at(given, "stabilizationWindowSeconds",
                            std::chrono::duration_cast<std::chrono::seconds>(rules.window).count());
  const std::string_view select = kube::string_at(given, "selectPolicy", "Max");
  rules.select = select == "Disabled" ? ScalingRules::Select::disabled
                 : select == "Min"    ? ScalingRules::Select::least
                                      : ScalingRules::Select::most;
  const json::array& policies = kube::array_at(given, "policies");
  if (policies.empty()) return rules;
  rules.policies.clear();
  rules.policies.reserve(policies.size());
  for (const json::value& value : policies) {
    const json::object& policy = kube::object_or_empty(value);
    rules.policies.push_back({.percent = kube::string_at(policy, "type") == "Percent",
                              .value = kube::integer_at(policy, "value"),
                              .period = seconds_at(policy, "periodSeconds", 15)});
  }
  return rules;
}

double tolerance_in(const json::object& rules, double fallback) {
  const json::value* given = kube::find(rules, "tolerance");
  if (given == nullptr) return fallback;
  const auto parsed = kube::Quantity::parse(kube::scalar_text(*given));
  return parsed ? static_cast<double>(parsed->milli_value()) / 1000 : fallback;
}

}  // namespace

std::optional<std::int64_t> propose(std::int64_t current, std::span<const PodSample> samples,
                                    const Tolerance& tolerance) {
  Sum measured;
  for (const PodSample& sample : samples) {
    if (!sample.starting && sample.usage) measured.add(*sample.usage, sample.allowance);
  }
  if (measured.pods == 0 || measured.allowance <= 0) return std::nullopt;
  const bool too_much = measured.ratio() > 1;

  // The others, at what is safe to presume.
  Sum all = measured;
  for (const PodSample& sample : samples) {
    if (sample.starting) {
      if (too_much) all.add(0, sample.allowance);
    } else if (!sample.usage) {
      all.add(too_much ? 0 : sample.presumed, sample.allowance);
    }
  }
  const double ratio = all.ratio();
  // What was presumed may calm a change down, never turn it round.
  if (is_near(ratio, tolerance) || too_much != (ratio > 1)) return current;
  const std::int64_t replicas = pods_for(ratio, all.pods);
  const bool contrary = ratio < 1 ? replicas > current : replicas < current;
  return contrary ? current : replicas;
}

ScalingBehavior scaling_behavior(const json::object& spec) {
  constexpr auto period = std::chrono::seconds(15);
  const json::object& up = kube::object_at(spec, "behavior.scaleUp");
  const json::object& down = kube::object_at(spec, "behavior.scaleDown");
  const Tolerance usual;
  return {
      .up = rules_from(up, {.window = {},
                            .policies = {{.percent = false, .value = 4, .period = period},
                                         {.percent = true, .value = 100, .period = period}}}),
      .down = rules_from(down, {.window = std::chrono::minutes(5),
                                .policies = {{.percent = true, .value = 100, .period = period}}}),
      .tolerance = {.up = tolerance_in(up, usual.up), .down = tolerance_in(down, usual.down)}};
}

ScaleDecision ScaleHistory::decide(std::int64_t current, std::int64_t recommended,
                                   const Bounds& bounds, const ScalingBehavior& behavior,
                                   Instant now) {
  const auto forget = [now](std::deque<Entry>& entries, Duration age_max) {
    while (!entries.empty() && entries.front().at < now - age_max) entries.pop_front();
  };
  forget(recommendations_, window_max);
  forget(changes_, period_max);
  // What there was before anything was recommended counts as recommended.
  if (recommendations_.empty()) recommendations_.push_back({.at = now, .value = current});
  recommendations_.push_back({.at = now, .value = recommended});

  ScaleDecision decision{.replicas = stabilize(current, recommended, behavior, now)};
  decision.stabilized = decision.replicas != recommended;
  const bool up = decision.replicas > current;
  if (decision.replicas != current) {
    const std::int64_t most = limit(current, up ? behavior.up : behavior.down, up, now);
    if (up ? decision.replicas > most : decision.replicas < most) {
      decision.replicas = most;
      decision.limit = up ? "ScaleUpLimit" : "ScaleDownLimit";
    }
  }
  if (decision.replicas > bounds.max) {
    decision.replicas = bounds.max;
    decision.limit = "TooManyReplicas";
  } else if (decision.replicas < bounds.min) {
    decision.replicas = bounds.min;
    decision.limit = "TooFewReplicas";
  }
  return decision;
}

void ScaleHistory::scaled(std::int64_t from, std::int64_t to, Instant now) {
  changes_.push_back({.at = now, .value = to - from});
}

// The smallest recommendation of the window for growing, the largest for shrinking.
std::int64_t ScaleHistory::stabilize(std::int64_t current, std::int64_t recommended,
                                     const ScalingBehavior& behavior, Instant now) const {
  std::int64_t up = recommended;
  std::int64_t down = recommended;
  for (const Entry& entry : recommendations_) {
    if (entry.at > now - behavior.up.window) up = std::min(up, entry.value);
    if (entry.at > now - behavior.down.window) down = std::max(down, entry.value);
  }
  return std::min(std::max(current, up), down);
}

std::int64_t ScaleHistory::change_since(Instant start) const {
  std::int64_t sum = 0;
  for (const Entry& change : changes_) {
    if (change.at > start) sum += change.value;
  }
  return sum;
}

// How far the policies let it go from here.
std::int64_t ScaleHistory::limit(std::int64_t current, const ScalingRules& rules, bool up,
                                 Instant now) const {
  if (rules.select == ScalingRules::Select::disabled) return current;
  constexpr std::int64_t whole = 100;
  std::optional<std::int64_t> chosen;
  for (const ScalingRules::Policy& policy : rules.policies) {
    const std::int64_t start = current - change_since(now - policy.period);
    std::int64_t reach = up ? start + policy.value : start - policy.value;
    if (policy.percent) {
      reach = up ? (start * (whole + policy.value) + whole - 1) / whole
                 : start * (whole - policy.value) / whole;
    }
    const bool farther = !chosen || (up ? reach > *chosen : reach < *chosen);
    if (!chosen || farther == (rules.select == ScalingRules::Select::most)) chosen = reach;
  }
  const std::int64_t reach = chosen.value_or(current);
  return up ? std::max(reach, current) : std::clamp<std::int64_t>(reach, 0, current);
}

}  // namespace tulle::controllers
