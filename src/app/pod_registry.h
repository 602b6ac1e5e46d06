// The proxy's side of the handover: takes pods from the node agent and gives them to the workers.
#pragma once

#include "mesh/handover.h"
#include "net/fd_channel.h"
#include "proxy/pods.h"
#include "rt/scope.h"

#include <functional>
#include <map>
#include <set>

namespace tulle::app {

class PodRegistry final {
 public:
  // Called on the registry's loop. `attach` calls its callback, on any turn of that loop, when all
  // sockets of the pod are open or could not be opened; `detach` when none is left.
  struct Actions {
    using Done = std::function<void(Result<void>)>;
    std::function<void(proxy::PodTablePtr)> publish;
    std::function<void(std::shared_ptr<const proxy::Pod>, Done)> attach;
    std::function<void(const std::string& uid, Done)> detach;
    // All pods of the node have been attached, or are being attached.
    std::function<void()> synced;
    // Calls its callback when nothing is under way to the pod and nothing more will come. Not at
    // all where the pod is detached before.
    std::function<void(const proxy::Pod&, std::function<void()>)> drain;
  };

  PodRegistry(rt::Loop& loop, Actions actions)
      : loop_(loop), actions_(std::move(actions)), channels_(loop) {}

  // Serves agents for ever. The channels of earlier agents go on until they break.
  rt::Task<void> serve(net::FdChannelListener& listener);

  // Attaches no pods any more; drains and withdrawals go on.
  void take_no_more() { retired_ = true; }
  // And tells the agents, those that will come included, to offer their pods to the next proxy.
  void retire();

 private:
  // One agent's connection: what it offered, and the way to answer it.
  struct Session;

  rt::Task<void> serve_agent(std::unique_ptr<net::FdChannel> channel);
  rt::Task<void> receive_from(std::shared_ptr<Session> session);
  void offer(const std::shared_ptr<Session>& session, const mesh::HandoverMessage& message,
             std::vector<OwnedFd> fds);
  void attach(const std::shared_ptr<const proxy::Pod>& pod, Actions::Done answer);
  void withdraw(const std::string& uid, Actions::Done done);
  void drain(const std::shared_ptr<Session>& session, const std::string& uid);
  void drop_others(const std::set<std::string>& offered);
  void publish();

  rt::Loop& loop_;
  const Actions actions_;
  std::map<std::string, std::shared_ptr<const proxy::Pod>> pods_;  // by uid
  std::set<std::shared_ptr<Session>> sessions_;
  bool retired_ = false;
  rt::Scope channels_;
};

}  // namespace tulle::app
