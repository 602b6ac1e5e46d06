// Probes of one running container, and the actions that hooks share with them.
#pragma once

#include "node/pod_context.h"
#include "rt/scope.h"

#include <boost/json/fwd.hpp>

#include <memory>
#include <string>

namespace tulle::node {

// What an action is done to.
struct ActionTarget {
  PodContext& context;
  const boost::json::object& container;  // of the pod's spec; must outlive the action
  std::string container_id;
};

// Carries out exec, httpGet or tcpSocket of a probe or hook; the action goes into the pod's
// network. Error: what a person is to read.
rt::Task<Result<void>> run_action(ActionTarget target, const boost::json::object& action,
                                  Duration timeout);

// What probes said of a container before: probes of one that was taken over begin there.
struct ProbedBefore {
  bool started = false;
  bool ready = false;
};

// Runs the probes of `container` until dropped.
class Prober final {
 public:
  Prober(ActionTarget target, ProbedBefore before);

  bool started() const { return started_; }
  bool ready() const { return started_ && ready_; }
  // Until startup or liveness says that the container is to be restarted: the kind of the probe.
  rt::Task<std::string> restart_wanted();

 private:
  rt::Task<void> run_startup(const boost::json::object* probe);
  rt::Task<void> run_liveness(const boost::json::object& probe);
  rt::Task<void> run_readiness(const boost::json::object& probe);
  // With an empty `kind` a failure is not told.
  rt::Task<bool> run_once(const boost::json::object& probe, std::string kind);
  void want_restart(std::string kind);

  const ActionTarget target_;
  bool started_ = false;
  bool ready_ = false;
  std::string restart_;
  rt::WaitList restart_waiters_;
  rt::Scope scope_;
};

}  // namespace tulle::node
