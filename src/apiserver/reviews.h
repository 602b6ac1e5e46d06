// Kinds that are questions: they are answered and not stored.
#pragma once

#include "apiserver/context.h"

namespace tulle::apiserver {

// POST of SelfSubjectAccessReview and its like. Everyone who is authenticated may do everything.
kube::ApiResult<ApiResponse> answer_review(Context& context, const Call& call);

}  // namespace tulle::apiserver
