// What metrics.k8s.io answers with: measured by the node agent, never stored.
#pragma once

#include <boost/json/fwd.hpp>

#include <memory>
#include <vector>

namespace tulle::apiserver {

class ResourceMetrics {
 public:
  using Documents = std::vector<std::shared_ptr<const boost::json::object>>;

  virtual ~ResourceMetrics() = default;

  // The PodMetrics of all pods that were measured long enough to tell a rate, with their labels.
  virtual Documents pods() const = 0;
  // The NodeMetrics of all nodes, likewise.
  virtual Documents nodes() const = 0;
};

}  // namespace tulle::apiserver
