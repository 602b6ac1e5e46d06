// The wire format of protobuf: https://protobuf.dev/programming-guides/encoding/. Reads what is
// there; lengths are checked before they are used.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace tulle::kube {

enum class WireType : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct ProtobufField {
  std::uint32_t number = 0;
  WireType wire = WireType::varint;
  std::uint64_t integer = 0;    // varint, fixed64, fixed32
  std::string_view bytes = {};  // bytes; points into the message
};

// Reads the fields of one message, which must outlive it.
class ProtobufReader final {
 public:
  explicit ProtobufReader(std::string_view message) : rest_(message) {}

  bool at_end() const { return rest_.empty(); }
  // REQUIRES: !at_end(). Groups, which proto3 does not have, are malformed.
  Result<ProtobufField> next();
  Result<std::uint64_t> varint();

 private:
  Result<std::uint64_t> fixed(std::size_t size);

  std::string_view rest_;
};

bool is_utf8(std::string_view text);

// As Go prints a time.Duration: "1h30m0s", "250ms", "0s".
std::string format_go_duration(std::int64_t nanoseconds);

}  // namespace tulle::kube
