#include "http/http2_io.h"

#include "http/timed_io.h"
#include "rt/combine.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tulle::http {

namespace {

constexpr std::size_t kReadBytes = 16 * 1024;
constexpr std::size_t kWriteBytesMax = 64 * 1024;  // put together before they are written

}  // namespace

Http2Io::Http2Io(rt::Loop& loop, std::unique_ptr<net::Stream> stream, codec::Http2Session& session,
                 Signal& wake, Duration write_timeout)
    : loop_(loop),
      stream_(std::move(stream)),
      session_(session),
      wake_(wake),
      write_timeout_(write_timeout),
      buffer_(kReadBytes),
      writer_(loop) {}

rt::Task<bool> Http2Io::read(Instant deadline) {
  const auto over = [this] { return failed_ || session_.finished(); };
  if (over()) co_return false;
  co_await reads_.pass();
  const auto count = co_await TimedRead(loop_, *stream_, buffer_, 0, deadline, &wake_);
  wake_.clear();
  if (!count) {
    const Code code = count.error().code;
    co_return (code == Code::timed_out || code == Code::cancelled) && !over();
  }
  if (*count == 0) co_return false;
  receive(buffer_.data());
  buffer_.consume(buffer_.data().size());
  co_return true;
}

void Http2Io::receive(std::string_view bytes) {
  if (!session_.receive(bytes)) failed_ = true;
  kick();
}

void Http2Io::kick() {
  if (writing_) return;
  writing_ = true;
  writer_.spawn(write_all());
}

rt::Task<void> Http2Io::write_all() {
  rt::Fairness fairness(loop_);
  for (;;) {
    co_await fairness.pass();
    out_.clear();
    session_.produce(out_, kWriteBytesMax);
    if (out_.empty()) break;
    const std::string_view piece = out_;
    const auto written =
        co_await TimedWrite(loop_, *stream_, std::span(&piece, 1), {.patience = write_timeout_});
    if (written) continue;
    failed_ = true;
    break;
  }
  writing_ = false;
  written_.wake_all(loop_);
  if (failed_ || session_.finished()) wake_.raise();
}

rt::Task<void> Http2Io::close(Duration patience) {
  kick();
  const Instant deadline = loop_.now() + patience;
  while (writing_ && co_await TimedWait(loop_, written_, deadline)) {
  }
  static_cast<void>(stream_->shutdown_write());
}

void Http2Incoming::add(std::string_view data) {
  pieces_.emplace_back(data);
  arrived_.wake_all(loop_);
}

void Http2Incoming::end() {
  ended_ = true;
  arrived_.wake_all(loop_);
}

void Http2Incoming::break_off(Error error) {
  if (!error_) error_ = std::move(error);
  arrived_.wake_all(loop_);
}

rt::Task<Result<std::string_view>> Http2Incoming::read(Duration patience,
                                                       std::function<void(std::size_t)> used) {
  if (front_given_) {
    const std::size_t size = pieces_.front().size();
    pieces_.pop_front();
    front_given_ = false;
    used(size);
  }
  while (pieces_.empty() && !ended_ && !error_) {
    const Instant deadline = patience == Duration::max() ? kNever : loop_.now() + patience;
    if (!co_await TimedWait(loop_, arrived_, deadline)) {
      break_off({.code = Code::timed_out, .message = "nothing was received in time"});
    }
  }
  if (!pieces_.empty()) {
    front_given_ = true;
    co_return std::string_view(pieces_.front());
  }
  if (error_) co_return *error_;
  co_return std::string_view();
}

std::size_t Http2Incoming::take(std::span<char> buffer) {
  std::size_t taken = 0;
  while (!pieces_.empty() && taken < buffer.size()) {
    const std::string_view rest = std::string_view(pieces_.front()).substr(front_taken_);
    const std::size_t size = std::min(rest.size(), buffer.size() - taken);
    std::memcpy(buffer.data() + taken, rest.data(), size);
    taken += size;
    front_taken_ += size;
    if (size < rest.size()) break;
    pieces_.pop_front();
    front_taken_ = 0;
  }
  return taken;
}

std::size_t Http2Incoming::take_unused() {
  std::size_t bytes = 0;
  for (const std::string& piece : pieces_) bytes += piece.size();
  bytes -= std::exchange(front_taken_, 0);
  pieces_.clear();
  front_given_ = false;
  return bytes;
}

void Http2Outgoing::offer(std::span<const std::string_view> pieces) {
  pieces_.clear();
  next_ = 0;
  for (const std::string_view piece : pieces) {
    if (!piece.empty()) pieces_.push_back(piece);
  }
}

std::size_t Http2Outgoing::offer_copy(std::span<const std::string_view> pieces,
                                      std::size_t bytes_max) {
  copy_.clear();
  for (const std::string_view piece : pieces) {
    copy_.append(piece.substr(0, bytes_max - copy_.size()));
  }
  const std::string_view whole = copy_;
  offer(std::span(&whole, 1));
  return whole.size();
}

void Http2Outgoing::end(const codec::Headers* trailers) {
  ends_ = true;
  if (trailers != nullptr) trailers_ = *trailers;
}

void Http2Outgoing::skip() {
  clear();
  end_taken_ = true;
}

void Http2Outgoing::clear() {
  pieces_.clear();
  next_ = 0;
  copy_ = {};
}

codec::Http2Piece Http2Outgoing::pull(std::span<char> buffer) {
  codec::Http2Piece result;
  while (!empty() && result.size < buffer.size()) {
    std::string_view& piece = pieces_[next_];
    const std::size_t size = std::min(piece.size(), buffer.size() - result.size);
    std::memcpy(buffer.data() + result.size, piece.data(), size);
    result.size += size;
    piece.remove_prefix(size);
    if (piece.empty()) ++next_;
  }
  bytes_taken_ += result.size;
  if (empty()) clear();
  if (empty() && ends_) {
    end_taken_ = result.end = true;
    result.trailers = &trailers_;
  }
  if (result.size > 0 || result.end) progress_.wake_all(loop_);
  return result;
}

}  // namespace tulle::http
