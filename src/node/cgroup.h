// The control groups that pods leave behind: the runtime removes those of containers only.
#pragma once

#include "base/result.h"

#include <string>

namespace tulle::node {

// Removes /tulle/UID in every hierarchy, and /tulle where nothing is left in it. Blocking.
Result<void> remove_pod_cgroup(const std::string& uid);

}  // namespace tulle::node
