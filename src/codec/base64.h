// Base64, RFC 4648: the standard alphabet (§4) and the one for URLs (§5).
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace tulle::codec {

enum class Base64Alphabet { standard, url };
enum class Base64Padding { with, without };

struct Base64Options {
  Base64Alphabet alphabet = Base64Alphabet::standard;
  Base64Padding padding = Base64Padding::with;
};

std::string base64_encode(std::string_view bytes, Base64Options options = {});

// Strict: exactly what base64_encode() makes, so every text has one spelling; line ends are
// skipped, as Go does and Secrets in the wild need. Error: malformed, names the offset.
Result<std::string> base64_decode(std::string_view text, Base64Options options = {});

}  // namespace tulle::codec
