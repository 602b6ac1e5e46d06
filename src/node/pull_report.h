// What people see of a pull under way: the pod's status says how far it is, and when it takes long,
// events (`kubectl describe`) say so, too. A value.
#pragma once

#include "base/time.h"
#include "node/image_pull.h"

#include <chrono>
#include <string>

namespace tulle::node {

class PullReport final {
 public:
  // The first event comes then, every further one after twice as long.
  static constexpr Duration first_event_after = std::chrono::seconds(10);

  PullReport(std::string reference, Instant began)
      : reference_(std::move(reference)), next_event_(began + first_event_after) {}

  std::string text(const PullProgress& progress, Instant now) const;

  // Whether it is time for an event. Then not again for a while.
  bool is_event_due(Instant now);

 private:
  std::string reference_;
  Instant next_event_;
  Duration wait_ = first_event_after;
};

// "850ms", "1.5s", "2m40s": as upstream's messages write times, to the millisecond.
std::string go_duration(Duration duration);

}  // namespace tulle::node
