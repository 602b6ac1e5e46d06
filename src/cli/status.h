// `tulle status`: how a running instance is.
#pragma once

#include "cli/status_report.h"
#include "http/client.h"
#include "rt/loop.h"

#include <string>

namespace tulle::cli {

// The time between the two readings that requests per second are counted from.
inline constexpr Duration kStatusInterval = std::chrono::seconds(1);

// Reads the objects of all namespaces, and the proxy's metrics twice, kStatusInterval apart. An API
// that does not answer is an error; a proxy that does not is one of the facts. Leaves api_address,
// data_dir, started and now to the caller.
rt::Task<Result<StatusFacts>> gather_status(rt::Loop& loop, kubeclient::Client& api,
                                            http::Client& proxy);

// Prints the screen of the instance that runs on `data_dir`. Returns the exit code: 1 when none
// does, with one line on standard error.
int run_status(const std::string& data_dir);

}  // namespace tulle::cli
