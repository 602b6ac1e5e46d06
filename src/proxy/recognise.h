// Tells HTTP/1 from anything else by its first bytes (RFC 9112 §3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tulle::proxy {

enum class Recognised : std::uint8_t { http, other, undecided };

// `bytes` are the first of a connection. Undecided only while they are the beginning of a request
// line; decided at the latest after kRequestLineStartMax bytes.
inline constexpr std::size_t kRequestLineStartMax = 32;
Recognised recognise(std::string_view bytes);

}  // namespace tulle::proxy
