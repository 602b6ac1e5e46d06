// Gives pods their nodes. What no node takes waits, and says why, until a node or a pod changes.
#pragma once

#include "controllers/placement.h"
#include "controllers/shared.h"

#include <map>
#include <set>
#include <string>

namespace tulle::controllers {

class SchedulerController final {
 public:
  explicit SchedulerController(Shared& shared);
  rt::Task<void> run();

 private:
  // Where a pod is, or is about to be.
  struct Placed {
    std::string node;
    Demand demand;
  };

  void see(const ObjectPtr& before, const ObjectPtr& after);
  void hold(const NamespacedName& key, Placed placed);
  void release(const NamespacedName& key);
  void try_again();
  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  rt::Task<ApiResult<void>> bind(ObjectPtr pod, std::string node);
  rt::Task<ApiResult<void>> say_why(ObjectPtr pod, std::string why);

  Shared& shared_;
  std::map<NamespacedName, Placed> placed_;
  Occupancies occupancies_;
  std::set<NamespacedName> waiting_;  // found no node
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

}  // namespace tulle::controllers
