#include "http/body.h"

namespace tulle::http {

rt::Task<Result<std::string_view>> StringBody::read() {
  if (given_) co_return std::string_view();
  given_ = true;
  co_return std::string_view(bytes_);
}

rt::Task<Result<std::string>> read_all(Body& body, std::size_t bytes_max) {
  std::string all;
  if (const auto length = body.length()) {
    if (*length > bytes_max) co_return fail(Code::exhausted, "body is too large");
    all.reserve(*length);
  }
  for (;;) {
    CO_TRY(const std::string_view piece, co_await body.read());
    if (piece.empty()) co_return all;
    if (piece.size() > bytes_max - all.size()) co_return fail(Code::exhausted, "body is too large");
    all.append(piece);
  }
}

}  // namespace tulle::http
