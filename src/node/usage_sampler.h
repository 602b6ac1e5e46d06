// Measures what containers and the machine use, from time to time, and tells it as the documents of
// metrics.k8s.io. Nothing of it is kept beyond the latest samples.
#pragma once

#include "kubeclient/client.h"
#include "node/node.h"
#include "node/places.h"
#include "node/usage.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace tulle::node {

class UsageSampler final {
 public:
  // Rates are of the last three periods, or of as many as there were.
  static constexpr Duration period = std::chrono::seconds(5);

  // `running` gives the containers that run now. It and `node` must outlive the sampler.
  UsageSampler(Node& node, std::function<std::vector<RunPlace>()> running)
      : node_(node), running_(std::move(running)) {}

  // For ever.
  rt::Task<void> run();

  // PodMetrics of the pods all of whose running containers were measured twice at least.
  std::vector<kubeclient::ObjectPtr> pods() const;
  // The NodeMetrics of this node: one, or none yet.
  std::vector<kubeclient::ObjectPtr> nodes() const;

 private:
  struct Measured {
    RunPlace place;
    UsageHistory history = {};
  };

  rt::Task<void> sample();

  Node& node_;
  std::function<std::vector<RunPlace>()> running_;
  std::map<std::string, Measured> containers_;  // by RunPlace::id(), so those of a pod in a row
  UsageHistory machine_;
};

}  // namespace tulle::node
