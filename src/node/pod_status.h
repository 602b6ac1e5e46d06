// The status of a pod, from what its containers do. Pure.
#pragma once

#include "kube/time.h"
#include "node/container_runner.h"

#include <boost/json/fwd.hpp>

#include <string>
#include <vector>

namespace tulle::node {

struct PodView {
  std::string address = {};  // empty: none yet
  std::string host_address = {};
  std::string started_at = {};
  std::vector<ContainerView> init_containers = {};
  std::vector<ContainerView> containers = {};
  std::vector<ContainerView> ephemeral_containers = {};
};

// The status that `pod` is to have: what others put there (conditions of other types above all)
// stays. A condition's time changes with its status only.
boost::json::object make_pod_status(const boost::json::object& pod, const PodView& view,
                                    kube::Time now);

}  // namespace tulle::node
