// Domain names between text and wire form, RFC 1035 §3.1, §5.1. Internal to codec.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace tulle::codec {

// Labels with their length bytes and the zero at the end. Error: invalid_argument.
Result<std::string> dns_name_to_wire(std::string_view text);

// The name at `offset` of a message, following compression, and the offset behind it. Error:
// malformed.
struct DnsNameAt {
  std::string text;
  std::size_t end = 0;
};
Result<DnsNameAt> dns_name_at(std::string_view message, std::size_t offset);

}  // namespace tulle::codec
