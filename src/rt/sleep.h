// co_await sleep(loop, duration), sleep_until(loop, instant) and yield(loop).
#pragma once

#include "rt/task.h"

namespace tulle::rt {

class SleepAwaiter final : public Resumer {
 public:
  SleepAwaiter(Loop& loop, Instant until) : timer_(loop, *this), until_(until) {}
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle = waiting;
    timer_.arm(until_);
  }
  void await_resume() {}

 private:
  Timer timer_;
  Instant until_;
};

inline SleepAwaiter sleep_until(Loop& loop, Instant until) { return {loop, until}; }
inline SleepAwaiter sleep(Loop& loop, Duration duration) { return {loop, loop.now() + duration}; }

class YieldAwaiter final : public Resumer {
 public:
  // Without `yields` it goes on at once.
  explicit YieldAwaiter(Loop& loop, bool yields = true) : loop_(loop), yields_(yields) {}
  bool await_ready() const { return !yields_; }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle = waiting;
    loop_.schedule(*this);
  }
  void await_resume() {}

 private:
  Loop& loop_;
  const bool yields_;
};

// Lets everything else that is ready run first.
inline YieldAwaiter yield(Loop& loop) { return YieldAwaiter(loop); }

// For loops whose reads and writes may never have to wait, because the other side is always faster:
// `co_await fairness.pass()` in each round lets all else that is ready run first, every so often.
class Fairness final {
 public:
  static constexpr unsigned rounds = 16;

  explicit Fairness(Loop& loop) : loop_(loop) {}

  YieldAwaiter pass() { return YieldAwaiter(loop_, ++count_ % rounds == 0); }

 private:
  Loop& loop_;
  unsigned count_ = 0;
};

}  // namespace tulle::rt
