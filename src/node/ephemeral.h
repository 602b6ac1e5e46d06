// The ephemeral containers of a pod (`kubectl debug`): added while it runs, each is started once
// and never again. They count neither for the pod's readiness nor for its phase, and end with it.
#pragma once

#include "node/container_runner.h"
#include "node/pod_context.h"
#include "rt/scope.h"

#include <memory>
#include <string>
#include <vector>

namespace tulle::node {

class EphemeralContainers final {
 public:
  // `context` must outlive it.
  explicit EphemeralContainers(PodContext& context)
      : context_(context), scope_(context.node.loop) {}

  // Starts those of the pod, as last seen, that were not there before, or takes them over.
  // REQUIRES: the pod is set up.
  void start_new();

  // Until all have ended.
  rt::Task<void> finished() { return scope_.idle(); }

  std::vector<ContainerView> views() const;
  // The runs of those that run now.
  std::vector<RunPlace> running() const;

 private:
  bool knows(std::string_view name) const;

  PodContext& context_;
  std::vector<std::unique_ptr<ContainerRunner>> runners_;
  rt::Scope scope_;
};

}  // namespace tulle::node
