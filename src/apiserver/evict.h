// POST pods/NAME/eviction: a deletion that PodDisruptionBudgets have a say in (policy/v1).
#pragma once

#include "apiserver/context.h"
#include "rt/task.h"

namespace tulle::apiserver {

// How many pods a budget may remember as evicted before it is refused any more.
inline constexpr std::size_t disrupted_pods_max = 2000;

// 429 where the pod's budget allows no disruption. A pod that is not ready, or has ended, does not
// count as available: evicting it takes nothing from the budget.
rt::Task<kube::ApiResult<ApiResponse>> evict_pod(Context& context, const Call& call);

}  // namespace tulle::apiserver
