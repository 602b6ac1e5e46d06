#include "net/stream.h"

#include "base/check.h"

namespace tulle::net {

WriteAwaiter::WriteAwaiter(Stream& stream, std::span<const std::string_view> pieces)
    : stream_(stream) {
  CHECK(pieces.size() <= kPiecesMax);
  for (const std::string_view piece : pieces) {
    if (!piece.empty()) pieces_[count_++] = piece;
  }
}

// True when there is nothing left to wait for.
bool WriteAwaiter::advance() {
  while (first_ < count_) {
    auto attempt = stream_.try_write(std::span(pieces_ + first_, count_ - first_));
    if (!attempt) return false;
    if (!*attempt) {
      result_ = std::move(*attempt).error();
      return true;
    }
    std::size_t written = **attempt;
    while (first_ < count_ && written >= pieces_[first_].size()) {
      written -= pieces_[first_++].size();
    }
    if (first_ < count_) pieces_[first_].remove_prefix(written);
  }
  return true;
}

}  // namespace tulle::net
