// Checks of a write against other objects, before it is validated.
#pragma once

#include "apiserver/context.h"

namespace tulle::apiserver {

// Creating needs a namespace that exists (404) and is not being deleted (403).
kube::ApiResult<void> admit_to_namespace(Context& context, const Call& call, std::string_view name);

// Some namespaces may not be deleted: 403.
kube::ApiResult<void> admit_deletion(const Call& call);

}  // namespace tulle::apiserver
