#include "codec/dns_name.h"

#include "base/format.h"
#include "codec/dns.h"

#include <charconv>

namespace tulle::codec {
namespace {

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

// The byte that an escape stands for; `text` begins behind the backslash. Drops what it used.
Result<char> take_escaped(std::string_view& text) {
  if (text.empty()) return fail(Code::invalid_argument, "a backslash ends the name");
  if (!is_digit(text.front())) {
    const char byte = text.front();
    text.remove_prefix(1);
    return byte;
  }
  unsigned value = 0;
  const std::string_view digits = text.substr(0, 3);
  const auto [stop, error] = std::from_chars(digits.begin(), digits.end(), value);
  if (stop != text.data() + 3 || value > 255) {
    return fail(Code::invalid_argument, "an escape is not three digits up to 255");
  }
  text.remove_prefix(3);
  return static_cast<char>(value);
}

Result<void> append_label(std::string& wire, std::string_view label) {
  if (label.empty()) return fail(Code::invalid_argument, "an empty label");
  if (label.size() > dns_label_bytes_max) {
    return fail(Code::invalid_argument, "a label of more than 63 bytes");
  }
  wire += static_cast<char>(label.size());
  wire += label;
  return {};
}

void append_escaped(std::string& text, std::string_view label) {
  for (const char byte : label) {
    const auto value = static_cast<unsigned char>(byte);
    if (value <= 0x20 || value >= 0x7f) {
      text += fmt::format("\\{:03}", value);
      continue;
    }
    if (byte == '.' || byte == '\\') text += '\\';
    text += byte;
  }
}

}  // namespace

Result<std::string> dns_name_to_wire(std::string_view text) {
  std::string wire;
  std::string label;
  std::string_view rest = text;
  if (rest == ".") rest = {};
  while (!rest.empty()) {
    const char byte = rest.front();
    rest.remove_prefix(1);
    if (byte == '\\') {
      TRY(const char escaped, take_escaped(rest));
      label += escaped;
    } else if (byte != '.') {
      label += byte;
    }
    if (byte != '.' && !rest.empty()) continue;
    if (auto added = append_label(wire, label); !added) {
      return std::move(added).error().context(fmt::format("name \"{}\"", text));
    }
    label.clear();
  }
  wire += '\0';
  if (wire.size() > dns_name_bytes_max) {
    return fail(Code::invalid_argument, "a name of more than 255 bytes");
  }
  return wire;
}

Result<DnsNameAt> dns_name_at(std::string_view message, std::size_t offset) {
  DnsNameAt result;
  std::size_t at = offset;
  // Each jump must go further back than the one before, so that following them comes to an end.
  std::size_t jump_limit = offset;
  std::size_t wire_size = 1;
  for (;;) {
    if (at >= message.size()) return fail(Code::malformed, "a name runs out of the message");
    const auto length = static_cast<unsigned char>(message[at]);
    if (length == 0) break;
    if ((length & 0xc0) == 0xc0) {
      if (at + 1 >= message.size()) return fail(Code::malformed, "a pointer is cut off");
      const std::size_t target =
          (length & 0x3fU) << 8 | static_cast<unsigned char>(message[at + 1]);
      if (result.end == 0) result.end = at + 2;
      if (target >= jump_limit) return fail(Code::malformed, "a pointer does not point back");
      at = jump_limit = target;
      continue;
    }
    if ((length & 0xc0) != 0) return fail(Code::malformed, "a label of unknown type");
    wire_size += length + 1U;
    if (wire_size > dns_name_bytes_max) {
      return fail(Code::malformed, "a name of more than 255 bytes");
    }
    if (at + 1 + length > message.size()) {
      return fail(Code::malformed, "a label runs out of the message");
    }
    if (!result.text.empty()) result.text += '.';
    append_escaped(result.text, message.substr(at + 1, length));
    at += 1U + length;
  }
  if (result.end == 0) result.end = at + 1;
  return result;
}

}  // namespace tulle::codec
