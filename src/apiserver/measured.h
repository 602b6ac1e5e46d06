// Kinds that are measured when they are asked for: PodMetrics and NodeMetrics.
#pragma once

#include "apiserver/context.h"

namespace tulle::apiserver {

// GET of one or of a collection. 503 where nothing measures.
kube::ApiResult<ApiResponse> answer_measured(Context& context, const Call& call);

}  // namespace tulle::apiserver
