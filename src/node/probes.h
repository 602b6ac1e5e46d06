// Probes of one running container, and the actions that hooks share with them.
#pragma once

#include "node/pod_context.h"
#include "rt/scope.h"

#include <boost/json/fwd.hpp>

#include <memory>
#include <optional>
#include <string>

namespace tulle::node {

// What an action is done to.
struct ActionTarget {
  PodContext& context;
  const boost::json::object& container;  // of the pod's spec; must outlive the action
  std::string container_id;
};

// Carries out exec, httpGet, tcpSocket, grpc or sleep of a probe or hook; the action goes into the
// pod's network. Error: what a person is to read.
rt::Task<Result<void>> run_action(ActionTarget target, const boost::json::object& action,
                                  Instant deadline);

// What probes said of a container before: probes of one that was taken over begin there.
struct ProbedBefore {
  bool started = false;
  bool ready = false;
};

// A probe's verdict that the container is to be ended and started again.
struct RestartWish {
  std::string probe;              // "liveness" or "startup"
  std::optional<Duration> grace;  // in place of the pod's
};

// Runs the probes of `container` until dropped. Initial delays count from its making.
class Prober final {
 public:
  Prober(ActionTarget target, ProbedBefore before);

  bool started() const { return started_; }
  bool ready() const { return started_ && ready_; }
  rt::Task<RestartWish> restart_wanted();

 private:
  rt::Task<void> run_startup(const boost::json::object* probe);
  rt::Task<void> run_liveness(const boost::json::object& probe);
  rt::Task<void> run_readiness(const boost::json::object& probe);
  // With an empty `kind` a failure is not told.
  rt::Task<bool> run_once(const boost::json::object& probe, std::string kind);
  void want_restart(std::string kind, const boost::json::object& probe);

  const ActionTarget target_;
  const Instant began_;
  bool started_ = false;
  bool ready_ = false;
  std::optional<RestartWish> wish_;
  rt::WaitList wish_waiters_;
  rt::Scope scope_;
};

}  // namespace tulle::node
