#include "codec/http2_header_block.h"

#include <algorithm>

namespace tulle::codec {

namespace {

constexpr std::uint8_t kHeaders = 0x1;
constexpr std::uint8_t kContinuation = 0x9;
constexpr std::uint8_t kEndHeaders = 0x4;

}  // namespace

void Http2HeaderBlock::see(std::string_view bytes) {
  while (!bytes.empty()) {
    if (payload_left_ > 0) {
      const std::size_t size = std::min(payload_left_, bytes.size());
      payload_left_ -= size;
      bytes.remove_prefix(size);
    } else {
      header_[header_size_++] = static_cast<std::uint8_t>(bytes.front());
      bytes.remove_prefix(1);
      if (header_size_ < kHeaderBytes) continue;
      begin_frame();
    }
    if (payload_left_ == 0 && ends_) open_ = ends_ = false;
  }
}

void Http2HeaderBlock::begin_frame() {
  header_size_ = 0;
  payload_left_ = std::size_t{header_[0]} << 16 | std::size_t{header_[1]} << 8 | header_[2];
  const std::uint8_t type = header_[3];
  if (type != kHeaders && type != kContinuation) return;
  open_ = true;
  ends_ = (header_[4] & kEndHeaders) != 0;
}

}  // namespace tulle::codec
