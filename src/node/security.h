// What the security contexts of a container and its pod, and the pod's host* fields, mean for the
// runtime.
#pragma once

#include "base/result.h"
#include "node/oci_spec.h"

#include <boost/json/fwd.hpp>

#include <string>
#include <vector>

namespace tulle::node {

// Fills in what `settings` says of privileges. Profiles of seccomp are looked for below
// `data_dir`/seccomp. Blocking: it looks at the machine. Errors: invalid_argument; unsupported, for
// isolation that is asked for and cannot be given.
Result<void> apply_security(const boost::json::object& pod, const boost::json::object& container,
                            const std::string& data_dir, ContainerSettings& settings);

// The device files below `directory`, /dev, without those that every container has as its own.
std::vector<Device> find_devices(const std::string& directory);

}  // namespace tulle::node
