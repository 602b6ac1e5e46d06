#include "controllers/rollout.h"

#include "kube/object.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <numeric>

namespace tulle::controllers {

namespace {

std::int64_t total_spec(const std::vector<SetSize>& sets) {
  return std::accumulate(sets.begin(), sets.end(), std::int64_t{0},
                         [](std::int64_t sum, const SetSize& set) { return sum + set.spec; });
}

}  // namespace

std::int64_t scaled(const boost::json::value* value, std::int64_t total, Round round,
                    std::string_view fallback) {
  if (value != nullptr && value->is_number()) return value->to_number<std::int64_t>();
  const std::string_view text = value == nullptr ? fallback : kube::string_or(*value, fallback);
  std::int64_t percent = 0;
  std::from_chars(text.data(), text.data() + text.size(), percent);
  constexpr std::int64_t kWhole = 100;
  return (total * percent + (round == Round::up ? kWhole - 1 : 0)) / kWhole;
}

RolloutLimits rollout_limits(const boost::json::object& deployment, std::int64_t replicas) {
  const auto& strategy = kube::object_at(deployment, "spec.strategy.rollingUpdate");
  RolloutLimits limits{
      .surge = scaled(strategy.if_contains("maxSurge"), replicas, Round::up, "25%"),
      .unavailable = scaled(strategy.if_contains("maxUnavailable"), replicas, Round::down, "25%")};
  if (limits.surge == 0 && limits.unavailable == 0) limits.unavailable = 1;
  limits.unavailable = std::min(limits.unavailable, replicas);
  return limits;
}

std::int64_t next_new_size(std::int64_t wanted, const SetSize& newest,
                           const std::vector<SetSize>& old, const RolloutLimits& limits) {
  if (newest.spec >= wanted) return wanted;
  const std::int64_t room = wanted + limits.surge - newest.spec - total_spec(old);
  return newest.spec + std::clamp<std::int64_t>(room, 0, wanted - newest.spec);
}

std::vector<std::int64_t> next_old_sizes(std::int64_t wanted, const SetSize& newest,
                                         const std::vector<SetSize>& old,
                                         const RolloutLimits& limits) {
  std::vector<std::int64_t> sizes;
  sizes.reserve(old.size());
  for (const SetSize& set : old) sizes.push_back(set.spec);
  const std::int64_t least_available = wanted - limits.unavailable;
  const std::int64_t all = total_spec(old) + newest.spec;
  const std::int64_t newest_unavailable = newest.spec - newest.available;
  std::int64_t may_go = all - least_available - newest_unavailable;
  // Pods that serve nobody first: they cost no availability.
  for (std::size_t i = 0; i < old.size() && may_go > 0; ++i) {
    const std::int64_t idle = std::max<std::int64_t>(0, old[i].spec - old[i].available);
    const std::int64_t count = std::min(may_go, idle);
    sizes[i] -= count;
    may_go -= count;
  }
  std::int64_t available = newest.available;
  for (const SetSize& set : old) available += std::min(set.available, set.spec);
  std::int64_t spare = std::min(may_go, available - least_available);
  for (std::size_t i = 0; i < old.size() && spare > 0; ++i) {
    const std::int64_t count = std::min(spare, sizes[i]);
    sizes[i] -= count;
    spare -= count;
  }
  return sizes;
}

std::vector<std::int64_t> proportional_sizes(std::int64_t wanted,
                                             const std::vector<std::int64_t>& sizes,
                                             std::int64_t surge) {
  const std::int64_t before = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
  if (before == 0) return sizes;
  const std::int64_t target = wanted == 0 ? 0 : wanted + surge;
  const std::int64_t change = target - before;
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&sizes, change](std::size_t a, std::size_t b) {
    if (sizes[a] != sizes[b]) return sizes[a] > sizes[b];
    return change > 0 ? a > b : a < b;
  });
  std::vector<std::int64_t> next = sizes;
  std::int64_t left = change;
  for (const std::size_t i : order) {
    const std::int64_t rounded = (2 * sizes[i] * target + before) / (2 * before);
    const std::int64_t exact = rounded - sizes[i];
    const std::int64_t share = change > 0 ? std::min(exact, left) : std::max(exact, left);
    next[i] = sizes[i] + share;
    left -= share;
  }
  for (const std::size_t i : order) {
    if (left == 0) break;
    const std::int64_t share = std::max(left, -next[i]);
    next[i] += share;
    left -= share;
  }
  return next;
}

}  // namespace tulle::controllers
