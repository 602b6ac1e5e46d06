// Tells HTTP from anything else by its first bytes: a request line (RFC 9112 §3), or the preface of
// HTTP/2, which is made like one.
#pragma once

#include "base/time.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tulle::proxy {

enum class Recognised : std::uint8_t { http, other, undecided };

// `bytes` are the first of a connection. Undecided only while they are the beginning of a request
// line; decided at the latest after kRequestLineStartMax bytes.
inline constexpr std::size_t kRequestLineStartMax = 32;
Recognised recognise(std::string_view bytes);

// Where clients were the first to speak before, the next one is given this long before the upstream
// is dialled for the case that the server speaks first: mostly it need not be. A port that has come
// to speak first costs one client that time, and is known then.
inline constexpr Duration kClientPatience = std::chrono::milliseconds(50);

// Whether a server that spoke first speaks HTTP/2: it begins with SETTINGS (RFC 9113 §3.4).
bool is_http2_greeting(std::string_view bytes);

}  // namespace tulle::proxy
