// The kernel's packet filter, told what to do in the language of nft(8).
#pragma once

#include "base/result.h"

#include <string>

namespace tulle::node {

// Runs commands in the network namespace of the calling thread: all of them or, with an error,
// none. Blocks for some ten microseconds for each.
Result<void> run_nft(const std::string& commands);

// What is missing for any pod's network on this machine: an error that says what to do.
Result<void> check_nftables();

}  // namespace tulle::node
