// Simulated time: it stands still while anything runs and jumps to the next timer when nothing is
// left to do. The same program with the same seed gives the same run.
#pragma once

#include "rt/driver.h"

namespace tulle::rt {

class SimDriver final : public Driver {
 public:
  Instant now() override { return now_; }
  WallTime wall_now() override { return kEpoch + now_.time_since_epoch() + stepped_; }
  // Sets the clock on the wall, and nothing else, forward or back.
  void step_wall(Duration by) { stepped_ += by; }
  bool wait(Instant deadline) override;
  void wake() override {}

 private:
  // What simulated clocks on the wall show at the start: 2030-01-01T00:00:00Z.
  static constexpr WallTime kEpoch{std::chrono::seconds{1893456000}};

  Instant now_{};
  Duration stepped_{};
};

}  // namespace tulle::rt
