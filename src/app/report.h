// How a role says that it cannot go on: one line for the person at the terminal.
#pragma once

#include "base/error.h"

namespace tulle::app {

inline constexpr int kExitFailure = 1;

// Prints "tulle: <message>" to standard error and returns kExitFailure.
int report(const Error& error);

// Tells whoever started this process that it is ready; does nothing for -1.
void notify_ready(int fd);

}  // namespace tulle::app
