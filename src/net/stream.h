// Byte streams: TCP, Unix, TLS and memory behind one interface, and the awaitables that read and
// write them without allocating.
//
// A Stream belongs to the loop it was made on. It is full duplex: one reader and one writer may
// wait at the same time. Destroying it closes it at once; bytes not yet sent may be lost, so finish
// with shutdown_write() where the other side must see everything.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "rt/task.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace tulle::net {

enum class Interest { read, write };

// What a non-blocking attempt gives: nullopt when it would block, else bytes moved or an error.
using Attempt = std::optional<Result<std::size_t>>;

class Stream {
 public:
  virtual ~Stream() = default;

  // Reads what is there, at most buffer.size() bytes; 0 is the orderly end. REQUIRES: buffer not
  // empty.
  virtual Attempt try_read(std::span<char> buffer) = 0;

  // Writes a prefix of the concatenated `pieces`; at most kPiecesMax of them.
  // REQUIRES: that they are not all empty.
  virtual Attempt try_write(std::span<const std::string_view> pieces) = 0;

  // Schedules `waiter` once when an attempt of that kind is worth repeating. One waiter per
  // interest. The stream must outlive the wait; a destroyed waiter leaves by itself.
  virtual void wait(Interest interest, rt::Runnable& waiter) = 0;

  // Sends the end of our direction after all written bytes.
  virtual Result<void> shutdown_write() = 0;

  // From now on destroying it resets the connection: the peer sees that it failed (RST of RFC
  // 9293), not an orderly end. Where the transport knows no such thing it is only closed.
  virtual void reset_when_closed() {}

  virtual SocketAddress local_address() const = 0;
  virtual SocketAddress peer_address() const = 0;

  // Where the client wanted to go before it was redirected to us, else the local address.
  virtual SocketAddress original_destination() const { return local_address(); }

  // The kernel's descriptor where plain bytes can be moved past this object, else -1.
  virtual int plain_fd() const { return -1; }
};

// One around another. What it does not do in a way of its own the inner one does.
class WrappedStream : public Stream {
 public:
  explicit WrappedStream(std::unique_ptr<Stream> inner) : inner_(std::move(inner)) {}

  Attempt try_read(std::span<char> buffer) override { return inner_->try_read(buffer); }
  Attempt try_write(std::span<const std::string_view> pieces) override {
    return inner_->try_write(pieces);
  }
  void wait(Interest interest, rt::Runnable& waiter) override { inner_->wait(interest, waiter); }
  Result<void> shutdown_write() override { return inner_->shutdown_write(); }
  void reset_when_closed() override { inner_->reset_when_closed(); }
  SocketAddress local_address() const override { return inner_->local_address(); }
  SocketAddress peer_address() const override { return inner_->peer_address(); }
  SocketAddress original_destination() const override { return inner_->original_destination(); }
  int plain_fd() const override { return inner_->plain_fd(); }

 protected:
  std::unique_ptr<Stream> inner_;
};

inline constexpr std::size_t kPiecesMax = 16;

// co_await read(stream, buffer) -> Result<size_t>; 0 is the orderly end. Dropping it is safe and
// loses nothing.
class ReadAwaiter final : public rt::Runnable {
 public:
  ReadAwaiter(Stream& stream, std::span<char> buffer) : stream_(stream), buffer_(buffer) {}
  bool await_ready() {
    attempt_ = stream_.try_read(buffer_);
    return attempt_.has_value();
  }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle_ = waiting;
    stream_.wait(Interest::read, *this);
  }
  Result<std::size_t> await_resume() { return *std::move(attempt_); }
  void run() override {
    attempt_ = stream_.try_read(buffer_);
    if (attempt_) return handle_.resume();
    stream_.wait(Interest::read, *this);
  }

 private:
  Stream& stream_;
  std::span<char> buffer_;
  std::coroutine_handle<> handle_;
  Attempt attempt_;
};

inline ReadAwaiter read(Stream& stream, std::span<char> buffer) { return {stream, buffer}; }

// co_await write_all(stream, bytes) -> Result<void>. Dropped in between, a prefix was written. The
// bytes must stay until it is done.
class WriteAwaiter final : public rt::Runnable {
 public:
  WriteAwaiter(Stream& stream, std::span<const std::string_view> pieces);
  bool await_ready() { return advance(); }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle_ = waiting;
    stream_.wait(Interest::write, *this);
  }
  Result<void> await_resume() { return std::move(result_); }
  void run() override {
    if (advance()) return handle_.resume();
    stream_.wait(Interest::write, *this);
  }

 private:
  bool advance();

  Stream& stream_;
  std::string_view pieces_[kPiecesMax];
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::coroutine_handle<> handle_;
  Result<void> result_;
};

inline WriteAwaiter write_all(Stream& stream, std::string_view bytes) {
  return {stream, std::span(&bytes, 1)};
}
// REQUIRES: at most kPiecesMax pieces.
inline WriteAwaiter write_all(Stream& stream, std::span<const std::string_view> pieces) {
  return {stream, pieces};
}

// co_await readable(stream): until a read would give bytes, the end or an error. May be spurious.
class ReadableAwaiter final : public rt::Resumer {
 public:
  explicit ReadableAwaiter(Stream& stream) : stream_(stream) {}
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle = waiting;
    stream_.wait(Interest::read, *this);
  }
  void await_resume() {}

 private:
  Stream& stream_;
};

inline ReadableAwaiter readable(Stream& stream) { return ReadableAwaiter(stream); }

}  // namespace tulle::net
