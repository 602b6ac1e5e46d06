// What pods say about who may pull their images: imagePullSecrets, of the types
// kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg.
#pragma once

#include "base/result.h"
#include "node/image_reference.h"
#include "node/pod_context.h"
#include "rt/task.h"

#include <boost/json/fwd.hpp>

#include <string>
#include <vector>

namespace tulle::node {

// The logins of a Secret that are for the registry of `reference`, those for the longest name
// first; each as a whole containers-auth.json(5). Names of registries may have `*` in the parts of
// their host, and a path that the repository is to begin with. Error: malformed.
Result<std::vector<std::string>> logins_for(const boost::json::object& secret,
                                            const ImageReference& reference);

// Those of all of the pod's Secrets. What cannot be had or used is an event of the pod.
rt::Task<std::vector<std::string>> pull_logins(PodContext& context, std::string reference);

}  // namespace tulle::node
