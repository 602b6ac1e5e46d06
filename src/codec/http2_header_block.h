// Whether the bytes of an HTTP/2 connection stand within a header block (RFC 9113 §4.3): from the
// first byte of a HEADERS frame to the last of what has END_HEADERS. While one is open nothing else
// can be said on the connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tulle::codec {

// Looks at the lengths, types and flags of frames only: what they must not be others check.
class Http2HeaderBlock final {
 public:
  // `passed_over`: how many bytes come before the first frame, as the preface of a client does.
  explicit Http2HeaderBlock(std::size_t passed_over) : payload_left_(passed_over) {}

  void see(std::string_view bytes);
  bool open() const { return open_; }

 private:
  static constexpr std::size_t kHeaderBytes = 9;

  void begin_frame();

  std::uint8_t header_[kHeaderBytes] = {};
  std::size_t header_size_ = 0;  // read of it
  std::size_t payload_left_;
  bool open_ = false;
  bool ends_ = false;  // with the frame in hand
};

}  // namespace tulle::codec
