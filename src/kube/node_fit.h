// Which nodes a pod may be on. Pure.
#pragma once

#include <boost/json/fwd.hpp>

#include <cstdint>

namespace tulle::kube {

// Whether the nodeSelector and the required node affinity of a pod's spec select the node.
bool selects_node(const boost::json::object& pod_spec, const boost::json::object& node);

enum class TaintEffect : std::uint8_t {
  no_schedule,  // keeps pods from coming; NoExecute does, too
  no_execute,   // ends those that are there
};

// Whether the pod tolerates all taints of the node with this effect. A node that is
// unschedulable has the taint node.kubernetes.io/unschedulable:NoSchedule.
bool tolerates_node(const boost::json::object& pod_spec, const boost::json::object& node,
                    TaintEffect effect);

}  // namespace tulle::kube
