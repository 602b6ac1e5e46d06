// How a role says that it cannot go on: one line for the person at the terminal.
#pragma once

#include "base/error.h"
#include "net/kept_sockets.h"

#include <csignal>

namespace tulle::app {

inline constexpr int kExitFailure = 1;

// Asks a role to make room for the next process of its kind: it leaves its sockets and its work to
// that, and ends when it has finished what nobody else can.
inline constexpr int kRetireSignal = SIGUSR1;
// What a proxy that was replaced has for the connections it still carries: the grace period that
// pods have by default.
inline constexpr Duration kRetirement = std::chrono::seconds(30);

// Prints "tulle: <message>" to standard error and returns kExitFailure.
int report(const Error& error);

// Tells whoever started this process that it is ready; does nothing for -1.
void notify_ready(int fd);

// What earlier processes of this kind listened on; null for -1.
Result<std::unique_ptr<net::KeptSockets>> inherit_sockets(rt::Loop& loop, rt::EpollDriver& driver,
                                                          int fd);

}  // namespace tulle::app
