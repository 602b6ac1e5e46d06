#include "kubeclient/work_queue.h"

#include "base/log.h"
#include "rt/sleep.h"

#include <algorithm>

namespace tulle::kubeclient {

void WorkQueue::add(const NamespacedName& key) {
  if (!waiting_.insert(key).second) return;
  if (working_.contains(key)) return;
  ready_.push_back(key);
  readers_.wake_one(loop_);
}

void WorkQueue::add_after(const NamespacedName& key, Duration delay) {
  if (delay <= Duration::zero()) return add(key);
  const Instant at = loop_.now() + std::min(delay, options_.delay_max);
  const auto [entry, is_new] = delayed_.try_emplace(key, at);
  if (!is_new && entry->second <= at) return;
  entry->second = at;
  timers_.spawn(add_later(key, at));
}

rt::Task<void> WorkQueue::add_later(NamespacedName key, Instant at) {
  co_await rt::sleep_until(loop_, at);
  const auto entry = delayed_.find(key);
  if (entry == delayed_.end() || entry->second != at) co_return;  // an earlier one came instead
  delayed_.erase(entry);
  add(key);
}

rt::Task<NamespacedName> WorkQueue::next() {
  while (ready_.empty()) co_await rt::wait_on(readers_);
  NamespacedName key = std::move(ready_.front());
  ready_.pop_front();
  waiting_.erase(key);
  working_.insert(key);
  co_return key;
}

void WorkQueue::done(const NamespacedName& key, bool failed) {
  working_.erase(key);
  if (waiting_.contains(key)) {
    ready_.push_back(key);
    readers_.wake_one(loop_);
  }
  if (!failed) {
    failures_.erase(key);
    return;
  }
  const int count = std::min(failures_[key]++, 30);
  add_after(key, std::min(options_.pause_max, options_.pause_min * (std::int64_t{1} << count)));
}

namespace {

// What is due is mostly so by the clock on the wall, which may be set, or go on while the machine
// sleeps and its timers stand still: nobody waits longer before another look at it.
constexpr Duration kLookAgainMax = std::chrono::minutes(1);

rt::Task<void> work(WorkQueue& queue, const std::string& name, const Reconcile& reconcile) {
  for (;;) {
    const NamespacedName key = co_await queue.next();
    const auto outcome = co_await reconcile(key);
    queue.done(key, !outcome);
    if (outcome) {
      if (outcome->again_after > Duration::zero()) {
        queue.add_after(key, std::min(outcome->again_after, kLookAgainMax));
      }
    } else if (!outcome.error().is(kube::Reason::conflict)) {
      log::warn("reconcile failed; it will be tried again",
                {{"controller", name}, {"key", to_string(key)}, {"why", outcome.error().message}});
    }
  }
}

}  // namespace

rt::Task<void> run_workers(rt::Loop& loop, WorkQueue& queue, std::string name,
                           const Reconcile& reconcile, std::size_t concurrency) {
  rt::Scope scope(loop);
  for (std::size_t i = 0; i < concurrency; ++i) scope.spawn(work(queue, name, reconcile));
  co_await scope.idle();
}

}  // namespace tulle::kubeclient
