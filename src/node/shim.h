// The parent of one container, apart from the agent so that containers outlive it: it starts the
// runtime, writes what the container prints into log files, and writes down how it ended.
//
//   tulle shim RUNTIME BUNDLE ID LOG_DIRECTORY LOG_NUMBER
//
// In the bundle directory it leaves `shim.pid` (once it runs), `pid` (the container's first
// process, once it was created), `error` (what the runtime said, if it could not be started) and
// at last, by rename, `exit`: {"code":0,"signal":0,"finishedAt":"..."}. Deletes the container from
// the runtime after it ended.
#pragma once

namespace tulle::node {

// The subcommand; `argv[0]` is "shim". Returns the exit status of the process.
int run_shim(int argc, char** argv);

}  // namespace tulle::node
