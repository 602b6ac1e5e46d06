// Scope: owns tasks that run beside their owner. Destroying it drops them all.
#pragma once

#include "rt/sync.h"
#include "rt/task.h"

#include <cstddef>

namespace tulle::rt {

class Scope final {
 public:
  explicit Scope(Loop& loop) : loop_(loop) {}
  // REQUIRES: not called from inside one of its own tasks.
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  // Starts `task` in the next turn. The task must own, or outlive by contract, all it uses. Its
  // frame is freed as soon as it ends.
  void spawn(Task<void> task);

  std::size_t size() const { return size_; }

  // Waits until no task is left.
  Task<void> idle();

  // Drops all tasks now. REQUIRES: not called from inside one of its own tasks.
  void cancel();

  Loop& loop() { return loop_; }

 private:
  struct Runner;

  Loop& loop_;
  ListHead running_;
  std::size_t size_ = 0;
  WaitList idle_;
};

}  // namespace tulle::rt
