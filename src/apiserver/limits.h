// Admission by what a namespace allows: LimitRanges and ResourceQuotas (core/v1), and what a pod's
// priority class says of it.
#pragma once

#include "apiserver/context.h"

#include <boost/json/fwd.hpp>

namespace tulle::apiserver {

// Fills in what a new pod does not say: its priority from its class (403 where there is none of
// that name), requests and limits from the namespace's LimitRanges, its quality of service.
kube::ApiResult<void> complete_pod(Context& context, boost::json::object& pod);

// 403 where the new or changed object breaks a LimitRange, or would use more than a ResourceQuota
// of its namespace has left. `old` is null for a creation. What is on its way to the store counts:
// REQUIRES that the object is put in the same turn of the loop.
kube::ApiResult<void> admit_by_limits(Context& context, const Call& call,
                                      const boost::json::object* old,
                                      const boost::json::object& object);

}  // namespace tulle::apiserver
