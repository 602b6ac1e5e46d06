// The inner loops of the HTTP/1 parser: each finds the first byte that ends a run. Internal to
// codec.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tulle::codec {

using ByteSet = std::array<bool, 256>;

constexpr ByteSet byte_set(std::string_view also) {
  ByteSet set{};
  for (int c = '0'; c <= '9'; ++c) set[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) set[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) set[static_cast<std::size_t>(c)] = true;
  for (const char c : also) set[static_cast<unsigned char>(c)] = true;
  return set;
}

inline constexpr ByteSet token_bytes = byte_set("!#$%&'*+-.^_`|~");

inline bool holds(const ByteSet& set, char byte) { return set[static_cast<unsigned char>(byte)]; }

// Offset of the first byte at or after `at` that is not in the set, or in.size().
inline std::size_t skip(const ByteSet& set, std::string_view in, std::size_t at) {
  while (at < in.size() && holds(set, in[at])) ++at;
  return at;
}

inline bool ends_value(char byte) {
  const auto value = static_cast<unsigned char>(byte);
  return (value < 0x20 && value != '\t') || value == 0x7f;
}

inline bool ends_target(char byte) {
  const auto value = static_cast<unsigned char>(byte);
  return value <= 0x20 || value >= 0x7f || value == '#';
}

// First control character but tab: field values and reason phrases.
inline std::size_t find_value_end(std::string_view in, std::size_t at) {
#if defined(__SSE2__)
  const __m128i control_max = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; at + 16 <= in.size(); at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in.data() + at));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, control_max), bytes);
    const __m128i control = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low);
    const int ends = _mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(bytes, del)));
    if (ends != 0)
      return at + static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(ends)));
  }
#endif
  while (at < in.size() && !ends_value(in[at])) ++at;
  return at;
}

// First byte that cannot stand in a request target. Bytes that RFC 3986 would have encoded but that
// change nobody's view of where the target ends, such as '|' and '{', may stand.
inline std::size_t find_target_end(std::string_view in, std::size_t at) {
#if defined(__SSE2__)
  const __m128i space = _mm_set1_epi8(0x20);
  const __m128i del = _mm_set1_epi8(0x7f);
  const __m128i hash = _mm_set1_epi8('#');
  for (; at + 16 <= in.size(); at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in.data() + at));
    // The comparison is signed: bytes from 0x80 on count as below the space.
    const int good = _mm_movemask_epi8(_mm_cmpgt_epi8(bytes, space));
    const int bad =
        _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, del), _mm_cmpeq_epi8(bytes, hash)));
    const unsigned ends = (~static_cast<unsigned>(good) & 0xffffU) | static_cast<unsigned>(bad);
    if (ends != 0) return at + static_cast<std::size_t>(std::countr_zero(ends));
  }
#endif
  while (at < in.size() && !ends_target(in[at])) ++at;
  return at;
}

inline bool is_blank(char byte) { return byte == ' ' || byte == '\t'; }

}  // namespace tulle::codec
