// `tulle upgrade`: has a running instance go on as another program.
#pragma once

#include <string>

namespace tulle::cli {

// Asks the supervisor of the instance on `data_dir` to run `program`, a path; empty: the program
// that this process runs. Returns the exit code when that is done or has failed; what went wrong is
// one line on standard error.
int run_upgrade(const std::string& data_dir, const std::string& program);

}  // namespace tulle::cli
