// UDP at a front door: what a client sends goes to one endpoint, and what that answers goes back,
// as long as either says something. There is nothing to recognise and nothing to try again.
#pragma once

#include "net/network.h"
#include "proxy/context.h"
#include "rt/scope.h"

#include <list>
#include <memory>
#include <unordered_map>

namespace tulle::proxy {

// Without a datagram either way, unless the policy says otherwise (timeouts.idle).
inline constexpr Duration kUdpIdleTimeout = std::chrono::seconds(60);

// Belongs to one loop.
class UdpDoor final {
 public:
  // `context` must outlive it. `downstream`: listener and destination of every session. Beyond
  // `sessions_max` the session that has been silent longest ends for the next.
  UdpDoor(Context& context, std::unique_ptr<net::Datagram> socket, Downstream downstream,
          std::size_t sessions_max);
  ~UdpDoor();

  std::size_t sessions() const { return by_client_.size(); }

 private:
  struct Session;
  using Place = std::list<std::unique_ptr<Session>>::iterator;

  rt::Task<void> serve();
  Session* session_of(const SocketAddress& client);
  bool direct(Session& session);
  rt::Task<void> answer(Session& session);
  rt::Task<void> end_later(SocketAddress client);
  void end(Session& session, std::string error);

  Context& context_;
  const std::unique_ptr<net::Datagram> socket_;
  const Downstream downstream_;
  const std::size_t sessions_max_;
  std::list<std::unique_ptr<Session>> sessions_;  // the longest silent first
  std::unordered_map<SocketAddress, Place> by_client_;
  rt::Scope serving_;
};

}  // namespace tulle::proxy
