// DELETE of an object and of a collection, and eviction of pods.
#pragma once

#include "apiserver/context.h"
#include "rt/task.h"

namespace tulle::apiserver {

rt::Task<kube::ApiResult<ApiResponse>> delete_object(Context& context, const Call& call);
rt::Task<kube::ApiResult<ApiResponse>> delete_collection(Context& context, const Call& call);
// POST pods/NAME/eviction.
rt::Task<kube::ApiResult<ApiResponse>> evict_pod(Context& context, const Call& call);

}  // namespace tulle::apiserver
