// The status of a pod, from what its containers do. Pure.
#pragma once

#include "kube/time.h"
#include "node/container_runner.h"

#include <boost/json/fwd.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::node {

// Why the node has put an end to a pod.
struct PodFailure {
  std::string reason;  // "DeadlineExceeded"
  std::string message;
};

struct PodView {
  std::string address = {};  // empty: none yet
  std::string host_address = {};
  std::string started_at = {};
  std::vector<ContainerView> init_containers = {};
  std::vector<ContainerView> containers = {};
  std::vector<ContainerView> ephemeral_containers = {};
  // Nothing of it will run again, whatever its restart policy.
  bool ended = false;
  std::optional<PodFailure> failure = std::nullopt;
};

// The status that `pod` is to have: what others put there (conditions of other types above all)
// stays. A condition's time changes with its status only.
boost::json::object make_pod_status(const boost::json::object& pod, const PodView& view,
                                    kube::Time now);

}  // namespace tulle::node
