#include "proxy/replay_body.h"

namespace tulle::proxy {

rt::Task<Result<std::string_view>> ReplayBody::read() {
  if (given_ < kept_.size()) {
    const std::string_view again = std::string_view(kept_).substr(given_);
    given_ = kept_.size();
    co_return again;
  }
  const auto piece = co_await inner_.read();
  if (!piece || piece->empty() || beyond_) co_return piece;
  beyond_ = kept_.size() + piece->size() > kReplayBytesMax;
  if (beyond_) {
    kept_ = std::string();
    given_ = 0;
  } else {
    kept_.append(*piece);
    given_ = kept_.size();
  }
  co_return piece;
}

}  // namespace tulle::proxy
