// What the runtime does not do about control groups.
#pragma once

#include "base/result.h"

#include <string>

namespace tulle::node {

// From now on the processes of this group ("/tulle/UID/CONTAINER") run without a limit of CPU time.
// Those that are killed need it to end: some thousand under a small limit take minutes.
void lift_cpu_limit(const std::string& group);

// The runtime removes the groups of containers only: removes /tulle/UID in every hierarchy, and
// /tulle where nothing is left in it. Blocking.
Result<void> remove_pod_cgroup(const std::string& uid);

}  // namespace tulle::node
