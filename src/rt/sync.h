// What coroutines of one loop use to wait for each other: wait_on(list), Event, Semaphore, Queue.
// Waking only schedules; a woken waiter checks its condition again.
#pragma once

#include "base/check.h"
#include "rt/task.h"

#include <cstddef>
#include <deque>
#include <optional>

namespace tulle::rt {

// co_await wait_on(list): until the list is woken. Leaves the list when dropped.
class WaitOn final : public Resumer {
 public:
  explicit WaitOn(WaitList& list) : list_(list) {}
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle = waiting;
    list_.add(*this);
  }
  void await_resume() {}

 private:
  WaitList& list_;
};

inline WaitOn wait_on(WaitList& list) { return WaitOn(list); }

// A latch: once set, every wait returns at once until it is cleared.
class Event final {
 public:
  explicit Event(Loop& loop) : loop_(loop) {}

  void set() {
    set_ = true;
    waiters_.wake_all(loop_);
  }
  void clear() { set_ = false; }
  bool is_set() const { return set_; }
  Task<void> wait() {
    while (!set_) co_await wait_on(waiters_);
  }

 private:
  Loop& loop_;
  bool set_ = false;
  WaitList waiters_;
};

// Counts permits. acquire() waits for one in order of arrival; the Permit gives it back.
class Semaphore final {
 public:
  class Permit final {
   public:
    explicit Permit(Semaphore& owner) : owner_(&owner) {}
    Permit(Permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    Permit& operator=(Permit&&) = delete;
    ~Permit() {
      if (owner_ != nullptr) owner_->release();
    }

   private:
    Semaphore* owner_;
  };

  Semaphore(Loop& loop, std::size_t permits) : loop_(loop), free_(permits) {}

  Task<Permit> acquire() {
    while (free_ == 0) co_await wait_on(waiters_);
    --free_;
    co_return Permit(*this);
  }

 private:
  void release() {
    ++free_;
    waiters_.wake_one(loop_);
  }

  Loop& loop_;
  std::size_t free_;
  WaitList waiters_;
};

// A bounded queue between coroutines.
template <class T>
class Queue final {
 public:
  // REQUIRES: limit > 0.
  Queue(Loop& loop, std::size_t limit) : loop_(loop), limit_(limit) { CHECK(limit > 0); }

  // Waits while full. Does nothing once closed.
  Task<void> push(T value) {
    while (items_.size() >= limit_ && !closed_) co_await wait_on(writers_);
    if (closed_) co_return;
    items_.push_back(std::move(value));
    readers_.wake_one(loop_);
  }

  // False, and nothing taken, when full or closed.
  bool try_push(T value) {
    if (items_.size() >= limit_ || closed_) return false;
    items_.push_back(std::move(value));
    readers_.wake_one(loop_);
    return true;
  }

  // Waits for the next; nullopt once closed and drained.
  Task<std::optional<T>> pop() {
    while (items_.empty() && !closed_) co_await wait_on(readers_);
    if (items_.empty()) co_return std::nullopt;
    std::optional<T> value(std::move(items_.front()));
    items_.pop_front();
    writers_.wake_one(loop_);
    co_return value;
  }

  void close() {
    closed_ = true;
    readers_.wake_all(loop_);
    writers_.wake_all(loop_);
  }
  std::size_t size() const { return items_.size(); }

 private:
  Loop& loop_;
  std::size_t limit_;
  std::deque<T> items_;
  bool closed_ = false;
  WaitList readers_;
  WaitList writers_;
};

}  // namespace tulle::rt
