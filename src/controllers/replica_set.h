// ReplicaSets: as many pods as spec.replicas says.
#pragma once

#include "controllers/shared.h"

#include <map>
#include <set>
#include <string>

namespace tulle::controllers {

class ReplicaSetController final {
 public:
  // Pods made or deleted in one go; the rest follows in the next.
  static constexpr std::size_t burst_max = 500;

  explicit ReplicaSetController(Shared& shared);
  rt::Task<void> run();

 private:
  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  rt::Task<ApiResult<std::vector<ObjectPtr>>> claim_pods(ObjectPtr set);
  rt::Task<ApiResult<void>> create_pods(ObjectPtr set, std::size_t count);
  rt::Task<ApiResult<void>> create_pod(ObjectPtr set);
  rt::Task<ApiResult<void>> delete_pods(ObjectPtr set, std::vector<ObjectPtr> pods,
                                        std::size_t count);
  rt::Task<ApiResult<void>> delete_pod(ObjectPtr set, ObjectPtr pod);
  json::object with_status(const json::object& set, const std::vector<ObjectPtr>& pods,
                           Duration& again_after) const;

  Shared& shared_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
  // Pods that were told to end, by uid, until the cache shows it: never chosen or counted again.
  std::set<std::string, std::less<>> ending_;
};

// Which pods go first, as upstream's ActivePodsWithRanks: those that serve least and cost least.
void sort_victims_first(std::vector<ObjectPtr>& pods);

}  // namespace tulle::controllers
