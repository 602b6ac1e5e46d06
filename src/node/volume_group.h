// spec.securityContext.fsGroup: volumes belong to a group that the pod's containers are in.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace tulle::node {

// How deep the directories of a volume may lie.
inline constexpr int volume_depth_max = 256;

// What lies in a volume may be changed by another pod all the while: nothing is reached by its
// path, no link is followed, and what has gone meanwhile is left out. Blocking.
Result<void> give_group(const std::string& directory, std::uint32_t group);
// Everything in it first: a directory that has the group has it all, whatever was interrupted.
Result<void> give_group_to_tree(const std::string& directory, std::uint32_t group);
bool has_group(const std::string& directory, std::uint32_t group);

}  // namespace tulle::node
