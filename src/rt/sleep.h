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
  explicit YieldAwaiter(Loop& loop) : loop_(loop) {}
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle = waiting;
    loop_.schedule(*this);
  }
  void await_resume() {}

 private:
  Loop& loop_;
};

// Lets everything else that is ready run first.
inline YieldAwaiter yield(Loop& loop) { return YieldAwaiter(loop); }

}  // namespace tulle::rt
