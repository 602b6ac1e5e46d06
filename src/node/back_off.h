// How long to wait before trying again what failed: upstream's numbers for containers and images.
// A value.
#pragma once

#include "base/time.h"

#include <algorithm>

namespace tulle::node {

class BackOff final {
 public:
  static constexpr Duration first = std::chrono::seconds(10);
  static constexpr Duration longest = std::chrono::minutes(5);
  // After so long without a failure it starts over.
  static constexpr Duration healthy_after = std::chrono::minutes(10);

  // `free_failures`: how many in a row go without a wait.
  explicit BackOff(int free_failures) : free_failures_(free_failures) {}

  // The wait after a failure of something that worked for `worked` before.
  Duration failed(Duration worked) {
    if (worked >= healthy_after) reset();
    if (failures_++ < free_failures_) return {};
    const Duration wait = next_;
    next_ = std::min(next_ * 2, longest);
    return wait;
  }
  void reset() {
    failures_ = 0;
    next_ = first;
  }

 private:
  const int free_failures_;
  int failures_ = 0;
  Duration next_ = first;
};

}  // namespace tulle::node
