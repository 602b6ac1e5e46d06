#include "rt/loop.h"

#include "base/check.h"

#include <utility>

namespace tulle::rt {

void WaitList::wake_one(Loop& loop) {
  if (head_.linked()) loop.schedule(static_cast<Runnable&>(head_.next()));
}

void WaitList::wake_all(Loop& loop) {
  while (head_.linked()) loop.schedule(static_cast<Runnable&>(head_.next()));
}

Loop::Loop(Driver& driver) : driver_(driver), now_(driver.now()), wall_now_(driver.wall_now()) {}

Loop::~Loop() { CHECK(timers_.empty()); }

void Loop::schedule(Runnable& runnable) {
  runnable.unlink();
  runnable.insert_before(ready_);
}

void Loop::post(std::move_only_function<void()> function) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(function));
    any_posted_ = true;
  }
  driver_.wake();
}

void Loop::run() {
  stopping_ = false;
  bool alive = true;
  while (!stopping_ && alive) turn(true, alive);
}

bool Loop::turn_once() {
  const std::size_t before = ran_;
  bool alive = true;
  turn(false, alive);
  return ran_ != before;
}

void Loop::turn(bool may_wait, bool& alive) {
  const bool idle = may_wait && !ready_.linked();
  const Instant deadline = !idle ? Instant::min() : timers_.empty() ? kNever : timers_[0]->at_;
  alive = driver_.wait(deadline) || ready_.linked();
  now_ = driver_.now();
  wall_now_ = driver_.wall_now();
  alive = run_posted() || alive;
  fire_timers();
  run_ready();
}

bool Loop::run_posted() {
  if (!any_posted_) return false;
  std::vector<std::move_only_function<void()>> posted;
  {
    const std::lock_guard lock(posted_mutex_);
    posted.swap(posted_);
    any_posted_ = false;
  }
  ran_ += posted.size();
  for (auto& function : posted) function();
  return !posted.empty();
}

// Runs what is ready now; what those schedule waits for the next turn, so events are not starved.
void Loop::run_ready() {
  ListHead batch;
  batch.take_all(ready_);
  while (batch.linked()) {
    auto& runnable = static_cast<Runnable&>(batch.next());
    runnable.unlink();
    ++ran_;
    runnable.run();
  }
}

void Loop::fire_timers() {
  while (!timers_.empty() && timers_[0]->at_ <= now_) {
    Timer* timer = timers_[0];
    timer->disarm();
    schedule(timer->target_);
  }
}

void Loop::place(Timer* timer, std::size_t index) {
  timers_[index] = timer;
  timer->index_ = index;
}

void Loop::sift_up(std::size_t index) {
  Timer* timer = timers_[index];
  while (index > 0) {
    const std::size_t parent = (index - 1) / 2;
    if (timers_[parent]->at_ <= timer->at_) break;
    place(timers_[parent], index);
    index = parent;
  }
  place(timer, index);
}

void Loop::sift_down(std::size_t index) {
  Timer* timer = timers_[index];
  for (;;) {
    std::size_t child = 2 * index + 1;
    if (child >= timers_.size()) break;
    if (child + 1 < timers_.size() && timers_[child + 1]->at_ < timers_[child]->at_) ++child;
    if (timer->at_ <= timers_[child]->at_) break;
    place(timers_[child], index);
    index = child;
  }
  place(timer, index);
}

void Timer::arm(Instant at) {
  disarm();
  at_ = at;
  index_ = loop_.timers_.size();
  loop_.timers_.push_back(this);
  loop_.sift_up(index_);
}

void Timer::disarm() {
  if (index_ == kIdle) return;
  auto& timers = loop_.timers_;
  const std::size_t index = std::exchange(index_, kIdle);
  Timer* last = timers.back();
  timers.pop_back();
  if (last == this) return;
  loop_.place(last, index);
  loop_.sift_up(index);
  loop_.sift_down(last->index_);
}

}  // namespace tulle::rt
