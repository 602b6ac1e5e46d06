// A latch that reads and writes in progress look at, to end early.
#pragma once

#include "rt/runnable.h"

namespace tulle::http {

class Signal final {
 public:
  explicit Signal(rt::Loop& loop) : loop_(loop) {}

  void raise() {
    raised_ = true;
    waiters_.wake_all(loop_);
  }
  void clear() { raised_ = false; }
  bool raised() const { return raised_; }
  // Woken by raise().
  rt::WaitList& waiters() { return waiters_; }

 private:
  rt::Loop& loop_;
  bool raised_ = false;
  rt::WaitList waiters_;
};

}  // namespace tulle::http
