// Fills in what the client left out, as upstream does when it decodes a document.
#pragma once

#include "kube/schema.h"

#include <boost/json/fwd.hpp>

namespace tulle::kube {

// Applies every default of `schema` to `document`, from the top down: a defaulted object gets the
// defaults of its own fields. Idempotent. A value that is not of the schema's type is left alone
// (check_types() tells the client). Run it after prune(), before validate().
void apply_defaults(const Schema& schema, boost::json::value& document);

}  // namespace tulle::kube
