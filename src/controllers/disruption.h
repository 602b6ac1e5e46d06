// PodDisruptionBudgets (policy/v1): how many pods evictions may still take, kept in the budget's
// status; the API server's eviction spends it.
#pragma once

#include "controllers/shared.h"

#include <vector>

namespace tulle::controllers {

// How long a pod counts as disrupted after its eviction was granted; by then its deletion shows.
inline constexpr Duration disrupted_max = std::chrono::minutes(2);

// What a budget comes to. Pure: all that it depends on is given.
struct Budgeting {
  std::int64_t expected = 0;  // pods that there should be
  std::int64_t desired = 0;   // that must be healthy
  std::int64_t healthy = 0;
  std::int64_t allowed = 0;  // disruptions
};

// `expected_scale`: the sizes of the workloads that own the pods, added up.
Budgeting weigh_budget(const json::object& budget, const std::vector<ObjectPtr>& pods,
                       std::int64_t expected_scale, kube::Time now);

class DisruptionController final {
 public:
  explicit DisruptionController(Shared& shared);
  rt::Task<void> run();

 private:
  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  void add_budgets_of(const json::object& pod);
  std::vector<ObjectPtr> pods_of(const json::object& budget) const;
  // The size of the workload that owns the pod, and its uid; nothing where no scale is known.
  std::optional<std::pair<std::string, std::int64_t>> scale_of(const json::object& pod) const;
  ApiResult<std::int64_t> expected_scale(const std::vector<ObjectPtr>& pods) const;

  Shared& shared_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

}  // namespace tulle::controllers
