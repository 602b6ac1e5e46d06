#include "net/memory_pipe.h"

#include "base/check.h"

#include <algorithm>
#include <cstring>
#include <deque>

namespace tulle::net {

namespace {

// One direction. Chunks become readable at their time, in order.
class Half final : public rt::Runnable {
 public:
  Half(rt::Loop& on, const PipeOptions& options, std::uint64_t seed)
      : loop_(on), options_(options), random_(seed), timer_(on, *this) {}

  Attempt read(std::span<char> buffer) {
    if (reset_) return Result<std::size_t>(fail(Code::reset, "connection reset"));
    if (!chunks_.empty() && chunks_.front().at <= loop_.now()) {
      std::size_t total = 0;
      while (total < buffer.size() && !chunks_.empty() && chunks_.front().at <= loop_.now()) {
        total += read_front(buffer.subspan(total));
      }
      writers_.wake_all(loop_);
      return Result<std::size_t>(total);
    }
    if (chunks_.empty() && ended_ && end_at_ <= loop_.now()) return Result<std::size_t>(0UL);
    return std::nullopt;
  }

  Attempt write(std::span<const std::string_view> pieces) {
    if (reset_ || reader_gone_) {
      return Result<std::size_t>(fail(Code::reset, "connection reset"));
    }
    CHECK(!ended_);
    std::size_t space = options_.capacity - std::min(options_.capacity, bytes_);
    if (space == 0) return std::nullopt;
    std::string data;
    for (const std::string_view piece : pieces) {
      data.append(piece.substr(0, space));
      space -= std::min(space, piece.size());
    }
    const std::size_t written = data.size();
    bytes_ += written;
    chunks_.push_back({arrival(), std::move(data)});
    notify_reader();
    return Result<std::size_t>(written);
  }

  void wait_read(rt::Runnable& waiter) {
    readers_.add(waiter);
    notify_reader();
  }
  void wait_write(rt::Runnable& waiter) {
    writers_.add(waiter);
    if (bytes_ < options_.capacity || reset_ || reader_gone_) writers_.wake_all(loop_);
  }

  void end() {
    if (ended_) return;
    ended_ = true;
    end_at_ = arrival();
    notify_reader();
  }
  void reader_gone() {
    reader_gone_ = true;
    writers_.wake_all(loop_);
  }
  void reset() {
    reset_ = true;
    readers_.wake_all(loop_);
    writers_.wake_all(loop_);
  }
  void run() override { notify_reader(); }
  rt::Loop& loop() { return loop_; }

 private:
  struct Chunk {
    Instant at;
    std::string data;
  };

  std::size_t read_front(std::span<char> buffer) {
    Chunk& front = chunks_.front();
    const std::size_t count = std::min(buffer.size(), front.data.size());
    std::memcpy(buffer.data(), front.data.data(), count);
    bytes_ -= count;
    if (count == front.data.size()) {
      chunks_.pop_front();
    } else {
      front.data.erase(0, count);
    }
    return count;
  }

  Instant arrival() {
    const auto spread =
        static_cast<std::uint64_t>((options_.latency_max - options_.latency_min).count());
    const Duration extra(spread == 0 ? 0 : static_cast<std::int64_t>(random_.below(spread + 1)));
    last_arrival_ = std::max(last_arrival_, loop_.now() + options_.latency_min + extra);
    return last_arrival_;
  }

  // Wakes the reader now or at the time the next thing arrives.
  void notify_reader() {
    if (readers_.empty()) return;
    if (reset_) return readers_.wake_all(loop_);
    if (chunks_.empty() && !ended_) return;
    const Instant at = chunks_.empty() ? end_at_ : chunks_.front().at;
    if (at <= loop_.now()) return readers_.wake_all(loop_);
    timer_.arm(at);
  }

  rt::Loop& loop_;
  PipeOptions options_;
  Random random_;
  std::deque<Chunk> chunks_;
  std::size_t bytes_ = 0;
  Instant last_arrival_{};
  bool ended_ = false;
  Instant end_at_{};
  bool reader_gone_ = false;
  bool reset_ = false;
  rt::WaitList readers_;
  rt::WaitList writers_;
  rt::Timer timer_;
};

struct Connection final : public PipeBreaker {
  Connection(rt::Loop& loop, const PipeOptions& options)
      : a_to_b(loop, options, options.seed), b_to_a(loop, options, ~options.seed) {}
  void reset() override {
    a_to_b.reset();
    b_to_a.reset();
  }
  Half a_to_b;
  Half b_to_a;
};

class End final : public Stream {
 public:
  struct Addresses {
    SocketAddress local;
    SocketAddress peer;
    SocketAddress original;
  };
  End(std::shared_ptr<Connection> connection, Half& in, Half& out, const Addresses& addresses)
      : connection_(std::move(connection)), in_(in), out_(out), addresses_(addresses) {}
  ~End() override {
    if (resets_) {
      connection_->reset();
    } else {
      out_.end();
      in_.reader_gone();
    }
  }

  Attempt try_read(std::span<char> buffer) override { return in_.read(buffer); }
  Attempt try_write(std::span<const std::string_view> pieces) override {
    return out_.write(pieces);
  }
  void wait(Interest interest, rt::Runnable& waiter) override {
    switch (interest) {
      case Interest::read: return in_.wait_read(waiter);
      case Interest::write: return out_.wait_write(waiter);
    }
  }
  Result<void> shutdown_write() override {
    out_.end();
    return {};
  }
  void reset_when_closed() override { resets_ = true; }
  SocketAddress local_address() const override { return addresses_.local; }
  SocketAddress peer_address() const override { return addresses_.peer; }
  SocketAddress original_destination() const override { return addresses_.original; }

 private:
  std::shared_ptr<Connection> connection_;
  Half& in_;
  Half& out_;
  Addresses addresses_;
  bool resets_ = false;
};

}  // namespace

Pipe make_pipe(rt::Loop& loop, const PipeOptions& options) {
  auto connection = std::make_shared<Connection>(loop, options);
  Pipe pipe;
  pipe.a = std::make_unique<End>(
      connection, connection->b_to_a, connection->a_to_b,
      End::Addresses{
          .local = options.a_address, .peer = options.b_address, .original = options.a_address});
  pipe.b = std::make_unique<End>(connection, connection->a_to_b, connection->b_to_a,
                                 End::Addresses{.local = options.b_address,
                                                .peer = options.a_address,
                                                .original = options.b_original_destination});
  pipe.breaker = connection;
  return pipe;
}

StreamPair memory_pipe(rt::Loop& loop, std::size_t capacity) {
  Pipe pipe = make_pipe(
      loop, {.capacity = capacity, .a_address = {}, .b_address = {}, .b_original_destination = {}});
  return {.a = std::move(pipe.a), .b = std::move(pipe.b)};
}

}  // namespace tulle::net
