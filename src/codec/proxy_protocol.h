// The PROXY protocol: the first bytes of a connection, by which a proxy says who it is from.
// Source: HAProxy, doc/proxy-protocol.txt, versions 1 and 2.
#pragma once

#include "base/address.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tulle::codec {

inline constexpr std::size_t proxy_header_bytes_max = 4096;

enum class ProxyVersion : std::uint8_t { v1, v2 };

// Who dialled, and what. Both of one family.
struct ProxiedAddresses {
  SocketAddress source = {};
  SocketAddress destination = {};

  friend bool operator==(const ProxiedAddresses&, const ProxiedAddresses&) = default;
};

struct ProxyHeader {
  enum class Outcome : std::uint8_t {
    complete,
    incomplete,  // more bytes are needed
    malformed,   // no such header, not as it has to be, or too large
  };
  Outcome outcome = Outcome::incomplete;
  std::size_t length = 0;  // of the header; the stream begins behind it
  // None: the connection is the proxy's own (LOCAL), or it says nothing of it that is known here
  // (UNKNOWN, and families other than TCP over IP). Then the connection's own addresses hold.
  std::optional<ProxiedAddresses> addresses = {};
};

// `bytes`: all that was received so far. Values that follow the addresses (TLVs) are passed over.
ProxyHeader parse_proxy_header(std::string_view bytes);

// None: of a connection that the proxy makes for itself, such as a health check.
std::string encode_proxy_header(ProxyVersion version,
                                const std::optional<ProxiedAddresses>& addresses);

}  // namespace tulle::codec
