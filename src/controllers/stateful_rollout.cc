#include "controllers/stateful_rollout.h"

#include "controllers/rollout.h"
#include "kube/object.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

bool may_be_replaced(const StatefulView& view, std::size_t index) {
  return view.strategy.rolling && !view.replicas[index].updated &&
         is_made_updated(view.strategy, index);
}

// The first replica that is not as it should be, and what to do about it. True: wait for it.
bool bring_up_in_order(const StatefulView& view, StatefulSteps& steps) {
  for (std::size_t i = 0; i < view.replicas.size(); ++i) {
    switch (view.replicas[i].state) {
      case ReplicaState::absent: steps.create.push_back(i); return true;
      case ReplicaState::ended: steps.remove.push_back(i); return true;
      case ReplicaState::ending:
      case ReplicaState::unavailable: return true;
      case ReplicaState::not_ready:
        if (may_be_replaced(view, i)) steps.remove.push_back(i);
        return true;
      case ReplicaState::available: break;
    }
  }
  return false;
}

// The highest of the condemned. One that is not available waits for those below it that are not
// either: they may be what it needs to end in good order.
void take_down_in_order(const StatefulView& view, StatefulSteps& steps) {
  const auto serves = [](const Replica& pod) { return pod.state == ReplicaState::available; };
  const Replica& highest = view.condemned.front();
  if (highest.state == ReplicaState::ending) return;
  if (serves(highest) || std::all_of(view.condemned.begin() + 1, view.condemned.end(), serves)) {
    steps.remove_condemned.push_back(0);
  }
}

void bring_up_and_take_down(const StatefulView& view, StatefulSteps& steps) {
  for (std::size_t i = 0; i < view.replicas.size(); ++i) {
    if (view.replicas[i].state == ReplicaState::absent) steps.create.push_back(i);
    if (view.replicas[i].state == ReplicaState::ended) steps.remove.push_back(i);
  }
  for (std::size_t i = 0; i < view.condemned.size(); ++i) {
    if (view.condemned[i].state != ReplicaState::ending) steps.remove_condemned.push_back(i);
  }
}

void roll(const StatefulView& view, StatefulSteps& steps) {
  std::int64_t room = view.strategy.unavailable_max;
  for (const Replica& pod : view.replicas) room -= pod.state == ReplicaState::available ? 0 : 1;
  for (std::size_t i = view.replicas.size(); i-- > 0;) {
    if (!may_be_replaced(view, i)) continue;
    switch (view.replicas[i].state) {
      case ReplicaState::absent:
      case ReplicaState::ending:
      case ReplicaState::ended:
      case ReplicaState::unavailable: break;
      case ReplicaState::not_ready: steps.remove.push_back(i); break;
      case ReplicaState::available:
        if (room-- > 0) steps.remove.push_back(i);
        break;
    }
  }
}

}  // namespace

StatefulStrategy stateful_strategy(const boost::json::object& set) {
  const auto& rolling = kube::object_at(set, "spec.updateStrategy.rollingUpdate");
  const std::int64_t unavailable =
      scaled(rolling.if_contains("maxUnavailable"), kube::integer_at(set, "spec.replicas", 1),
             Round::down, "0%");
  return {.ordered = kube::string_at(set, "spec.podManagementPolicy") != "Parallel",
          .rolling = kube::string_at(set, "spec.updateStrategy.type") != "OnDelete",
          .partition = kube::integer_at(rolling, "partition"),
          .unavailable_max = std::max<std::int64_t>(1, unavailable)};
}

StatefulSteps next_steps(const StatefulView& view) {
  StatefulSteps steps;
  if (view.strategy.ordered) {
    if (bring_up_in_order(view, steps)) return steps;
    if (!view.condemned.empty()) {
      take_down_in_order(view, steps);
      return steps;
    }
  } else {
    bring_up_and_take_down(view, steps);
  }
  if (view.strategy.rolling) roll(view, steps);
  return steps;
}

bool is_made_updated(const StatefulStrategy& strategy, std::size_t index) {
  return !strategy.rolling || static_cast<std::int64_t>(index) >= strategy.partition;
}

}  // namespace tulle::controllers
