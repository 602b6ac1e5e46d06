// Between our addresses and the kernel's.
#pragma once

#include "base/address.h"

#include <sys/socket.h>

namespace tulle::net {

struct NativeAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

NativeAddress to_native(const SocketAddress& address);
// 0.0.0.0:0 for families other than IPv4 and IPv6. IPv4-mapped addresses are unmapped.
SocketAddress from_native(const NativeAddress& address);

}  // namespace tulle::net
