// Bodies of messages, pulled by whoever uses them: back-pressure is the shape of the interface.
#pragma once

#include "base/result.h"
#include "codec/http_message.h"
#include "rt/task.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tulle::http {

class Body {
 public:
  virtual ~Body() = default;

  // The next piece, valid until the next read() and as long as the body lives. Empty is the end,
  // and stays it. After an error every further read fails too. Dropping a read in progress loses
  // nothing. One read at a time.
  //
  // Errors: closed or reset when the sender ended too early, malformed, timed_out, exhausted when
  // it is larger than allowed.
  virtual rt::Task<Result<std::string_view>> read() = 0;

  // Size of the whole body where it is known before it is read: what Content-Length says.
  virtual std::optional<std::uint64_t> length() const = 0;

  // The trailers, once read() gave the end; null for none. Valid as a piece is.
  virtual const codec::Headers* trailers() const { return nullptr; }
};

// A body that is there already, in one piece.
class StringBody final : public Body {
 public:
  explicit StringBody(std::string bytes) : bytes_(std::move(bytes)) {}

  rt::Task<Result<std::string_view>> read() override;
  std::optional<std::uint64_t> length() const override { return bytes_.size(); }

 private:
  std::string bytes_;
  bool given_ = false;
};

// Everything up to the end. Code::exhausted when it is more than `bytes_max`.
rt::Task<Result<std::string>> read_all(Body& body, std::size_t bytes_max);

}  // namespace tulle::http
