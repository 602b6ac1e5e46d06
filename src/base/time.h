// The types of time; no clock. Clocks are rt::Driver's: monotonic `Instant` orders events and
// measures durations, `WallTime` is only for what is shown to or exchanged with others.
#pragma once

#include <chrono>

namespace tulle {

using Duration = std::chrono::nanoseconds;

// Tag of the monotonic clock, which has no epoch that means anything outside the process.
struct Monotonic {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  static constexpr bool is_steady = true;
};

using Instant = std::chrono::time_point<Monotonic, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

inline constexpr Instant kNever = Instant::max();

}  // namespace tulle
