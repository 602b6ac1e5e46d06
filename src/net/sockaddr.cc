#include "net/sockaddr.h"

#include <netinet/in.h>
#include <algorithm>
#include <cstring>

namespace tulle::net {

NativeAddress to_native(const SocketAddress& address) {
  NativeAddress native;
  const auto& bytes = address.ip.bytes();
  if (address.ip.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port);
    std::memcpy(&in.sin_addr, bytes.data(), 4);
    std::memcpy(&native.storage, &in, sizeof in);
    native.size = sizeof in;
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(address.port);
    std::memcpy(&in.sin6_addr, bytes.data(), 16);
    std::memcpy(&native.storage, &in, sizeof in);
    native.size = sizeof in;
  }
  return native;
}

SocketAddress from_native(const NativeAddress& native) {
  if (native.storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &native.storage, sizeof in);
    return {.ip = IpAddress::v4(ntohl(in.sin_addr.s_addr)), .port = ntohs(in.sin_port)};
  }
  if (native.storage.ss_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &native.storage, sizeof in);
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
    return {.ip = IpAddress::v6(bytes).unmapped(), .port = ntohs(in.sin6_port)};
  }
  return {};
}

}  // namespace tulle::net
