// DNS messages over a byte stream: two bytes of length before each (RFC 1035 §4.2.2).
#pragma once

#include "net/stream.h"

#include <string>

namespace tulle::dns {

// Code::closed at the orderly end between two messages.
rt::Task<Result<std::string>> read_message(net::Stream& stream);
// REQUIRES: at most 65535 bytes.
rt::Task<Result<void>> write_message(net::Stream& stream, std::string message);

}  // namespace tulle::dns
