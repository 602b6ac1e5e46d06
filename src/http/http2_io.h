// What a server and a client of HTTP/2 share: the bytes of a connection, and the bodies of its
// streams. Internal to http.
#pragma once

#include "codec/http2.h"
#include "http/body.h"
#include "http/read_buffer.h"
#include "http/signal.h"
#include "net/stream.h"
#include "rt/scope.h"
#include "rt/sleep.h"

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::http {

// Carries bytes between a stream and a session. Belongs to one loop.
class Http2Io final {
 public:
  // All must outlive it, but for the stream, which it owns. `wake` ends a read in progress.
  Http2Io(rt::Loop& loop, std::unique_ptr<net::Stream> stream, codec::Http2Session& session,
          Signal& wake, Duration write_timeout);

  // Reads once and lets the session have it. False when there is no more to come: the end, an
  // error, or a session that is finished. True as well at `deadline`, or when woken.
  rt::Task<bool> read(Instant deadline);
  void receive(std::string_view bytes);

  // There may be something to send. Sends it beside what goes on.
  void kick();

  const net::Stream& stream() const { return *stream_; }

  // Sends what there is left, for at most `patience`, and ends our direction.
  rt::Task<void> close(Duration patience);

 private:
  rt::Task<void> write_all();

  rt::Loop& loop_;
  std::unique_ptr<net::Stream> stream_;
  codec::Http2Session& session_;
  Signal& wake_;
  const Duration write_timeout_;
  ReadBuffer buffer_;
  rt::Fairness reads_{loop_};
  bool failed_ = false;
  bool writing_ = false;
  std::string out_;
  rt::WaitList written_;
  rt::Scope writer_;
};

// The body that a peer sends on one stream: what the session gave, until it is read.
class Http2Incoming final {
 public:
  explicit Http2Incoming(rt::Loop& loop) : loop_(loop) {}

  void add(std::string_view data);
  void set_trailers(codec::Headers&& trailers) { trailers_ = std::move(trailers); }
  // No more comes: the end, or an error for whoever reads on.
  void end();
  void break_off(Error error);

  // As Body::read(). `used` is told how many bytes of earlier pieces are used up.
  rt::Task<Result<std::string_view>> read(Duration patience, std::function<void(std::size_t)> used);
  // Without waiting: copies what is there, as far as it fits. Not beside read().
  std::size_t take(std::span<char> buffer);
  // Bytes that were given to nobody or are not used up, for the windows.
  std::size_t take_unused();

  bool available() const { return !pieces_.empty(); }
  bool ended() const { return ended_; }
  bool failed() const { return error_.has_value(); }
  const Error& error() const { return *error_; }
  const codec::Headers* trailers() const { return trailers_.empty() ? nullptr : &trailers_; }
  // Woken whenever there is something new.
  rt::WaitList& arrived() { return arrived_; }

 private:
  rt::Loop& loop_;
  std::deque<std::string> pieces_;
  std::size_t front_taken_ = 0;  // by take(), of the first piece
  bool front_given_ = false;
  bool ended_ = false;
  std::optional<Error> error_;
  codec::Headers trailers_;
  rt::WaitList arrived_;
};

// The body that is sent on one stream: views of what a write() has in hand, pulled by the session.
class Http2Outgoing final {
 public:
  explicit Http2Outgoing(rt::Loop& loop) : loop_(loop) {}

  // REQUIRES: empty(). The views must stay until it is empty, or clear() was called.
  void offer(std::span<const std::string_view> pieces);
  // The same of a copy of at most `bytes_max`; how many bytes those are.
  std::size_t offer_copy(std::span<const std::string_view> pieces, std::size_t bytes_max);
  // The message has no body: what was offered is dropped, and the end counts as taken.
  void skip();
  // After what was offered the body ends.
  void end(const codec::Headers* trailers);
  void clear();

  codec::Http2Piece pull(std::span<char> buffer);

  bool empty() const { return next_ == pieces_.size(); }
  bool ending() const { return ends_; }  // end() was called
  bool end_taken() const { return end_taken_; }
  std::uint64_t bytes_taken() const { return bytes_taken_; }
  // Woken whenever something was pulled.
  rt::WaitList& progress() { return progress_; }

 private:
  rt::Loop& loop_;
  std::vector<std::string_view> pieces_;
  std::size_t next_ = 0;
  std::string copy_;  // that pieces_ are of, if any
  bool ends_ = false;
  bool end_taken_ = false;
  codec::Headers trailers_;
  std::uint64_t bytes_taken_ = 0;
  rt::WaitList progress_;
};

}  // namespace tulle::http
