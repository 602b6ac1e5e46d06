#include "http/body_reader.h"

#include "http/timed_io.h"

namespace tulle::http {

void BodyReader::start(net::Stream& stream, codec::BodyFraming framing,
                       const codec::Http1Limits& limits, std::uint64_t bytes_max) {
  stream_ = &stream;
  framing_ = framing;
  decoder_.start(framing, limits);
  bytes_left_ = bytes_max;
  error_.reset();
  reason_ = codec::Http1Reason::ok;
}

std::optional<std::uint64_t> BodyReader::length() const {
  switch (framing_.kind) {
    case codec::BodyFraming::Kind::none: return 0;
    case codec::BodyFraming::Kind::length: return framing_.length;
    case codec::BodyFraming::Kind::chunked:
    case codec::BodyFraming::Kind::until_close:
    case codec::BodyFraming::Kind::tunnel: return std::nullopt;
  }
  return std::nullopt;
}

Error BodyReader::failed_with(Error error) {
  error_ = error;
  return error;
}

// What the buffer holds of the body; nullopt when more must be read.
std::optional<Result<std::string_view>> BodyReader::decode() {
  while (!decoder_.done()) {
    if (buffer_.empty()) return std::nullopt;
    const codec::BodyStep step = decoder_.decode(buffer_.data());
    if (step.reason != codec::Http1Reason::ok) {
      reason_ = step.reason;
      return failed_with(fail(Code::malformed, std::string(name(step.reason))));
    }
    buffer_.consume(step.consumed);
    if (step.data.size() > bytes_left_) {
      return failed_with(fail(Code::exhausted, "body is too large"));
    }
    bytes_left_ -= step.data.size();
    if (!step.data.empty()) return step.data;
    if (step.consumed == 0 && !step.done) return std::nullopt;
  }
  return std::string_view();
}

rt::Task<Result<std::string_view>> BodyReader::read(Duration patience, Signal* signal) {
  for (;;) {
    if (error_) co_return *error_;
    if (auto piece = decode()) co_return *std::move(piece);
    const Instant deadline = patience == Duration::max() ? kNever : loop_.now() + patience;
    const auto count = co_await TimedRead(loop_, *stream_, buffer_, 0, deadline, signal);
    if (!count) co_return failed_with(count.error());
    if (*count == 0) {
      if (decoder_.finish()) co_return std::string_view();
      co_return failed_with(fail(Code::closed, "the connection was closed within the body"));
    }
  }
}

}  // namespace tulle::http
