// Takes one message body after another off a connection. Internal to http: server and client wrap
// it, since they differ in what a failure means.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "codec/http1.h"
#include "http/read_buffer.h"
#include "http/signal.h"
#include "net/stream.h"
#include "rt/task.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace tulle::http {

class BodyReader final {
 public:
  // Both must outlive it.
  BodyReader(rt::Loop& loop, ReadBuffer& buffer) : loop_(loop), buffer_(buffer) {}

  // A new body begins in the buffer.
  void start(net::Stream& stream, codec::BodyFraming framing, const codec::Http1Limits& limits,
             std::uint64_t bytes_max);

  // As Body::read(). `patience`: how long the stream may stay silent.
  rt::Task<Result<std::string_view>> read(Duration patience, Signal* signal = nullptr);

  // The whole body was read, and all of its framing.
  bool done() const { return decoder_.done(); }
  bool failed() const { return error_.has_value(); }
  // REQUIRES: failed().
  // What the codec had against it; ok for every other failure.
  codec::Http1Reason reason() const { return reason_; }
  const Error& error() const { return *error_; }
  codec::BodyFraming framing() const { return framing_; }
  std::optional<std::uint64_t> length() const;
  // Null for none; known once the body has ended.
  const codec::Headers* trailers() const {
    return decoder_.trailers().empty() ? nullptr : &decoder_.trailers();
  }
  // Bytes of a body of known length still to be read, else 0.
  std::uint64_t remaining_length() const { return decoder_.remaining_length(); }

 private:
  std::optional<Result<std::string_view>> decode();
  Error failed_with(Error error);

  rt::Loop& loop_;
  ReadBuffer& buffer_;
  net::Stream* stream_ = nullptr;
  codec::BodyFraming framing_;
  codec::BodyDecoder decoder_;
  std::uint64_t bytes_left_ = 0;  // that the limit allows
  std::optional<Error> error_;
  codec::Http1Reason reason_ = codec::Http1Reason::ok;
};

}  // namespace tulle::http
