// The cells of a table that need more than a path: named functions of an object.
#pragma once

#include "kube/time.h"

#include <boost/json/fwd.hpp>

#include <string_view>

namespace tulle::kube {

using CellFunction = boost::json::value (*)(const boost::json::object& object, Time now);

// The function a column's source "@name" means, or nullptr.
CellFunction find_cell_function(std::string_view name);

// Cells of pods: table_pod.cc.
boost::json::value pod_ready(const boost::json::object& pod, Time now);
boost::json::value pod_status(const boost::json::object& pod, Time now);
boost::json::value pod_restarts(const boost::json::object& pod, Time now);
boost::json::value pod_readiness_gates(const boost::json::object& pod, Time now);

// Cells of workloads, their scaling and their storage: table_workloads.cc. Null where there is none
// of that name.
CellFunction find_workload_cell(std::string_view name);

}  // namespace tulle::kube
