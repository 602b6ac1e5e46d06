// The downward API: what a pod may learn of itself, by fieldRef and resourceFieldRef. Pure.
#pragma once

#include "node/environment.h"

namespace tulle::node {

// The value of fieldRef.fieldPath: "metadata.labels['app']", "status.podIP"; of "metadata.labels"
// all of them, a line each. Error: unsupported.
Result<std::string> field_value(const EnvironmentSources& sources, std::string_view path);

// Of a resourceFieldRef about `container`: a request or limit in units of the divisor, rounded up.
// A limit that is not set is what the node has. Errors: unsupported, invalid_argument.
Result<std::string> resource_value(const EnvironmentSources& sources,
                                   const boost::json::object& container,
                                   const boost::json::object& reference);

}  // namespace tulle::node
