#include "controllers/daemon_rollout.h"

#include "controllers/rollout.h"
#include "kube/object.h"

#include <boost/json.hpp>

#include <algorithm>
#include <optional>

namespace tulle::controllers {

namespace {

bool runs(const DaemonPod& pod) {
  return pod.state != DaemonState::ending && pod.state != DaemonState::ended;
}

bool serves(const DaemonPod& pod) { return pod.state == DaemonState::available; }

// The oldest pod that runs, of the newest revision and of the others.
struct Oldest {
  std::optional<std::size_t> updated;
  std::optional<std::size_t> old;
};

Oldest oldest_of(const DaemonNode& node) {
  Oldest found;
  for (std::size_t i = 0; i < node.pods.size(); ++i) {
    if (!runs(node.pods[i])) continue;
    auto& slot = node.pods[i].updated ? found.updated : found.old;
    if (!slot) slot = i;
  }
  return found;
}

bool has_updated(const DaemonNode& node) { return oldest_of(node).updated.has_value(); }

bool is_available(const DaemonNode& node) { return std::ranges::any_of(node.pods, serves); }

// Of several pods that run: the oldest; with a surge the oldest of either revision, until the
// newer one is available or the older one is not ready.
bool is_kept(const DaemonStrategy& strategy, const DaemonNode& node, std::size_t pod) {
  const Oldest oldest = oldest_of(node);
  if (strategy.surge_max == 0) {
    return pod == std::min(oldest.updated.value_or(pod), oldest.old.value_or(pod));
  }
  if (pod == oldest.updated) return true;
  if (pod != oldest.old) return false;
  return !oldest.updated ||
         (node.pods[pod].state != DaemonState::not_ready && !serves(node.pods[*oldest.updated]));
}

void tend(const DaemonStrategy& strategy, const std::vector<DaemonNode>& nodes,
          DaemonSteps& steps) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const DaemonNode& node = nodes[i];
    if (node.wanted && node.pods.empty()) steps.create.push_back(i);
    for (std::size_t pod = 0; pod < node.pods.size(); ++pod) {
      if (node.pods[pod].state == DaemonState::ending) continue;
      const bool stays = node.may_stay && runs(node.pods[pod]) && is_kept(strategy, node, pod);
      if (!stays) steps.remove.push_back({.node = i, .pod = pod});
    }
  }
}

void replace(const DaemonStrategy& strategy, const std::vector<DaemonNode>& nodes,
             DaemonSteps& steps) {
  std::int64_t room = strategy.unavailable_max;
  for (const DaemonNode& node : nodes) room -= node.wanted && !is_available(node) ? 1 : 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto old = oldest_of(nodes[i]).old;
    // Where both run one is surplus, and goes as such.
    if (!nodes[i].wanted || !old || has_updated(nodes[i])) continue;
    if (serves(nodes[i].pods[*old]) && room-- <= 0) continue;
    steps.remove.push_back({.node = i, .pod = *old});
  }
}

void surge(const DaemonStrategy& strategy, const std::vector<DaemonNode>& nodes,
           DaemonSteps& steps) {
  std::int64_t room = strategy.surge_max;
  for (const DaemonNode& node : nodes) {
    const Oldest oldest = oldest_of(node);
    room -= oldest.old && oldest.updated && !serves(node.pods[*oldest.updated]) ? 1 : 0;
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto old = oldest_of(nodes[i]).old;
    if (!nodes[i].wanted || !old || has_updated(nodes[i])) continue;
    if (!serves(nodes[i].pods[*old]) || room-- > 0) steps.create.push_back(i);
  }
}

}  // namespace

DaemonStrategy daemon_strategy(const boost::json::object& set, std::int64_t wanted) {
  const auto& rolling = kube::object_at(set, "spec.updateStrategy.rollingUpdate");
  const auto limit = [&rolling, wanted](std::string_view field) {
    return scaled(rolling.if_contains(field), wanted, Round::up, "0%");
  };
  DaemonStrategy strategy{.rolling = kube::string_at(set, "spec.updateStrategy.type") != "OnDelete",
                          .surge_max = limit("maxSurge"),
                          .unavailable_max = limit("maxUnavailable")};
  if (strategy.surge_max == 0) {
    strategy.unavailable_max = std::max<std::int64_t>(1, strategy.unavailable_max);
  }
  return strategy;
}

DaemonSteps next_steps(const DaemonStrategy& strategy, const std::vector<DaemonNode>& nodes) {
  DaemonSteps steps;
  tend(strategy, nodes, steps);
  if (!strategy.rolling) return steps;
  if (strategy.surge_max > 0) {
    surge(strategy, nodes, steps);
  } else {
    replace(strategy, nodes, steps);
  }
  return steps;
}

}  // namespace tulle::controllers
