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

  // Whether all that was read is kept, and can be read again.
  bool can_rewind() const { return !beyond_; }
  // The next read() gives the first piece again. REQUIRES: can_rewind(), and that whoever has read
  // it does not go on.
  void rewind() { given_ = 0; }

 private:
  http::Body& inner_;
  std::string kept_;
  std::size_t given_ = 0;  // of what is kept
  bool beyond_ = false;    // more was read than is kept
};

}  // namespace tulle::proxy
