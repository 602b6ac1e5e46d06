// Accepts connections of one listener and runs a task for each, up to a limit.
#pragma once

#include "http/idle_list.h"
#include "net/accept_trouble.h"
#include "net/network.h"
#include "obs/metrics.h"
#include "rt/scope.h"

#include <cstddef>
#include <functional>
#include <memory>

namespace tulle::proxy {

// Destroying it closes the listener and drops the connections.
class Acceptor final {
 public:
  // Connections that wait for a request join `idle`.
  using Serve =
      std::function<rt::Task<void>(std::unique_ptr<net::Stream> stream, http::IdleList& idle)>;

  // `loop` and `failures` must outlive it. At `connections_max` the one that has been idle longest
  // is closed for the next; where none is, nothing is accepted until one has ended. So it is, too,
  // when the process is out of descriptors: who connects then waits in the kernel's queue.
  // `failures` counts the tries.
  Acceptor(rt::Loop& loop, std::unique_ptr<net::Listener> listener, std::size_t connections_max,
           obs::Counter& failures);

  // REQUIRES: called once. The tasks that `serve` returns must own all they need.
  void start(Serve serve);

  // Closes the listener; connections go on.
  void close();
  // And end soon: with their next response, where they are of HTTP.
  void retire();
  // Those that wait for a request.
  void end_idle() { idle_.evict_all(); }
  std::size_t connections() const { return connections_.size(); }

 private:
  rt::Task<void> accept_all();
  rt::Task<void> run(rt::Task<void> connection);

  rt::Loop& loop_;
  std::unique_ptr<net::Listener> listener_;
  const SocketAddress local_;
  const std::size_t connections_max_;
  obs::Counter& failures_;
  net::AcceptTrouble trouble_;
  Serve serve_;
  rt::WaitList room_;
  std::unique_ptr<net::Stream> next_;  // accepted, waits for room
  http::IdleList idle_;
  rt::Scope connections_;
  rt::Scope accepting_;
};

}  // namespace tulle::proxy
