// UTF-8, RFC 3629.
#pragma once

#include <cstddef>
#include <string_view>

namespace tulle::codec {

// No overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

// The longest beginning of at most `bytes_max` bytes that does not cut a character.
// REQUIRES: is_utf8(text); for other text merely no longer than bytes_max.
std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max);

}  // namespace tulle::codec
