// What a handler does with its Exchange: response framing, RFC 9112 §6 and §9.
#include "http/prefixed_stream.h"
#include "http/server_connection.h"
#include "http/timed_io.h"

#include "base/check.h"
#include "http/date.h"
#include "rt/sleep.h"
#include "rt/sync.h"

#include <charconv>
#include <utility>

namespace tulle::http {

namespace {

// How often it is looked whether a client that ended its direction has gone altogether.
constexpr Duration kHalfClosedCheck = std::chrono::seconds(1);

}  // namespace

rt::Task<Result<void>> ServerConnection::Http1Exchange::send(
    const codec::ResponseHead& head, std::span<const std::string_view> body) {
  connection_.prepare_whole(head, body);
  return connection_.flush(Phase::finished);
}

rt::Task<Result<void>> ServerConnection::Http1Exchange::start(const codec::ResponseHead& head,
                                                              Flush flush) {
  connection_.prepare_start(head);
  switch (flush) {
    case Flush::now: connection_.prepare_pieces({}); break;
    case Flush::with_first_write: break;
  }
  return connection_.flush(Phase::streaming);
}

rt::Task<Result<void>> ServerConnection::Http1Exchange::write(
    std::span<const std::string_view> pieces) {
  connection_.prepare_pieces(pieces);
  return connection_.flush(Phase::streaming);
}

rt::Task<Result<void>> ServerConnection::Http1Exchange::finish(const codec::Headers* trailers) {
  connection_.prepare_end(trailers);
  return connection_.flush(Phase::finished);
}

void ServerConnection::Http1Exchange::abort() { connection_.phase_ = Phase::failed; }

rt::Task<Result<std::unique_ptr<net::Stream>>> ServerConnection::Http1Exchange::upgrade(
    const codec::ResponseHead& head) {
  CHECK(!started());
  codec::append_response_head(connection_.out_, head);
  connection_.pieces_.push_back(connection_.out_);
  return connection_.upgrade();
}

rt::Task<void> ServerConnection::Http1Exchange::client_gone() { return connection_.client_gone(); }

void ServerConnection::Http1Exchange::send_interim(const codec::ResponseHead& head) {
  if (started() || connection_.writing_ || connection_.minor_version_ < 1) return;
  codec::append_response_head(connection_.interim_left_, head);
  connection_.push_interim();
}

bool ServerConnection::Http1Exchange::started() const {
  return connection_.phase_ != Phase::waiting || !connection_.out_.empty();
}

std::uint64_t ServerConnection::Http1Exchange::body_bytes_sent() const {
  return connection_.body_bytes_sent_;
}

// Whether this exchange's response can have a body (RFC 9110 §6.4.1).
bool ServerConnection::body_allowed(int status) const {
  return !head_only_ && status >= 200 && status != 204 && status != 304;
}

void ServerConnection::decide_close(const codec::ResponseHead& head) {
  // A client that was not told to go on may send its body or not: nobody could tell what follows.
  const bool body_in_doubt = !reader_.done() && continue_due_;
  if (draining() || body_in_doubt || head.headers.contains_token("connection", "close")) {
    close_after_ = true;
  }
}

void ServerConnection::prepare_whole(const codec::ResponseHead& head,
                                     std::span<const std::string_view> body) {
  if (phase_ == Phase::failed) return;
  CHECK(phase_ == Phase::waiting);
  std::uint64_t size = 0;
  for (const std::string_view piece : body) size += piece.size();
  decide_close(head);
  if (reader_.remaining_length() > options_.unread_body_bytes_max) close_after_ = true;
  const bool allowed = body_allowed(head.status);
  framing_ = Framing::none;
  encode_head(head, size);
  pieces_.push_back(out_);
  if (!allowed) return;
  pieces_.insert(pieces_.end(), body.begin(), body.end());
  body_bytes_sent_ += size;
}

void ServerConnection::prepare_start(const codec::ResponseHead& head) {
  if (phase_ == Phase::failed) return;
  CHECK(phase_ == Phase::waiting);
  decide_close(head);
  std::optional<std::uint64_t> length;
  if (const auto text = head.headers.get("content-length")) {
    length = codec::parse_content_length(*text);
  }
  if (!body_allowed(head.status)) {
    framing_ = Framing::none;
  } else if (length) {
    framing_ = Framing::length;
    length_left_ = *length;
  } else if (minor_version_ >= 1) {
    framing_ = Framing::chunked;
  } else {
    framing_ = Framing::until_close;
    close_after_ = true;
  }
  encode_head(head, length);
}

// With the head, if it still waits, in front. No pieces: just that head.
void ServerConnection::prepare_pieces(std::span<const std::string_view> pieces) {
  if (phase_ == Phase::failed) return;
  std::uint64_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  if (framing_ == Framing::none) size = 0;
  if (framing_ == Framing::chunked && size > 0) codec::append_chunk_header(out_, size);
  pieces_.push_back(out_);
  if (size == 0) return;
  pieces_.insert(pieces_.end(), pieces.begin(), pieces.end());
  body_bytes_sent_ += size;
  switch (framing_) {
    case Framing::length:
      CHECK(size <= length_left_);
      length_left_ -= size;
      break;
    case Framing::chunked: pieces_.push_back("\r\n"); break;
    case Framing::none:
    case Framing::until_close: break;
  }
}

void ServerConnection::prepare_end(const codec::Headers* trailers) {
  if (phase_ == Phase::failed) return;
  CHECK(phase_ == Phase::streaming);
  if (framing_ == Framing::length && length_left_ > 0) {
    phase_ = Phase::failed;
    return;
  }
  if (framing_ == Framing::chunked) {
    codec::append_last_chunk(out_, trailers != nullptr ? *trailers : codec::Headers());
  }
  pieces_.push_back(out_);
}

// Appends the head to out_, its framing and connection fields put right. `length`: what
// Content-Length says, where it says anything.
void ServerConnection::encode_head(const codec::ResponseHead& head,
                                   std::optional<std::uint64_t> length) {
  const codec::ResponseHead* source = &head;
  const auto said = head.headers.get("content-length");
  const bool has_length = said.has_value();
  const bool no_body_status = head.status == 204 || head.status < 200;
  const bool said_right = has_length && length && codec::parse_content_length(*said) == length;
  // A response without a body keeps the Content-Length of the one it stands for.
  const bool keeps_length =
      has_length && !no_body_status &&
      (framing_ == Framing::length || said_right || !body_allowed(head.status));
  if (head.minor_version != 1 || (has_length && !keeps_length) ||
      head.headers.contains("connection") || head.headers.contains("transfer-encoding")) {
    scratch_ = head;
    scratch_.minor_version = 1;
    scratch_.headers.remove("connection");
    scratch_.headers.remove("transfer-encoding");
    if (!keeps_length) scratch_.headers.remove("content-length");
    source = &scratch_;
  }
  codec::append_response_head(out_, *source);
  out_.resize(out_.size() - 2);  // the empty line: more fields follow
  if (length && !keeps_length && !no_body_status && head.status != 304) {
    char digits[20];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, *length);
    out_.append("Content-Length: ").append(digits, end).append("\r\n");
  }
  if (framing_ == Framing::chunked) out_.append("Transfer-Encoding: chunked\r\n");
  if (close_after_) {
    out_.append("Connection: close\r\n");
  } else if (minor_version_ == 0) {
    out_.append("Connection: keep-alive\r\n");
  }
  if (options_.date && !head.headers.contains("date")) {
    out_.append("Date: ").append(date()).append("\r\n");
  }
  out_.append("\r\n");
}

std::string_view ServerConnection::date() {
  const std::int64_t second =
      std::chrono::floor<std::chrono::seconds>(loop_.wall_now()).time_since_epoch().count();
  if (date_.empty() || second != date_second_) {
    date_ = http_date(loop_.wall_now());
    date_second_ = second;
  }
  return date_;
}

// Writes what was prepared. A flush that is dropped leaves writing_ behind: nobody can tell how
// much of it was sent, so the connection is of no more use.
rt::Task<Result<void>> ServerConnection::flush(Phase then) {
  if (writing_) phase_ = Phase::failed;
  if (phase_ == Phase::failed) co_return fail(Code::reset, "the response was broken off");
  writing_ = true;
  if (!interim_left_.empty()) pieces_.insert(pieces_.begin(), interim_left_);
  for (std::span<const std::string_view> left = pieces_; !left.empty();) {
    const auto batch = left.first(std::min(left.size(), net::kPiecesMax));
    left = left.subspan(batch.size());
    auto written =
        co_await TimedWrite(loop_, *stream_, batch, {.patience = options_.write_timeout});
    if (written) continue;
    phase_ = Phase::failed;
    co_return std::move(written);
  }
  writing_ = false;
  if (!pieces_.empty()) out_.clear();
  pieces_.clear();
  interim_left_.clear();
  phase_ = then;
  co_return Result<void>();
}

// What the stream takes now of interim responses.
void ServerConnection::push_interim() {
  if (!may_push_interim()) return;
  const std::string_view piece = interim_left_;
  const auto taken = stream_->try_write(std::span(&piece, 1));
  if (!taken) return;
  if (*taken) {
    interim_left_.erase(0, **taken);
  } else {
    phase_ = Phase::failed;
  }
}

rt::Task<Result<std::unique_ptr<net::Stream>>> ServerConnection::upgrade() {
  CO_TRY_VOID(co_await flush(Phase::upgraded));
  co_return prefixed_stream(loop_, std::string(buffer_.data()), std::move(stream_));
}

rt::Task<void> ServerConnection::client_gone() {
  while (!body_end_given_ && !reader_.failed()) co_await rt::wait_on(body_end_);
  while (!input_ended_ && !reader_.failed()) {
    if (buffer_.room(0).empty()) {
      co_await rt::wait_on(never_);
      continue;
    }
    const auto count = co_await TimedRead(loop_, *stream_, buffer_, 0, kNever);
    if (!count || *count == 0) input_ended_ = true;
    input_reset_ = !count;
  }
  const bool may_listen = options_.half_closed_timeout != Duration::zero();
  if (may_listen && !input_reset_ && !reader_.failed()) co_await half_closed_client_gone();
}

// A client that has closed its socket looks like one that only ended its direction, until something
// is sent to it: then its side answers with a reset. While it waits for a response a 100 (Continue)
// is what may always be sent (RFC 9110 §15.2), but not to HTTP/1.0.
rt::Task<void> ServerConnection::half_closed_client_gone() {
  if (!exchange_.started() && !writing_ && minor_version_ >= 1) {
    interim_left_.append(continue_response);
    push_interim();
    if (phase_ == Phase::failed) co_return;
  }
  std::uint64_t sent_before = body_bytes_sent_;
  Instant moved_at = loop_.now();
  for (;;) {
    co_await rt::sleep(loop_, kHalfClosedCheck);
    char byte = 0;
    const auto read = stream_->try_read(std::span(&byte, 1));
    if (read && !*read) break;
    if (body_bytes_sent_ != std::exchange(sent_before, body_bytes_sent_)) moved_at = loop_.now();
    const bool responding = exchange_.started();
    if (!responding) moved_at = loop_.now();
    if (loop_.now() - moved_at >= options_.half_closed_timeout) break;
  }
  input_reset_ = true;
}

}  // namespace tulle::http
