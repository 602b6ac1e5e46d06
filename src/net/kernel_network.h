// Network over the kernel's sockets, on one epoll loop.
#pragma once

#include "net/network.h"
#include "rt/epoll_driver.h"

#include <functional>

namespace tulle::net {

class KeptSockets;  // net/kept_sockets.h

// Told of the TCP sockets that a network makes, before anybody else can know of them. A socket that
// was shown may be joined to its peer past TCP (fastpath/fast_path.h), and is then treated so:
// - Behind what was delivered past TCP, TCP data may wait without an event of its own; but only
//   behind kJoinedUnreadMin bytes or more that were all unread at once.
// - EPIPE from a socket that can still send means: not now, the peer has too much to read.
struct SocketHooks {
  // About to connect.
  std::function<void(int fd)> connecting = {};
  // Bound, and about to listen; `captured`: it gets what leaves its namespace. What is returned
  // lives as long as the listener.
  std::function<std::shared_ptr<void>(int fd, bool captured)> listening = {};
  // Who keeps the listeners and datagram sockets that are bound to a port of the network's own
  // choice, and has those that an earlier process bound there. Must outlive all of them.
  KeptSockets* kept = nullptr;
};
inline constexpr std::size_t kJoinedUnreadMin = 8192;

class KernelNetwork final : public Network {
 public:
  // Both must outlive the network and all that it made.
  KernelNetwork(rt::Loop& loop, rt::EpollDriver& driver, SocketHooks hooks = {})
      : loop_(loop), driver_(driver), hooks_(std::move(hooks)) {}

  rt::Task<Result<std::unique_ptr<Stream>>> connect(ConnectOptions options) override;
  Result<std::unique_ptr<Listener>> listen(const ListenOptions& options) override;
  Result<std::unique_ptr<Datagram>> bind_datagram(const ListenOptions& options) override;
  rt::Task<Result<std::unique_ptr<Stream>>> connect_unix(std::string path) override;
  Result<std::unique_ptr<Listener>> listen_unix(const std::string& path) override;

  // A stream over a connected, non-blocking descriptor: a socket, or either end of a pipe (then
  // only that direction works).
  Result<std::unique_ptr<Stream>> adopt(OwnedFd fd);

 private:
  struct Bound;
  Result<Bound> bind(const ListenOptions& options, int type) const;

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  const SocketHooks hooks_;
};

// Opens the namespace of process `pid`, or of a path like /run/netns/x.
Result<NamespacePtr> open_namespace(const std::string& path, std::string name);

// Runs `make` with the calling thread inside `in` and comes back. A thread that cannot come back
// ends the process: it must not go on in a pod's network.
Result<OwnedFd> in_namespace(const NamespacePtr& in, const std::function<Result<OwnedFd>()>& make);

}  // namespace tulle::net
