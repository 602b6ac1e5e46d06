// Applies manifests to a running instance and waits for what they declare.
#pragma once

#include "cli/manifest.h"
#include "kubeclient/client.h"
#include "rt/loop.h"

#include <functional>

namespace tulle::cli {

using Say = std::function<void(const std::string& line)>;

// Creates each object, or brings the one that is there to what the manifest says (a strategic merge
// patch). Says one line for each. The error names the manifest's place.
rt::Task<Result<void>> apply(kubeclient::Client& client, const std::vector<Manifest>& manifests,
                             Say say);

// Until every Deployment among `manifests` has all its replicas available. Says each step, and once
// what a pod waits for.
rt::Task<Result<void>> wait_until_available(kubeclient::Client& client,
                                            const std::vector<Manifest>& manifests, Say say);

// The services of all namespaces as a table, and where they are reached.
rt::Task<Result<std::string>> describe_services(kubeclient::Client& client);

}  // namespace tulle::cli
