// Subresources whose documents are of another kind: scale, binding.
#pragma once

#include "apiserver/context.h"
#include "rt/task.h"

namespace tulle::apiserver {

// GET, PUT and PATCH of autoscaling/v1 Scale.
rt::Task<kube::ApiResult<ApiResponse>> serve_scale(Context& context, const Call& call);
// POST pods/NAME/binding: gives a pod to a node.
rt::Task<kube::ApiResult<ApiResponse>> bind_pod(Context& context, const Call& call);

}  // namespace tulle::apiserver
