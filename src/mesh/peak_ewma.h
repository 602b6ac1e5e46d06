// The latency of an endpoint as a moving average that rises at once and falls slowly, so that one
// slow answer is seen before many are sent after it.
#pragma once

#include "base/time.h"

#include <atomic>
#include <cmath>
#include <cstdint>

namespace tulle::mesh {

// Callable from all loops at once: of two observations in the same moment one may be lost.
class PeakEwma final {
 public:
  // What was seen this long ago counts for 1/e of what it did.
  static constexpr Duration memory = std::chrono::seconds(10);

  void observe(Duration latency, Instant now) {
    const auto seen = static_cast<double>(latency.count());
    const std::int64_t before = at_.load(std::memory_order_relaxed);
    const std::int64_t time = now.time_since_epoch().count();
    const double left = fade(before, time);
    const double average = average_.load(std::memory_order_relaxed);
    const bool peak = before == 0 || seen >= average * left;
    average_.store(peak ? seen : average * left + seen * (1 - left), std::memory_order_relaxed);
    at_.store(time, std::memory_order_relaxed);
  }

  // Nanoseconds; it fades while nothing is seen, so that an endpoint that was slow is tried again.
  // 0: nothing is known.
  double value(Instant now) const {
    return average_.load(std::memory_order_relaxed) *
           fade(at_.load(std::memory_order_relaxed), now.time_since_epoch().count());
  }

 private:
  static double fade(std::int64_t from, std::int64_t to) {
    return from >= to
               ? 1.0
               : std::exp(-static_cast<double>(to - from) / static_cast<double>(memory.count()));
  }

  std::atomic<double> average_{0};
  std::atomic<std::int64_t> at_{0};
};

}  // namespace tulle::mesh
