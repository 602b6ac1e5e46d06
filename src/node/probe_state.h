// What the results of a probe mean. A value without clock or I/O.
#pragma once

#include "base/time.h"

#include <boost/json/fwd.hpp>

namespace tulle::node {

struct ProbeTimes {
  Duration initial_delay{};
  Duration period = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(1);
  int successes_needed = 1;
  int failures_needed = 3;
};
// Of a Probe object, with upstream's defaults.
ProbeTimes probe_times(const boost::json::object& probe);

class ProbeState final {
 public:
  ProbeState(const ProbeTimes& times, bool good) : times_(times), good_(good) {}

  // Takes one result; whether good() changed, or a failure count was reached again.
  bool add(bool success) {
    if (success != last_) count_ = 0;
    last_ = success;
    ++count_;
    if (count_ < (success ? times_.successes_needed : times_.failures_needed)) return false;
    const bool reached = good_ != success || (!success && count_ == times_.failures_needed);
    good_ = success;
    return reached;
  }
  bool good() const { return good_; }

 private:
  const ProbeTimes times_;
  bool good_;
  bool last_ = false;
  int count_ = 0;
};

}  // namespace tulle::node
