// Reading and writing with a deadline, without allocating. Internal to http.
#pragma once

#include "base/check.h"
#include "base/result.h"
#include "base/time.h"
#include "http/read_buffer.h"
#include "http/signal.h"
#include "net/stream.h"
#include "rt/loop.h"
#include "rt/task.h"

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tulle::http {

// Runs `Owner::give_up()` at a time, or when a signal is raised.
template <class Owner>
class Interrupt final : public rt::Runnable {
 public:
  Interrupt(rt::Loop& loop, Owner& owner) : owner_(owner), timer_(loop, *this) {}
  void arm(Instant deadline, Signal* signal) {
    if (signal != nullptr && signal->raised()) deadline = Instant::min();
    if (deadline != kNever) timer_.arm(deadline);
    if (signal != nullptr) signal->waiters().add(*this);
  }
  void arm(Instant deadline) { timer_.arm(deadline); }
  void run() override { owner_.give_up(); }

 private:
  Owner& owner_;
  rt::Timer timer_;
};

// co_await: Result<size_t> as net::read; what was read is in `buffer` then. Code::timed_out at the
// deadline, Code::cancelled once `signal` is raised, if there is nothing to read then. Dropping it
// loses nothing. An empty buffer holds no memory while there is nothing to read.
class TimedRead final : public rt::Runnable {
 public:
  // REQUIRES: that there is room, as ReadBuffer::room(data_bytes_max) says.
  TimedRead(rt::Loop& loop, net::Stream& stream, ReadBuffer& buffer, std::size_t data_bytes_max,
            Instant deadline, Signal* signal = nullptr)
      : stream_(stream),
        buffer_(buffer),
        data_bytes_max_(data_bytes_max),
        deadline_(deadline),
        signal_(signal),
        interrupt_(loop, *this) {}

  bool await_ready() {
    attempt();
    return attempt_.has_value();
  }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle_ = waiting;
    stream_.wait(net::Interest::read, *this);
    interrupt_.arm(deadline_, signal_);
  }
  Result<std::size_t> await_resume() { return *std::move(attempt_); }

  void run() override {
    attempt();
    if (attempt_) return handle_.resume();
    stream_.wait(net::Interest::read, *this);
  }
  // What arrived in the same turn counts.
  void give_up() {
    attempt();
    if (!attempt_ && signal_ != nullptr && signal_->raised()) {
      attempt_ = Result<std::size_t>(fail(Code::cancelled, "reading was called off"));
    } else if (!attempt_) {
      attempt_ = Result<std::size_t>(fail(Code::timed_out, "nothing was received in time"));
    }
    handle_.resume();
  }

 private:
  void attempt() {
    const auto room = buffer_.room(data_bytes_max_);
    CHECK(!room.empty());
    attempt_ = stream_.try_read(room);
    if (!attempt_) return buffer_.release();
    if (*attempt_) buffer_.produced(**attempt_);
  }

  net::Stream& stream_;
  ReadBuffer& buffer_;
  std::size_t data_bytes_max_;
  Instant deadline_;
  Signal* signal_;
  Interrupt<TimedRead> interrupt_;
  std::coroutine_handle<> handle_;
  net::Attempt attempt_;
};

// co_await: Result<void>; writes all pieces. Code::timed_out when the other side took nothing for
// `patience`, or at the deadline. `written`, where given, counts bytes also when it fails.
class TimedWrite final : public rt::Runnable {
 public:
  struct Limits {
    Duration patience = Duration::max();
    Instant deadline = kNever;
  };
  // REQUIRES: at most net::kPiecesMax pieces, which stay until it is done.
  TimedWrite(rt::Loop& loop, net::Stream& stream, std::span<const std::string_view> pieces,
             const Limits& limits, std::uint64_t* written = nullptr)
      : loop_(loop), stream_(stream), limits_(limits), written_(written), interrupt_(loop, *this) {
    CHECK(pieces.size() <= net::kPiecesMax);
    for (const std::string_view piece : pieces) {
      if (!piece.empty()) pieces_[count_++] = piece;
    }
  }

  bool await_ready() { return advance(); }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle_ = waiting;
    wait();
  }
  Result<void> await_resume() { return std::move(result_); }

  void run() override {
    if (advance()) return handle_.resume();
    wait();
  }
  void give_up() {
    result_ = fail(Code::timed_out, "the peer does not read");
    handle_.resume();
  }

 private:
  void wait() {
    stream_.wait(net::Interest::write, *this);
    Instant at = limits_.deadline;
    if (limits_.patience != Duration::max()) at = std::min(at, loop_.now() + limits_.patience);
    if (at != kNever) interrupt_.arm(at);
  }

  // True when there is nothing left to wait for.
  bool advance() {
    while (first_ < count_) {
      auto attempt = stream_.try_write(std::span(pieces_ + first_, count_ - first_));
      if (!attempt) return false;
      if (!*attempt) {
        result_ = std::move(*attempt).error();
        return true;
      }
      if (written_ != nullptr) *written_ += **attempt;
      drop(**attempt);
    }
    return true;
  }

  void drop(std::size_t written) {
    while (first_ < count_ && written >= pieces_[first_].size()) {
      written -= pieces_[first_++].size();
    }
    if (first_ < count_) pieces_[first_].remove_prefix(written);
  }

  rt::Loop& loop_;
  net::Stream& stream_;
  Limits limits_;
  std::uint64_t* written_;
  Interrupt<TimedWrite> interrupt_;
  std::string_view pieces_[net::kPiecesMax];
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::coroutine_handle<> handle_;
  Result<void> result_;
};

// co_await: whether `list` was woken before the deadline.
class TimedWait final : public rt::Runnable {
 public:
  TimedWait(rt::Loop& loop, rt::WaitList& list, Instant deadline)
      : list_(list), deadline_(deadline), interrupt_(loop, *this) {}
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle_ = waiting;
    list_.add(*this);
    if (deadline_ != kNever) interrupt_.arm(deadline_);
  }
  bool await_resume() { return woken_; }

  void run() override {
    woken_ = true;
    handle_.resume();
  }
  void give_up() { handle_.resume(); }

 private:
  rt::WaitList& list_;
  Instant deadline_;
  Interrupt<TimedWait> interrupt_;
  std::coroutine_handle<> handle_;
  bool woken_ = false;
};

// co_await: until the stream takes bytes again.
class Writable final : public rt::Resumer {
 public:
  explicit Writable(net::Stream& stream) : stream_(stream) {}
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle = waiting;
    stream_.wait(net::Interest::write, *this);
  }
  void await_resume() {}

 private:
  net::Stream& stream_;
};

}  // namespace tulle::http
