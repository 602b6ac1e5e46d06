// UDP at a front door, and of a pod: what a client sends somewhere goes to one endpoint, and what
// that answers goes back, as long as either says something. There is nothing to recognise and
// nothing to try again; a client whose endpoint refuses is given another with its next datagram.
#pragma once

#include "mesh/outlier.h"
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
  // `context` must outlive it. `downstream`: of every session, but for the peer; without a
  // destination `socket` is transparent, and each session has its own. Beyond `sessions_max` the
  // session that has been silent longest ends for the next.
  UdpDoor(Context& context, std::unique_ptr<net::Datagram> socket, Downstream downstream,
          std::size_t sessions_max);
  ~UdpDoor();

  std::size_t sessions() const { return by_ends_.size(); }

 private:
  struct Session;
  // Who sends, and where to.
  struct Ends {
    SocketAddress client;
    SocketAddress destination;
    friend bool operator==(const Ends&, const Ends&) = default;
  };
  struct HashEnds {
    std::size_t operator()(const Ends& ends) const {
      return hash_value(ends.client) * 31 + hash_value(ends.destination);
    }
  };
  using Place = std::list<std::unique_ptr<Session>>::iterator;

  rt::Task<void> serve();
  Session* session_of(const Ends& ends);
  bool direct(Session& session);
  rt::Task<void> answer(Session& session);
  void note(Session& session, mesh::Outcome outcome);
  rt::Task<void> end_later(Ends ends, std::string error);
  void end(Session& session, std::string error);

  Context& context_;
  const std::unique_ptr<net::Datagram> socket_;
  const Downstream downstream_;
  const std::size_t sessions_max_;
  std::list<std::unique_ptr<Session>> sessions_;  // the longest silent first
  std::unordered_map<Ends, Place, HashEnds> by_ends_;
  rt::Scope serving_;
};

}  // namespace tulle::proxy
