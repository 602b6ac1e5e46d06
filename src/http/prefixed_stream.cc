#include "http/prefixed_stream.h"

#include "rt/loop.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tulle::http {
namespace {

class PrefixedStream final : public net::WrappedStream {
 public:
  PrefixedStream(rt::Loop& loop, std::string received, std::unique_ptr<net::Stream> inner)
      : WrappedStream(std::move(inner)), loop_(loop), received_(std::move(received)) {}

  net::Attempt try_read(std::span<char> buffer) override {
    if (given_ == received_.size()) return inner_->try_read(buffer);
    const std::size_t count = std::min(buffer.size(), received_.size() - given_);
    std::memcpy(buffer.data(), received_.data() + given_, count);
    given_ += count;
    if (given_ == received_.size()) {
      received_ = std::string();
      given_ = 0;
    }
    return Result<std::size_t>(count);
  }
  void wait(net::Interest interest, rt::Runnable& waiter) override {
    const bool readable = given_ < received_.size();
    if (interest == net::Interest::read && readable) return loop_.schedule(waiter);
    inner_->wait(interest, waiter);
  }
  int plain_fd() const override { return given_ == received_.size() ? inner_->plain_fd() : -1; }

 private:
  rt::Loop& loop_;
  std::string received_;
  std::size_t given_ = 0;
};

}  // namespace

std::unique_ptr<net::Stream> prefixed_stream(rt::Loop& loop, std::string received,
                                             std::unique_ptr<net::Stream> inner) {
  if (received.empty()) return inner;
  return std::make_unique<PrefixedStream>(loop, std::move(received), std::move(inner));
}

}  // namespace tulle::http
