// A request's body that can be sent once more: what was read of it is kept, up to a limit.
#pragma once

#include "http/body.h"

#include <cstddef>
#include <string>

namespace tulle::proxy {

// Of a body beyond it nothing is kept, and its request goes out once only.
inline constexpr std::size_t kReplayBytesMax = 64 * 1024;

class ReplayBody final : public http::Body {
 public:
  // `inner` must outlive it; nothing was read of it yet.
  explicit ReplayBody(http::Body& inner) : inner_(inner) {}

  rt::Task<Result<std::string_view>> read() override;
  std::optional<std::uint64_t> length() const override { return inner_.length(); }
  const codec::Headers* trailers() const override { return inner_.trailers(); }

  // The next read() gives the first piece again. False when that is kept no more. No read may be in
  // progress.
  bool rewind();

 private:
  http::Body& inner_;
  std::string kept_;
  std::size_t given_ = 0;  // of what is kept
  bool beyond_ = false;    // more was read than is kept
};

}  // namespace tulle::proxy
