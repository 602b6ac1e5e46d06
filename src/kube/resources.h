// What pods ask for and may use (core/v1 ResourceRequirements): amounts by resource name.
#pragma once

#include "kube/quantity.h"

#include <boost/json/fwd.hpp>

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace tulle::kube {

// "cpu", "memory", "ephemeral-storage", "example.com/gpu".
using Resources = std::map<std::string, Quantity, std::less<>>;

// A resource list of the API; what is no quantity is left out.
Resources resources_from(const boost::json::object& list);
boost::json::object to_json(const Resources& resources);

// What the whole pod asks for: its containers and restartable init containers together, or what any
// init container needs while it runs, or what the pod itself states (spec.resources), whichever is
// most, and the overhead.
Resources pod_requests(const boost::json::object& pod);
// What the whole pod may use, likewise. A container without a limit adds nothing.
Resources pod_limits(const boost::json::object& pod);

// "Guaranteed", "Burstable" or "BestEffort", by cpu and memory alone.
std::string_view qos_class(const boost::json::object& pod);

}  // namespace tulle::kube
