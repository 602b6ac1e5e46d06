// The arithmetic of a Deployment's rollout, apart from reading and writing: pure and tested by
// tables. Terms as upstream's: `spec` is what a ReplicaSet should have, `available` what it has.
#pragma once

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace tulle::controllers {

enum class Round : std::uint8_t { up, down };

// An IntOrString, 3 or "25%" of `total`; `fallback` is a percentage for one that is absent (null).
std::int64_t scaled(const boost::json::value* value, std::int64_t total, Round round,
                    std::string_view fallback);

struct RolloutLimits {
  std::int64_t surge = 0;        // pods above the wanted number
  std::int64_t unavailable = 0;  // pods below it
};

// maxSurge (percent rounded up) and maxUnavailable (rounded down) of spec.strategy.rollingUpdate
// for `replicas`. Never both zero.
RolloutLimits rollout_limits(const boost::json::object& deployment, std::int64_t replicas);

struct SetSize {
  std::int64_t spec = 0;
  std::int64_t available = 0;
};

// What the new set should be scaled to.
std::int64_t next_new_size(std::int64_t wanted, const SetSize& newest,
                           const std::vector<SetSize>& old, const RolloutLimits& limits);

// What each of `old` (oldest first) should be scaled to: first those that are not available, then
// as far as enough pods stay available.
std::vector<std::int64_t> next_old_sizes(std::int64_t wanted, const SetSize& newest,
                                         const std::vector<SetSize>& old,
                                         const RolloutLimits& limits);

// Splits a change of scale over several active sets (oldest first) in proportion to their sizes,
// each rounded to the nearest. The largest come first, among equals the newest when growing and
// the oldest when shrinking: the first takes the remainder. The sizes add up to wanted + surge.
std::vector<std::int64_t> proportional_sizes(std::int64_t wanted,
                                             const std::vector<std::int64_t>& sizes,
                                             std::int64_t surge);

}  // namespace tulle::controllers
