// The parent of one container, apart from the agent so that containers outlive it: it starts the
// runtime, writes what the container prints into log files, and writes down how it ended.
//
//   tulle shim RUNTIME RUNTIME_ROOT BUNDLE ID LOG_FILE
//
// Returns as soon as the container has been started, with status 0, or could not be, with status 1
// and the reason on standard error; the process that stays is of a session of its own.
//
// Beside the runtime's config.json it leaves in the bundle: `shim` (its process id and start time,
// before anything else), `pid` (the container's first process), `started` (RFC 3339), and at last,
// by rename, `exit`: {"code":0,"signal":0,"oomKilled":false,"finishedAt":"..."}. When `exit` is
// there, the runtime has forgotten the container.
#pragma once

namespace tulle::node {

// The subcommand, with the arguments of main(). Returns the exit status of the process.
int run_shim(int argc, char** argv);

}  // namespace tulle::node
