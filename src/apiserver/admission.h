// Checks of a write against other objects, before it is validated.
#pragma once

#include "apiserver/context.h"

#include <boost/json/fwd.hpp>

namespace tulle::apiserver {

// Creating needs a namespace that exists (404) and is not being deleted (403).
kube::ApiResult<void> admit_to_namespace(Context& context, const Call& call, std::string_view name);

// What a new pod takes over from its service account: imagePullSecrets, where it names none itself.
// A service account that is not there yet gives none.
void adopt_service_account(Context& context, boost::json::object& pod);

// Some namespaces may not be deleted: 403.
kube::ApiResult<void> admit_deletion(const Call& call);

}  // namespace tulle::apiserver
