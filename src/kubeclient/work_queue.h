// Keys that need to be reconciled. Each is in the queue once, however often it is added; one that
// is added while it is being worked on comes again afterwards. Failures come again with growing
// pauses.
#pragma once

#include "base/time.h"
#include "kube/object.h"
#include "kube/status.h"
#include "rt/scope.h"

#include <deque>
#include <functional>
#include <map>
#include <set>

namespace tulle::kubeclient {

using kube::NamespacedName;

class WorkQueue final {
 public:
  struct Options {
    Duration pause_min = std::chrono::milliseconds(5);
    Duration pause_max = std::chrono::seconds(60);
    Duration delay_max = std::chrono::hours(24);
  };
  WorkQueue(rt::Loop& loop, const Options& options)
      : loop_(loop), options_(options), timers_(loop) {}
  explicit WorkQueue(rt::Loop& loop) : WorkQueue(loop, Options{}) {}

  void add(const NamespacedName& key);
  // Adds it once `delay` has passed, or a day, if that is less. The earliest of several counts.
  void add_after(const NamespacedName& key, Duration delay);

  // The next key to work on; finish with done(). Keys that are worked on are not given out.
  rt::Task<NamespacedName> next();
  // `failed`: add it again after a pause that doubles with every failure in a row.
  void done(const NamespacedName& key, bool failed);

  std::size_t size() const { return ready_.size(); }

 private:
  rt::Task<void> add_later(NamespacedName key, Instant at);

  rt::Loop& loop_;
  const Options options_;
  std::deque<NamespacedName> ready_;
  std::set<NamespacedName> waiting_;  // the members of ready_, or to come again after done()
  std::set<NamespacedName> working_;
  std::map<NamespacedName, int> failures_;
  std::map<NamespacedName, Instant> delayed_;
  rt::WaitList readers_;
  rt::Scope timers_;
};

// What a reconcile of one key came to. `again_after`: zero is not at all.
struct Reconciled {
  Duration again_after{};
};

// Reconciles keys of `queue` for ever, up to `concurrency` at once, each key by one at a time.
// `reconcile` must outlive the task. A failure is logged, but for conflicts, which are expected,
// and comes again.
using Reconcile = std::function<rt::Task<kube::ApiResult<Reconciled>>(NamespacedName key)>;
rt::Task<void> run_workers(rt::Loop& loop, WorkQueue& queue, std::string name,
                           const Reconcile& reconcile, std::size_t concurrency);

}  // namespace tulle::kubeclient
