#include "http/http2_server.h"

#include "base/check.h"
#include "http/date.h"
#include "http/http2_io.h"
#include "http/http2_tunnel.h"
#include "http/server_connection.h"
#include "http/timed_io.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace tulle::http {

namespace {

codec::Http2Limits limits_of(const ServerOptions& options) {
  return {.concurrent_streams_max = options.concurrent_streams_max,
          .header_bytes_max = options.head_limits.head_bytes_max,
          .fields_max = options.head_limits.fields_max,
          .websockets = options.websockets_over_http2};
}

constexpr int kSwitchingProtocols = 101;
constexpr int kOk = 200;  // the same of an extended CONNECT

rt::Task<Result<std::string_view>> no_body() { co_return std::string_view(); }

}  // namespace

class Http2ServerConnection final : public codec::Http2Events {
 public:
  Http2ServerConnection(rt::Loop& loop, std::unique_ptr<net::Stream> stream, Handler& handler,
                        const ServerOptions& options, const ConnectionContext& context)
      : loop_(loop),
        handler_(handler),
        options_(options),
        context_{.local = context.local,
                 .peer = context.peer,
                 .tls_peer = context.tls_peer,
                 .drain = context.drain,
                 .idle = context.idle},
        session_(codec::Http2Session::Role::server, limits_of(options), *this),
        wake_(loop),
        io_(loop, std::move(stream), session_, wake_, options.write_timeout),
        handlers_(loop) {
    io_.receive(context.received);
  }

  rt::Task<void> serve();

  void on_head(std::int32_t id, codec::Http2Fields& fields, bool end) override;
  void on_data(std::int32_t id, std::string_view data) override;
  void on_trailers(std::int32_t id, codec::Headers& trailers) override;
  void on_end(std::int32_t id) override;
  void on_closed(std::int32_t id, std::uint32_t error) override;
  void on_settings() override {}
  codec::Http2Piece on_pull(std::int32_t id, std::span<char> buffer) override;

 private:
  struct Stream;
  class RequestBody;
  class StreamExchange;

  // Of an idle connection: it has to go.
  class Eviction final : public rt::Runnable {
   public:
    explicit Eviction(Http2ServerConnection& connection) : connection_(connection) {}
    void run() override { connection_.begin_drain(); }

   private:
    Http2ServerConnection& connection_;
  };

  Instant read_deadline();
  rt::Task<void> follow_drain();
  void begin_drain();
  rt::Task<void> run(Stream& stream);
  rt::Task<void> finish(Stream& stream);
  rt::Task<void> finish_tunnel(Stream& stream);
  rt::Task<void> refuse(Stream& stream, int status, std::string why);
  void leave(Stream& stream);
  void respond(Stream& stream, const codec::ResponseHead& head, bool has_body);
  std::string_view date();
  Stream* find(std::int32_t id);

  rt::Loop& loop_;
  Handler& handler_;
  const ServerOptions& options_;
  const ConnectionContext context_;
  codec::Http2Session session_;
  Signal wake_;  // what the reader waits for has changed
  Http2Io io_;
  bool draining_ = false;
  Eviction eviction_{*this};
  Instant idle_since_ = loop_.now();
  std::optional<Instant> head_began_;  // of the one that is being received
  std::string date_;
  std::int64_t date_second_ = 0;
  std::unordered_map<std::int32_t, std::unique_ptr<Stream>> streams_;
  rt::Scope handlers_;  // last: they use all of the above
};

class Http2ServerConnection::RequestBody final : public Body {
 public:
  RequestBody(Http2ServerConnection& connection, Stream& stream)
      : connection_(connection), stream_(stream) {}
  rt::Task<Result<std::string_view>> read() override;
  std::optional<std::uint64_t> length() const override;
  const codec::Headers* trailers() const override;

 private:
  Http2ServerConnection& connection_;
  Stream& stream_;
};

class Http2ServerConnection::StreamExchange final : public Exchange {
 public:
  StreamExchange(Http2ServerConnection& connection, Stream& stream)
      : connection_(connection), stream_(stream) {}
  using Exchange::send;
  rt::Task<Result<void>> send(const codec::ResponseHead& head,
                              std::span<const std::string_view> body) override;
  rt::Task<Result<void>> start(const codec::ResponseHead& head, Flush flush) override;
  rt::Task<Result<void>> write(std::span<const std::string_view> pieces) override;
  rt::Task<Result<void>> finish(const codec::Headers* trailers) override;
  void abort() override;
  rt::Task<Result<std::unique_ptr<net::Stream>>> upgrade(const codec::ResponseHead& head) override;
  rt::Task<void> client_gone() override;
  void send_interim(const codec::ResponseHead& head) override;
  bool started() const override;
  std::uint64_t body_bytes_sent() const override;
  rt::Task<Result<void>> sent();

 private:
  Http2ServerConnection& connection_;
  Stream& stream_;
};

// One request and its response. It is there until the handler is done with it.
struct Http2ServerConnection::Stream final : Http2TunnelSide {
  enum class Phase : std::uint8_t {
    waiting,    // no head of the response yet
    streaming,  // start() was called
    finished,   // all of the response was given
    failed,     // it is of no more use
  };

  Stream(Http2ServerConnection& owner, std::int32_t number)
      : connection(owner),
        id(number),
        incoming(owner.loop_),
        outgoing(owner.loop_),
        body(owner, *this),
        exchange(owner, *this),
        request{.head = {},
                .body = body,
                .local = owner.context_.local,
                .peer = owner.context_.peer,
                .tls_peer = owner.context_.tls_peer,
                .http2 = true} {}
  ~Stream() {
    if (tunnel != nullptr) tunnel->detach();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void used(std::size_t bytes) override {
    connection.session_.consume(id, bytes);
    connection.io_.kick();
  }
  void push() override {
    connection.session_.resume(id);
    connection.io_.kick();
  }
  bool closed() const override { return phase == Phase::failed || is_closed; }
  void tunnel_left() override {
    tunnel = nullptr;
    tunnel_gone.wake_all(connection.loop_);
  }

  Http2ServerConnection& connection;
  const std::int32_t id;
  Http2Incoming incoming;
  Http2Outgoing outgoing;
  RequestBody body;
  StreamExchange exchange;
  Request request;
  std::optional<std::uint64_t> length;  // of the request's body
  std::uint64_t body_bytes = 0;         // received of it
  bool continue_due = false;            // the client waits for a 100
  bool head_only = false;               // the response has no body, whatever is given
  std::string refusal;                  // why the handler is not to see it, with this status
  int refusal_status = 0;
  Phase phase = Phase::waiting;
  bool is_closed = false;  // by the client, or both sides are done
  rt::WaitList gone;
  bool wants_tunnel = false;      // an extended CONNECT: what comes is no body
  Http2Tunnel* tunnel = nullptr;  // once it is one, as long as somebody has it
  rt::WaitList tunnel_gone;
};

rt::Task<Result<std::string_view>> Http2ServerConnection::RequestBody::read() {
  if (stream_.wants_tunnel) return no_body();
  if (stream_.continue_due && stream_.phase == Stream::Phase::waiting) {
    connection_.session_.respond_interim(stream_.id, {.status = 100});
    connection_.io_.kick();
  }
  stream_.continue_due = false;
  return stream_.incoming.read(connection_.options_.body_timeout, [this](std::size_t bytes) {
    connection_.session_.consume(stream_.id, bytes);
    connection_.io_.kick();
  });
}

std::optional<std::uint64_t> Http2ServerConnection::RequestBody::length() const {
  return stream_.length;
}

const codec::Headers* Http2ServerConnection::RequestBody::trailers() const {
  return stream_.incoming.trailers();
}

rt::Task<Result<void>> Http2ServerConnection::StreamExchange::send(
    const codec::ResponseHead& head, std::span<const std::string_view> body) {
  using Phase = Stream::Phase;
  if (stream_.phase != Phase::failed) {
    CHECK(stream_.phase == Phase::waiting);
    stream_.phase = Phase::finished;
    stream_.outgoing.offer(body);
    stream_.outgoing.end(nullptr);
    const bool has_body = !stream_.outgoing.empty();
    std::uint64_t size = 0;
    for (const std::string_view piece : body) size += piece.size();
    if (has_body && !head.headers.contains("content-length")) {
      codec::ResponseHead sized = head;
      sized.headers.append("content-length", std::to_string(size));
      connection_.respond(stream_, sized, true);
    } else {
      connection_.respond(stream_, head, has_body);
    }
  }
  return sent();
}

rt::Task<Result<void>> Http2ServerConnection::StreamExchange::start(const codec::ResponseHead& head,
                                                                    Flush) {
  if (stream_.phase != Stream::Phase::failed) {
    CHECK(stream_.phase == Stream::Phase::waiting);
    stream_.phase = Stream::Phase::streaming;
    connection_.respond(stream_, head, true);
  }
  return sent();
}

rt::Task<Result<void>> Http2ServerConnection::StreamExchange::write(
    std::span<const std::string_view> pieces) {
  if (stream_.phase != Stream::Phase::failed && !stream_.head_only) {
    stream_.outgoing.offer(pieces);
    connection_.session_.resume(stream_.id);
    connection_.io_.kick();
  }
  return sent();
}

rt::Task<Result<void>> Http2ServerConnection::StreamExchange::finish(
    const codec::Headers* trailers) {
  if (stream_.phase != Stream::Phase::failed) {
    CHECK(stream_.phase == Stream::Phase::streaming);
    stream_.phase = Stream::Phase::finished;
    stream_.outgoing.end(trailers);
    connection_.session_.resume(stream_.id);
    connection_.io_.kick();
  }
  return sent();
}

// Until the session has taken what was offered. Dropped before, the stream is of no more use: what
// it would have sent may be gone.
rt::Task<Result<void>> Http2ServerConnection::StreamExchange::sent() {
  struct Guard {
    StreamExchange& exchange;
    bool done = false;
    ~Guard() {
      if (!done) exchange.abort();
    }
  } guard{*this};
  const Duration patience = connection_.options_.write_timeout;
  const auto all_taken = [this] {
    if (!stream_.outgoing.empty()) return false;
    return stream_.phase != Stream::Phase::finished || stream_.outgoing.end_taken() ||
           stream_.head_only;
  };
  while (stream_.phase != Stream::Phase::failed && !all_taken()) {
    const Instant deadline = connection_.loop_.now() + patience;
    if (co_await TimedWait(connection_.loop_, stream_.outgoing.progress(), deadline)) continue;
    co_return fail(Code::timed_out, "the peer does not read");
  }
  if (stream_.phase == Stream::Phase::failed) {
    co_return fail(Code::reset, "the stream was reset by the client");
  }
  guard.done = true;
  co_return Result<void>();
}

void Http2ServerConnection::StreamExchange::abort() {
  stream_.outgoing.clear();
  if (stream_.phase == Stream::Phase::failed) return;
  stream_.phase = Stream::Phase::failed;
  if (stream_.is_closed) return;
  connection_.session_.reset(stream_.id, stream_.wants_tunnel ? codec::Http2Error::cancel
                                                              : codec::Http2Error::internal_error);
  connection_.io_.kick();
}

rt::Task<Result<std::unique_ptr<net::Stream>>> Http2ServerConnection::StreamExchange::upgrade(
    const codec::ResponseHead& head) {
  if (!stream_.wants_tunnel) co_return fail(Code::invalid_argument, "HTTP/2 has no upgrade");
  if (stream_.phase == Stream::Phase::failed) {
    co_return fail(Code::reset, "the stream was reset by the client");
  }
  CHECK(stream_.phase == Stream::Phase::waiting);
  stream_.phase = Stream::Phase::streaming;
  codec::ResponseHead accepted = head;
  if (head.status == kSwitchingProtocols) accepted.status = kOk;
  connection_.respond(stream_, accepted, true);
  auto tunnel = std::make_unique<Http2Tunnel>(
      connection_.loop_, stream_.incoming, stream_.outgoing, stream_,
      Http2Tunnel::Addresses{.local = stream_.request.local, .peer = stream_.request.peer});
  stream_.tunnel = tunnel.get();
  co_return tunnel;
}

rt::Task<void> Http2ServerConnection::StreamExchange::client_gone() {
  while (!stream_.is_closed) co_await rt::wait_on(stream_.gone);
}

void Http2ServerConnection::StreamExchange::send_interim(const codec::ResponseHead& head) {
  if (stream_.phase != Stream::Phase::waiting || stream_.is_closed) return;
  connection_.session_.respond_interim(stream_.id, head);
  connection_.io_.kick();
}

bool Http2ServerConnection::StreamExchange::started() const {
  return stream_.phase != Stream::Phase::waiting;
}

std::uint64_t Http2ServerConnection::StreamExchange::body_bytes_sent() const {
  return stream_.outgoing.bytes_taken();
}

// Without streams a connection may wait for idle_timeout. Within a header block for the rest of
// head_timeout, whatever else is open: nobody else is heard on the connection before its end.
Instant Http2ServerConnection::read_deadline() {
  const Instant idle = streams_.empty() ? idle_since_ + options_.idle_timeout : kNever;
  if (!session_.in_header_block()) {
    head_began_.reset();
    return idle;
  }
  if (!head_began_) head_began_ = loop_.now();
  return std::min(idle, *head_began_ + options_.head_timeout);
}

// Reads until nothing more comes.
rt::Task<void> Http2ServerConnection::serve() {
  rt::Scope watching(loop_);
  if (context_.drain != nullptr) watching.spawn(follow_drain());
  codec::Http2Error error = codec::Http2Error::none;
  for (;;) {
    if (draining_ && streams_.empty()) break;
    const Instant deadline = read_deadline();
    if (streams_.empty() && context_.idle != nullptr) context_.idle->join(eviction_);
    const bool more = co_await io_.read(deadline);
    eviction_.unlink();
    if (!more) break;
    if (!draining_ && context_.idle != nullptr && context_.idle->ending()) begin_drain();
    if (loop_.now() < read_deadline()) continue;
    if (head_began_) error = codec::Http2Error::enhance_your_calm;
    break;
  }
  for (const auto& [id, stream] : streams_) on_closed(id, 0);
  handlers_.cancel();
  session_.go_away(error);
  co_await io_.close(options_.linger_timeout);
}

rt::Task<void> Http2ServerConnection::follow_drain() {
  while (!context_.drain->requested()) co_await rt::wait_on(context_.drain->signal_.waiters());
  begin_drain();
}

void Http2ServerConnection::begin_drain() {
  draining_ = true;
  session_.go_away(codec::Http2Error::none);
  io_.kick();
  wake_.raise();
}

Http2ServerConnection::Stream* Http2ServerConnection::find(std::int32_t id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void Http2ServerConnection::on_head(std::int32_t id, codec::Http2Fields& fields, bool end) {
  // Handlers of streams that were reset may still run: their number has a bound, too.
  if (streams_.size() >= 2 * options_.concurrent_streams_max) {
    return session_.reset(id, codec::Http2Error::refused_stream);
  }
  auto owned = std::make_unique<Stream>(*this, id);
  Stream& stream = *owned;
  if (const auto length = fields.headers.get("content-length")) {
    stream.length = codec::parse_content_length(*length);
  }
  if (end) {
    stream.length = 0;
    stream.incoming.end();
  }
  const bool too_large = fields.too_large;
  const bool is_connect = fields.method == "CONNECT";
  stream.wants_tunnel = is_connect && codec::equals_ignoring_case(fields.protocol, "websocket");
  if (stream.wants_tunnel) stream.length = 0;
  auto head = codec::http1_head(fields);
  if (too_large) {
    stream.refusal_status = 431;
    stream.refusal = "head_too_large";
  } else if (is_connect && !stream.wants_tunnel) {
    stream.refusal_status = 501;
    stream.refusal = "CONNECT is not served here but to websocket";
  } else if (!head) {
    stream.refusal_status = 400;
    stream.refusal = head.error().message;
  } else if (stream.length.value_or(0) > options_.body_bytes_max) {
    stream.refusal_status = 413;
    stream.refusal = "body is too large";
  } else {
    stream.request.head = *std::move(head);
    stream.head_only = stream.request.head.method == "HEAD";
    stream.continue_due = !end && codec::expects_continue(stream.request.head);
  }
  streams_[id] = std::move(owned);
  handlers_.spawn(run(stream));
}

void Http2ServerConnection::on_data(std::int32_t id, std::string_view data) {
  Stream* const stream = find(id);
  if (stream == nullptr || stream->incoming.failed()) return session_.consume(id, data.size());
  if (!stream->wants_tunnel) stream->body_bytes += data.size();
  if (stream->body_bytes <= options_.body_bytes_max) return stream->incoming.add(data);
  session_.consume(id, data.size());
  stream->incoming.break_off({.code = Code::exhausted, .message = "body is too large"});
}

void Http2ServerConnection::on_trailers(std::int32_t id, codec::Headers& trailers) {
  if (Stream* const stream = find(id)) stream->incoming.set_trailers(std::move(trailers));
}

void Http2ServerConnection::on_end(std::int32_t id) {
  if (Stream* const stream = find(id)) stream->incoming.end();
}

void Http2ServerConnection::on_closed(std::int32_t id, std::uint32_t) {
  Stream* const stream = find(id);
  if (stream == nullptr) return;
  stream->is_closed = true;
  if (!stream->incoming.ended()) {
    stream->incoming.break_off({.code = Code::reset, .message = "the client reset the stream"});
  }
  if (!stream->outgoing.end_taken()) {
    stream->outgoing.clear();
    stream->phase = Stream::Phase::failed;
    stream->outgoing.progress().wake_all(loop_);
  }
  stream->gone.wake_all(loop_);
}

codec::Http2Piece Http2ServerConnection::on_pull(std::int32_t id, std::span<char> buffer) {
  Stream* const stream = find(id);
  return stream == nullptr ? codec::Http2Piece{.end = true} : stream->outgoing.pull(buffer);
}

void Http2ServerConnection::respond(Stream& stream, const codec::ResponseHead& head,
                                    bool has_body) {
  has_body = has_body && !stream.head_only && head.status != 204 && head.status != 304;
  if (options_.date && !head.headers.contains("date")) {
    codec::ResponseHead dated = head;
    dated.headers.append("date", date());
    session_.respond(stream.id, dated, has_body);
  } else {
    session_.respond(stream.id, head, has_body);
  }
  if (!has_body) {
    stream.head_only = true;
    stream.outgoing.skip();
  }
  io_.kick();
}

std::string_view Http2ServerConnection::date() {
  const WallTime now = loop_.wall_now();
  const auto second = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  if (date_.empty() || second != date_second_) {
    date_ = http_date(now);
    date_second_ = second;
  }
  return date_;
}

rt::Task<void> Http2ServerConnection::run(Stream& stream) {
  if (stream.refusal_status != 0) {
    co_await refuse(stream, stream.refusal_status, std::move(stream.refusal));
  } else {
    co_await handler_.handle(stream.request, stream.exchange);
    if (stream.wants_tunnel) co_await finish_tunnel(stream);
    co_await finish(stream);
  }
  leave(stream);
}

// Until whoever has the tunnel drops it. What was written before a half-close still goes out.
rt::Task<void> Http2ServerConnection::finish_tunnel(Stream& stream) {
  while (stream.tunnel != nullptr) co_await rt::wait_on(stream.tunnel_gone);
  if (stream.phase == Stream::Phase::streaming && stream.outgoing.ending()) {
    stream.phase = Stream::Phase::finished;
    static_cast<void>(co_await stream.exchange.sent());
  }
}

// What the handler left undone.
rt::Task<void> Http2ServerConnection::finish(Stream& stream) {
  switch (stream.phase) {
    case Stream::Phase::finished:
    case Stream::Phase::failed: co_return;
    case Stream::Phase::streaming: co_return stream.exchange.abort();
    case Stream::Phase::waiting: break;
  }
  int status = 500;
  std::string why = "the handler gave no answer";
  if (stream.incoming.failed()) {
    status = body_failure_status(stream.incoming.error().code);
    why = stream.incoming.error().message;
  }
  co_await refuse(stream, status, std::move(why));
}

rt::Task<void> Http2ServerConnection::refuse(Stream& stream, int status, std::string why) {
  const codec::ResponseHead head{.status = status,
                                 .headers = {{"content-type", "text/plain; charset=utf-8"}}};
  const std::string body = refusal_text(status, why);
  static_cast<void>(co_await stream.exchange.send(head, body));
}

// A client that still sends is told that nobody listens, RFC 9113 §8.1.
void Http2ServerConnection::leave(Stream& stream) {
  const std::int32_t id = stream.id;
  if (const std::size_t unused = stream.incoming.take_unused(); unused > 0) {
    session_.consume(id, unused);
  }
  if (!stream.is_closed && !stream.incoming.ended() && stream.phase == Stream::Phase::finished) {
    session_.reset(id, codec::Http2Error::none);
  }
  io_.kick();
  streams_.erase(id);
  if (!streams_.empty()) return;
  idle_since_ = loop_.now();
  wake_.raise();
}

static rt::Task<void> serve_to_end(std::unique_ptr<Http2ServerConnection> connection) {
  co_await connection->serve();
}

rt::Task<void> serve_http2_connection(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                                      Handler& handler, const ServerOptions& options,
                                      const ConnectionContext& context) {
  return serve_to_end(
      std::make_unique<Http2ServerConnection>(loop, std::move(stream), handler, options, context));
}

}  // namespace tulle::http
