#include "http/http2_tunnel.h"

#include <utility>

namespace tulle::http {

namespace {

// What one write takes at most; the next one waits until that is on its way.
constexpr std::size_t kWriteBytesMax = 16 * 1024;

Error gone() { return {.code = Code::reset, .message = "the stream is over"}; }

}  // namespace

void Http2Tunnel::detach() {
  side_ = nullptr;
  incoming_.arrived().wake_all(loop_);
  outgoing_.progress().wake_all(loop_);
}

net::Attempt Http2Tunnel::try_read(std::span<char> buffer) {
  if (side_ == nullptr) return gone();
  const std::size_t count = incoming_.take(buffer);
  if (count > 0) {
    side_->used(count);
    return Result<std::size_t>(count);
  }
  if (incoming_.failed()) return incoming_.error();
  if (incoming_.ended()) return Result<std::size_t>(0U);
  return std::nullopt;
}

net::Attempt Http2Tunnel::try_write(std::span<const std::string_view> pieces) {
  if (side_ == nullptr || side_->closed() || outgoing_.ending()) return gone();
  if (!outgoing_.empty()) return std::nullopt;
  const std::size_t count = outgoing_.offer_copy(pieces, kWriteBytesMax);
  side_->push();
  return Result<std::size_t>(count);
}

void Http2Tunnel::wait(net::Interest interest, rt::Runnable& waiter) {
  if (side_ == nullptr) return loop_.schedule(waiter);
  if (interest == net::Interest::read) {
    const bool now = incoming_.available() || incoming_.failed() || incoming_.ended();
    return now ? loop_.schedule(waiter) : incoming_.arrived().add(waiter);
  }
  const bool now = side_->closed() || outgoing_.empty();
  return now ? loop_.schedule(waiter) : outgoing_.progress().add(waiter);
}

Result<void> Http2Tunnel::shutdown_write() {
  if (side_ == nullptr || side_->closed()) return gone();
  if (outgoing_.ending()) return {};
  outgoing_.end(nullptr);
  side_->push();
  return {};
}

}  // namespace tulle::http
