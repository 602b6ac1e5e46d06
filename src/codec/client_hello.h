// The first message of a TLS client, as far as it tells where it wants to go: RFC 8446 §4.1.2, with
// the server name of RFC 6066 §3 and the protocols of RFC 7301. TLS 1.0 to 1.3 begin alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::codec {

inline constexpr std::size_t client_hello_bytes_max = 16 * 1024;  // with its records' headers

struct ClientHello {
  enum class Outcome : std::uint8_t {
    complete,
    incomplete,  // more bytes are needed
    malformed,   // no TLS, or not as it has to be; or too large
  };
  Outcome outcome = Outcome::incomplete;
  std::string server_name = {};        // lower case, no dot at the end; empty: none was sent
  std::vector<std::string> alpn = {};  // in the client's order of preference
};

// `bytes`: all that was received so far.
ClientHello parse_client_hello(std::string_view bytes);

// The alert that ends a handshake whose server name nobody has (RFC 6066 §3), as a whole record.
std::string_view unrecognized_name_alert();

}  // namespace tulle::codec
