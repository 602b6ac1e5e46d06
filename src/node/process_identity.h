// Telling a process apart from a later one that got the same number.
#pragma once

#include <string>
#include <string_view>

namespace tulle::node {

// "PID START BOOT", where START is the start time as the kernel counts it, from its boot, and BOOT
// is the boot's id: after another one, much the same numbers are given out. Empty when it is gone.
std::string identity_of(int pid);

// The process id in an identity, if that very process still runs; else 0.
int running_process(std::string_view identity);

}  // namespace tulle::node
