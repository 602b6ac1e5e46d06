#include "net/loopback_pair.h"

#include "net/sockaddr.h"

#include <cerrno>

namespace tulle::net {

namespace {

constexpr SocketAddress kAnyPort{.ip = IpAddress::v4(127, 0, 0, 1), .port = 0};

Result<OwnedFd> make_socket() {
  OwnedFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return os_error(errno, "socket");
  return fd;
}

}  // namespace

Result<LoopbackPair> make_loopback_pair(const std::function<void(int fd)>& before_connect) {
  TRY(const OwnedFd listener, make_socket());
  NativeAddress at = to_native(kAnyPort);
  if (::bind(listener.get(), at.get(), at.size) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), at.get(), &at.size) != 0) {
    return os_error(errno, "listening on loopback");
  }
  LoopbackPair pair;
  TRY(pair.client, make_socket());
  before_connect(pair.client.get());
  if (::connect(pair.client.get(), at.get(), at.size) != 0) {
    return os_error(errno, "connecting over loopback");
  }
  pair.server = OwnedFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!pair.server) return os_error(errno, "accepting over loopback");
  return pair;
}

}  // namespace tulle::net
