// What control groups and /proc say of the resources that are used.
#pragma once

#include "base/time.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace tulle::node {

struct Usage {
  std::uint64_t cpu_ns = 0;  // since the beginning
  // What cannot be taken back under pressure: all but the files that were not used lately.
  std::uint64_t working_set_bytes = 0;

  friend bool operator==(const Usage&, const Usage&) = default;
};

// Of the group "/tulle/UID/CONTAINER" in the hierarchies at `root` (/sys/fs/cgroup): cgroup v2, v1,
// or both, where the v1 hierarchies have the controllers. Blocking, but short. Nothing when the
// group is not there or does not tell both.
std::optional<Usage> read_group_usage(const std::string& root, const std::string& group);

// Of the whole machine, from stat and meminfo in `proc` (/proc), as above.
std::optional<Usage> read_machine_usage(const std::string& proc);

struct UsageRate {
  std::uint64_t cpu_nanocores = 0;
  std::uint64_t working_set_bytes = 0;
  WallTime at = {};      // of the latest sample
  Duration window = {};  // that the rate is of
};

// The latest samples of one thing, whose cpu_ns never falls.
class UsageHistory final {
 public:
  static constexpr std::size_t samples_max = 4;
  // A rate over less tells nothing.
  static constexpr Duration window_min = std::chrono::seconds(1);

  // Samples come in order of time.
  void add(Instant now, WallTime wall_now, const Usage& usage);
  std::optional<UsageRate> rate() const;

 private:
  struct Sample {
    Instant at;
    WallTime wall;
    Usage usage;
  };
  std::deque<Sample> samples_;
};

}  // namespace tulle::node
