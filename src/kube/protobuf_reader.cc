#include "kube/protobuf_reader.h"

#include <fmt/format.h>

namespace tulle::kube {
namespace {

constexpr std::size_t varint_size_max = 10;
constexpr std::uint64_t field_number_max = (1U << 29) - 1;

// The number of bytes of the sequence that `lead` starts, or 0.
std::size_t sequence_size(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  if (lead >= 0xF0 && lead < 0xF5) return 4;
  return 0;
}

// The smallest second byte and the largest, by the first (Unicode 15, table 3-7).
bool is_second(unsigned char lead, unsigned char second) {
  unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  return second >= low && second <= high;
}

// "1.5" of 1'500'000 millionths.
std::string fraction(std::uint64_t value, std::uint64_t unit) {
  std::string text = fmt::format("{}", value / unit);
  std::uint64_t rest = value % unit;
  if (rest == 0) return text;
  text += '.';
  for (std::uint64_t digit = unit / 10; rest != 0; digit /= 10) {
    text += static_cast<char>('0' + rest / digit);
    rest %= digit;
  }
  return text;
}

}  // namespace

Result<std::uint64_t> ProtobufReader::varint() {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < varint_size_max && i < rest_.size(); ++i) {
    auto byte = static_cast<unsigned char>(rest_[i]);
    if (i == varint_size_max - 1 && byte > 1) break;
    value |= static_cast<std::uint64_t>(byte & 0x7F) << (7 * i);
    if (byte < 0x80) {
      rest_.remove_prefix(i + 1);
      return value;
    }
  }
  return fail(Code::malformed, "protobuf: bad or truncated number");
}

Result<std::uint64_t> ProtobufReader::fixed(std::size_t size) {
  if (rest_.size() < size) return fail(Code::malformed, "protobuf: truncated number");
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(rest_[i]);
  }
  rest_.remove_prefix(size);
  return value;
}

Result<ProtobufField> ProtobufReader::next() {
  TRY(std::uint64_t tag, varint());
  ProtobufField field;
  if (tag >> 3 == 0 || tag >> 3 > field_number_max) {
    return fail(Code::malformed, "protobuf: bad field number");
  }
  field.number = static_cast<std::uint32_t>(tag >> 3);
  switch (tag & 7) {
    case 0: {
      TRY(field.integer, varint());
      break;
    }
    case 1: {
      TRY(field.integer, fixed(8));
      break;
    }
    case 2: {
      TRY(std::uint64_t size, varint());
      if (size > rest_.size()) {
        return fail(Code::malformed, "protobuf: a length goes beyond the end");
      }
      field.bytes = rest_.substr(0, size);
      rest_.remove_prefix(size);
      break;
    }
    case 5: {
      TRY(field.integer, fixed(4));
      break;
    }
    default: return fail(Code::malformed, "protobuf: unknown wire type");
  }
  field.wire = static_cast<WireType>(tag & 7);
  return field;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    auto lead = static_cast<unsigned char>(text[0]);
    std::size_t size = sequence_size(lead);
    if (size == 0 || size > text.size()) return false;
    for (std::size_t i = 1; i < size; ++i) {
      auto byte = static_cast<unsigned char>(text[i]);
      if (i == 1 ? !is_second(lead, byte) : (byte & 0xC0) != 0x80) return false;
    }
    text.remove_prefix(size);
  }
  return true;
}

std::string format_go_duration(std::int64_t nanoseconds) {
  if (nanoseconds == 0) return "0s";
  std::string text = nanoseconds < 0 ? "-" : "";
  std::uint64_t left = nanoseconds < 0 ? 0 - static_cast<std::uint64_t>(nanoseconds)
                                       : static_cast<std::uint64_t>(nanoseconds);
  constexpr std::uint64_t second = 1'000'000'000;
  if (left < 1'000) return text + fraction(left, 1) + "ns";
  if (left < 1'000'000) return text + fraction(left, 1'000) + "\u00b5s";
  if (left < second) return text + fraction(left, 1'000'000) + "ms";
  std::uint64_t minutes = left / second / 60;
  if (minutes >= 60) text += fmt::format("{}h", minutes / 60);
  if (minutes > 0) text += fmt::format("{}m", minutes % 60);
  return text + fraction(left % (60 * second), second) + "s";
}

}  // namespace tulle::kube
