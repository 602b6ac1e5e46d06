#include "codec/base64.h"

#include "base/format.h"

#include <array>
#include <cstdint>

namespace tulle::codec {
namespace {

constexpr std::string_view standard_letters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view url_letters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t no_letter = 64;

using Values = std::array<std::uint8_t, 256>;

constexpr Values values_of(std::string_view letters) {
  Values values{};
  values.fill(no_letter);
  for (std::size_t i = 0; i < letters.size(); ++i) {
    values[static_cast<unsigned char>(letters[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}

constexpr Values standard_values = values_of(standard_letters);
constexpr Values url_values = values_of(url_letters);

bool is_line_end(char byte) { return byte == '\n' || byte == '\r'; }

// Everything from `at` on must be the padding that the letters before it ask for.
bool is_padding(std::string_view rest, std::size_t pads) {
  for (const char byte : rest) {
    if (is_line_end(byte)) continue;
    if (byte != '=' || pads == 0) return false;
    --pads;
  }
  return pads == 0;
}

}  // namespace

std::string base64_encode(std::string_view bytes, Base64Options options) {
  const std::string_view letters =
      options.alphabet == Base64Alphabet::url ? url_letters : standard_letters;
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view group = bytes.substr(at, 3);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0U);
    }
    for (std::size_t i = 0; i <= group.size(); ++i) out += letters[bits >> (18 - 6 * i) & 63];
    if (options.padding == Base64Padding::with) out.append(3 - group.size(), '=');
  }
  return out;
}

Result<std::string> base64_decode(std::string_view text, Base64Options options) {
  const Values& values = options.alphabet == Base64Alphabet::url ? url_values : standard_values;
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  std::size_t letters = 0;
  std::size_t at = 0;
  for (; at < text.size() && text[at] != '='; ++at) {
    if (is_line_end(text[at])) continue;
    const std::uint8_t value = values[static_cast<unsigned char>(text[at])];
    if (value == no_letter) {
      return failf(Code::malformed, "offset {}: not a letter of base64", at);
    }
    bits = bits << 6 | value;
    if (++letters % 4 != 0) continue;
    out += static_cast<char>(bits >> 16 & 255);
    out += static_cast<char>(bits >> 8 & 255);
    out += static_cast<char>(bits & 255);
    bits = 0;
  }
  const std::size_t left = letters % 4;
  const bool padded = options.padding == Base64Padding::with;
  if (left == 1 || !is_padding(text.substr(at), padded && left > 0 ? 4 - left : 0)) {
    return failf(Code::malformed, "offset {}: base64 ends in the middle or is padded wrongly", at);
  }
  // Bits that no byte holds must be 0, or one value would have many spellings.
  const std::uint32_t unused = left == 2 ? bits & 15 : left == 3 ? bits & 3 : 0;
  if (unused != 0) return failf(Code::malformed, "offset {}: base64 ends with stray bits", at);
  if (left == 2) out += static_cast<char>(bits >> 4 & 255);
  if (left == 3) {
    out += static_cast<char>(bits >> 10 & 255);
    out += static_cast<char>(bits >> 2 & 255);
  }
  return out;
}

}  // namespace tulle::codec
