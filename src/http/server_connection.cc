#include "http/server_connection.h"

#include "codec/http2.h"
#include "http/http2_server.h"
#include "http/timed_io.h"

#include "base/check.h"

#include <string>
#include <utility>

namespace tulle::http {

int body_failure_status(Code code) {
  switch (code) {
    case Code::exhausted: return 413;
    case Code::timed_out: return 408;
    default: return 400;
  }
}

std::string refusal_text(int status, std::string_view why) {
  return std::to_string(status) + " " + std::string(codec::reason_phrase(status)) + ": " +
         std::string(why) + "\n";
}

ServerConnection::ServerConnection(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                                   Handler& handler, const ServerOptions& options,
                                   const ConnectionContext& context)
    : loop_(loop),
      stream_(std::move(stream)),
      handler_(handler),
      options_(options),
      drain_(context.drain),
      idle_(context.idle),
      evicted_(loop),
      buffer_(options.read_buffer_bytes),
      parser_(options.head_limits),
      reader_(loop, buffer_),
      request_{.head = {},
               .body = body_,
               .local = context.local,
               .peer = context.peer,
               .tls_peer = context.tls_peer} {
  buffer_.append(context.received);
}

rt::Task<void> ServerConnection::serve() {
  for (;;) {
    if (may_be_http2_ && buffer_.data().starts_with(codec::http2_preface)) {
      co_return co_await serve_http2();
    }
    const codec::HeadResult head = parse_head();
    switch (head.outcome) {
      case codec::HeadResult::Outcome::incomplete: {
        const bool idle = buffer_.empty();
        Result<std::size_t> count = 0UL;
        if (!input_ended_) {
          if (idle && idle_ != nullptr) idle_->join(eviction_);
          count =
              co_await TimedRead(loop_, *stream_, buffer_, options_.head_limits.head_bytes_max + 1,
                                 head_deadline(), idle ? called_off() : nullptr);
          eviction_.unlink();
        }
        if (!count || *count == 0) {
          co_await end_of_input(std::move(count));
          co_return;
        }
        break;
      }
      case codec::HeadResult::Outcome::error:
        co_await refuse(codec::suggested_status(head.reason), name(head.reason));
        co_return;
      case codec::HeadResult::Outcome::complete:
        buffer_.consume(head.consumed);
        begin_exchange();
        if (reader_.framing().length > options_.body_bytes_max) {
          co_await refuse(413, "body is too large");
          co_return;
        }
        co_await handler_.handle(request_, exchange_);
        if (!co_await end_exchange()) co_return;
        break;
    }
  }
}

// A beginning of the preface of HTTP/2 is no request line yet.
codec::HeadResult ServerConnection::parse_head() {
  if (may_be_http2_ && codec::http2_preface.starts_with(buffer_.data())) return {};
  return parser_.parse(buffer_.data(), request_.head);
}

rt::Task<void> ServerConnection::serve_http2() {
  const ConnectionContext context{.local = request_.local,
                                  .peer = request_.peer,
                                  .tls_peer = request_.tls_peer,
                                  .drain = drain_,
                                  .idle = idle_,
                                  .received = buffer_.data()};
  co_await serve_http2_connection(loop_, std::move(stream_), handler_, options_, context);
}

// What ends the wait of an idle connection.
Signal* ServerConnection::called_off() {
  if (idle_ != nullptr) return &evicted_;
  return drain_ != nullptr ? &drain_->signal_ : nullptr;
}

// An idle connection may wait longer than one that has begun to ask.
Instant ServerConnection::head_deadline() {
  if (buffer_.empty()) return loop_.now() + options_.idle_timeout;
  if (!head_began_) head_began_ = loop_.now();
  return *head_began_ + options_.head_timeout;
}

// The input ended, failed or took too long while a head was awaited.
rt::Task<void> ServerConnection::end_of_input(Result<std::size_t> outcome) {
  if (buffer_.empty()) {
    static_cast<void>(stream_->shutdown_write());
  } else if (outcome) {
    co_await refuse(400, "the connection was closed within the head");
  } else if (outcome.error().code == Code::timed_out) {
    co_await refuse(408, "the head did not arrive in time");
  }
}

void ServerConnection::begin_exchange() {
  head_began_.reset();
  may_be_http2_ = false;
  reader_.start(*stream_, codec::body_framing(request_.head), options_.head_limits,
                options_.body_bytes_max);
  body_end_given_ = reader_.done();
  continue_due_ = !reader_.done() && codec::expects_continue(request_.head);
  interim_left_.clear();
  phase_ = Phase::waiting;
  framing_ = Framing::none;
  head_only_ = request_.head.method == "HEAD";
  minor_version_ = request_.head.minor_version;
  close_after_ = !codec::keep_alive(request_.head);
  body_bytes_sent_ = 0;
}

rt::Task<Result<std::string_view>> ServerConnection::RequestBody::read() {
  ServerConnection& self = connection_;
  const bool asks = self.continue_due_ && !self.exchange_.started() && !self.writing_;
  if (asks) {
    self.continue_due_ = false;
    self.interim_left_.append(continue_response);
  }
  // The client waits for a 100 before it sends anything; for others nobody has to wait here.
  for (self.push_interim(); asks && self.may_push_interim(); self.push_interim()) {
    co_await Writable(*self.stream_);
  }
  if (self.phase_ == Phase::failed) co_return fail(Code::reset, "the connection was reset");
  auto piece = co_await self.reader_.read(self.options_.body_timeout);
  if (!piece || piece->empty()) {
    self.body_end_given_ = true;
    self.body_end_.wake_all(self.loop_);
  }
  co_return piece;
}

// After the handler; whether the connection can go on.
rt::Task<bool> ServerConnection::end_exchange() {
  if (writing_) phase_ = Phase::failed;
  switch (phase_) {
    case Phase::upgraded:
    case Phase::streaming:
    case Phase::failed: co_return false;
    case Phase::waiting: co_await answer_for_handler(); co_return false;
    case Phase::finished: break;
  }
  if (!reader_.done() && (close_after_ || !co_await skip_body())) {
    co_await linger();
    co_return false;
  }
  head_only_ = false;
  if (!close_after_) co_return true;
  if (buffer_.empty()) {
    static_cast<void>(stream_->shutdown_write());
  } else {
    co_await linger();
  }
  co_return false;
}

rt::Task<void> ServerConnection::answer_for_handler() {
  if (reader_.failed()) {
    const bool malformed = reader_.reason() != codec::Http1Reason::ok;
    return refuse(malformed ? codec::suggested_status(reader_.reason())
                            : body_failure_status(reader_.error().code),
                  reader_.error().message);
  }
  return refuse(500, "the handler gave no answer");
}

// Answers and ends the connection.
rt::Task<void> ServerConnection::refuse(int status, std::string_view why) {
  out_.clear();
  pieces_.clear();
  phase_ = Phase::waiting;
  close_after_ = true;
  const std::string body = refusal_text(status, why);
  const codec::ResponseHead head{.status = status,
                                 .headers = {{"Content-Type", "text/plain; charset=utf-8"}}};
  if (co_await exchange_.send(head, body)) co_await linger();
}

// Reads a body that nobody wanted, so that the next request can be seen.
rt::Task<bool> ServerConnection::skip_body() {
  if (continue_due_) co_return false;
  if (reader_.remaining_length() > options_.unread_body_bytes_max) co_return false;
  for (std::uint64_t skipped = 0; skipped <= options_.unread_body_bytes_max;) {
    const auto piece = co_await reader_.read(options_.body_timeout);
    if (!piece) co_return false;
    if (piece->empty()) co_return true;
    skipped += piece->size();
  }
  co_return false;
}

// Ends our direction and goes on reading for a while: closing with bytes unread would reset the
// connection and could take the response from the client.
rt::Task<void> ServerConnection::linger() {
  if (!stream_->shutdown_write()) co_return;
  const Instant deadline = loop_.now() + options_.linger_timeout;
  for (std::uint64_t read = 0; !input_ended_ && read < options_.linger_bytes_max;) {
    buffer_.consume(buffer_.data().size());
    const auto count = co_await TimedRead(loop_, *stream_, buffer_, 1, deadline);
    if (!count || *count == 0) co_return;
    read += *count;
  }
}

static rt::Task<void> serve_to_end(std::unique_ptr<ServerConnection> connection) {
  co_await connection->serve();
}

rt::Task<void> serve_connection(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                                Handler& handler, const ServerOptions& options,
                                const ConnectionContext& context) {
  return serve_to_end(
      std::make_unique<ServerConnection>(loop, std::move(stream), handler, options, context));
}

rt::Task<void> serve_connection(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                                Handler& handler, const ServerOptions& options) {
  const ConnectionContext context{.local = stream->local_address(), .peer = stream->peer_address()};
  return serve_connection(loop, std::move(stream), handler, options, context);
}

}  // namespace tulle::http
