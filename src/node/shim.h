// The parent of one container, apart from the agent so that containers outlive it: it starts the
// runtime, writes what the container prints into log files, lets clients attach to it
// (node/attach_hub.h, at the Unix socket `attach` in the bundle), and writes down how it ended.
//
//   tulle shim RUNTIME RUNTIME_ROOT BUNDLE ID LOG_FILE STREAMS
//
// STREAMS is what the first process has: output, or with the words input, input-once and terminal,
// joined by commas, more than that.
//
// Returns as soon as the container has been started, with status 0, or could not be, with status 1
// and the reason on standard error; the process that stays is of a session of its own.
//
// Beside the runtime's config.json it leaves in the bundle: `shim` (its process id and start time,
// before anything else), `pid` and `process` (the container's first process: its id, and as
// `shim`), `started` (RFC 3339), and at last, by rename, `exit`:
// {"code":0,"signal":0,"oomKilled":false,"finishedAt":"..."}. When `exit` is there, the runtime has
// forgotten the container.
#pragma once

#include <string>

namespace tulle::node {

struct ShimStreams {
  bool input = false;
  bool input_once = false;  // it ends with that of the first client that has one
  bool terminal = false;    // which config.json must say, too
};

// As the argument STREAMS.
std::string to_argument(const ShimStreams& streams);

// The subcommand, with the arguments of main(). Returns the exit status of the process.
int run_shim(int argc, char** argv);

}  // namespace tulle::node
