// Which system calls a container may make, as the runtime is told (runtime-spec, config-linux.md,
// "Seccomp").
#pragma once

#include "base/result.h"

#include <boost/json/object.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace tulle::node {

enum class Architecture : std::uint8_t { amd64, arm64 };

#if defined(__aarch64__)
inline constexpr Architecture own_architecture = Architecture::arm64;
#else
inline constexpr Architecture own_architecture = Architecture::amd64;
#endif

// The profile RuntimeDefault: it allows what containerd's and Docker's default profiles allow. All
// else fails with EPERM; clone3 with ENOSYS, so that libraries fall back to clone, whose flags can
// be looked at. What is privileged needs one of `capabilities`. Pure.
boost::json::object default_seccomp_profile(const std::vector<std::string>& capabilities,
                                            Architecture architecture);

// The profile `name` in `directory`, a file in the runtime's own form. Blocking. Error:
// invalid_argument.
Result<boost::json::object> load_seccomp_profile(const std::string& directory,
                                                 std::string_view name);

}  // namespace tulle::node
