// One event loop: a run queue, timers and a Driver. It belongs to the thread that runs it; only
// post() may be called from others.
#pragma once

#include "base/time.h"
#include "rt/driver.h"
#include "rt/runnable.h"

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

namespace tulle::rt {

class Timer;
template <class T>
class Task;

class Loop final {
 public:
  // `driver` must outlive the loop.
  explicit Loop(Driver& driver);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Constant within one turn of the loop.
  Instant now() const { return now_; }
  WallTime wall_now() const { return wall_now_; }

  // Runs `runnable` in the next turn. Does nothing if it is in the run queue; takes it out of a
  // wait list it is in.
  void schedule(Runnable& runnable);

  // Runs `function` on this loop soon. From any thread; the only member that may be.
  void post(std::move_only_function<void()> function);

  // Turns until stop(), or until nothing can happen any more (simulation).
  void run();
  void stop() { stopping_ = true; }

  // Runs until `task` has finished and returns its value. REQUIRES: that it does finish, and that
  // the loop is not running already.
  template <class T>
  T run(Task<T> task);

  // Runs what is ready and delivers events, without waiting. Returns whether anything ran.
  bool turn_once();

 private:
  friend class Timer;

  void turn(bool may_wait, bool& alive);
  void run_ready();
  bool run_posted();
  void fire_timers();
  void sift_up(std::size_t index);
  void sift_down(std::size_t index);
  void place(Timer* timer, std::size_t index);

  Driver& driver_;
  ListHead ready_;
  std::vector<Timer*> timers_;  // binary heap by deadline
  Instant now_;
  WallTime wall_now_;
  bool stopping_ = false;
  std::size_t ran_ = 0;
  std::atomic<bool> any_posted_ = false;
  std::mutex posted_mutex_;
  std::vector<std::move_only_function<void()>> posted_;
};

// Schedules `target` once at the armed time. Immovable; disarms itself when destroyed.
class Timer final {
 public:
  Timer(Loop& loop, Runnable& target) : loop_(loop), target_(target) {}
  ~Timer() { disarm(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Replaces an earlier time. A time in the past fires in the next turn.
  void arm(Instant at);
  void disarm();
  bool armed() const { return index_ != kIdle; }
  Instant at() const { return at_; }

 private:
  friend class Loop;
  static constexpr std::size_t kIdle = static_cast<std::size_t>(-1);

  Loop& loop_;
  Runnable& target_;
  Instant at_{};
  std::size_t index_ = kIdle;
};

}  // namespace tulle::rt
