// Deletes what belongs to nobody any more: objects whose owners (metadata.ownerReferences) are all
// gone; and ends the deletions that wait for dependents (foregroundDeletion) or let go of them
// (orphan).
#pragma once

#include "controllers/shared.h"

#include <map>
#include <set>
#include <tuple>
#include <vector>

namespace tulle::controllers {

class GarbageController final {
 public:
  // Every cache of `shared` must be synced before run().
  explicit GarbageController(Shared& shared);
  rt::Task<void> run();

 private:
  struct Tracked {
    Tracked(rt::Loop& loop, kubeclient::Cache& which, std::size_t index)
        : number(index), cache(which), queue(loop) {}
    const std::size_t number;
    kubeclient::Cache& cache;
    kubeclient::WorkQueue queue;
    kubeclient::Reconcile reconcile;
  };
  struct Place {
    Tracked* tracked = nullptr;
    NamespacedName key;
    // Not by where a Tracked lies in memory: the same seed gives the same order.
    friend bool operator<(const Place& a, const Place& b) {
      return std::tie(a.tracked->number, a.key) < std::tie(b.tracked->number, b.key);
    }
  };

  void see(Tracked& tracked, const ObjectPtr& before, const ObjectPtr& after);
  rt::Task<ApiResult<Reconciled>> reconcile(Tracked& tracked, NamespacedName key);
  rt::Task<ApiResult<void>> collect(Tracked& tracked, ObjectPtr object);
  rt::Task<ApiResult<void>> finish_foreground(Tracked& tracked, ObjectPtr owner);
  rt::Task<ApiResult<void>> finish_orphan(Tracked& tracked, ObjectPtr owner);
  rt::Task<ApiResult<void>> drop_finalizer(Tracked& tracked, ObjectPtr owner,
                                           std::string_view finalizer);
  rt::Task<ApiResult<bool>> is_gone(NamespacedName dependent, json::object reference);
  const kubeclient::Cache* cache_of(const json::object& reference) const;

  Shared& shared_;
  std::vector<std::unique_ptr<Tracked>> tracked_;
  std::set<std::string, std::less<>> alive_;                        // uids
  std::map<std::string, std::set<Place>, std::less<>> dependents_;  // by the owner's uid
};

}  // namespace tulle::controllers
