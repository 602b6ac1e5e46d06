// How a supervisor goes on as another program: execve(2), so that it stays the parent of its
// processes, the process that the terminal or the service manager knows, and the holder of its
// lock. The next program is told the rest by a file in memory, whose descriptor --resume-fd names:
// a JSON object with the numbers of processes and of descriptors that stay open.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"

#include <boost/json/fwd.hpp>

#include <string>
#include <vector>

namespace tulle::app {

// A descriptor that came from the program before, and is not to go any further by itself.
OwnedFd inherited(int fd);

// Runs `program` with the arguments that this one was given, its name included. Returns only with
// an error: then nothing has changed.
Error succeed(const std::string& program, std::vector<std::string> arguments,
              const boost::json::object& state, std::vector<int> descriptors);

// What the program before has left at `fd`.
Result<boost::json::object> read_succession(int fd);

}  // namespace tulle::app
