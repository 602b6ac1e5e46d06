#include "http/http2_client.h"

#include "base/check.h"
#include "codec/websocket.h"
#include "http/http2_io.h"
#include "http/http2_tunnel.h"
#include "http/timed_io.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace tulle::http {

namespace {

class ClientStream;

constexpr int kSwitchingProtocols = 101;

}  // namespace

class Http2Connection final : public codec::Http2Events {
 public:
  Http2Connection(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                  const Http2ClientOptions& options)
      : loop_(loop),
        options_(options),
        session_(codec::Http2Session::Role::client, {.header_bytes_max = options.header_bytes_max},
                 *this),
        wake_(loop),
        io_(loop, std::move(stream), session_, wake_, options.write_timeout),
        reading_(loop) {
    io_.kick();
    reading_.spawn(read());
  }

  bool usable() const {
    return !broken_ && !session_.peer_going_away() &&
           channels_ <
               std::min<std::size_t>(options_.streams_max, session_.peer_concurrent_streams_max());
  }

  void on_head(std::int32_t id, codec::Http2Fields& fields, bool end) override;
  void on_data(std::int32_t id, std::string_view data) override;
  void on_trailers(std::int32_t id, codec::Headers& trailers) override;
  void on_end(std::int32_t id) override;
  void on_closed(std::int32_t id, std::uint32_t error) override;
  void on_settings() override { settings_.wake_all(loop_); }
  codec::Http2Piece on_pull(std::int32_t id, std::span<char> buffer) override;

 private:
  friend class ClientStream;
  friend class Http2Client;

  rt::Task<void> read();
  ClientStream* find(std::int32_t id) {
    const auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : found->second;
  }

  rt::Loop& loop_;
  const Http2ClientOptions options_;
  codec::Http2Session session_;
  Signal wake_;  // what the reader waits for has changed
  Http2Io io_;
  bool broken_ = false;
  bool was_used_ = false;
  std::size_t channels_ = 0;
  Instant idle_since_ = loop_.now();
  std::unordered_map<std::int32_t, ClientStream*> streams_;
  rt::WaitList settings_;  // of the server, or the end of the connection
  rt::Scope reading_;      // last: it uses all of the above
};

namespace {

class ClientStream final : public Channel, public Http2TunnelSide {
 public:
  explicit ClientStream(std::shared_ptr<Http2Connection> connection)
      : connection_(std::move(connection)),
        reused_(std::exchange(connection_->was_used_, true)),
        incoming_(connection_->loop_),
        outgoing_(connection_->loop_),
        sender_(connection_->loop_) {
    ++connection_->channels_;
  }
  ~ClientStream() override;
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  rt::Task<Result<Response>> exchange(const codec::RequestHead& head, Body* body,
                                      ExchangeOptions options) override;
  rt::Task<bool> takes_websocket(Instant deadline) override;
  std::unique_ptr<net::Stream> take_stream() override;
  rt::Task<void> stream_sent() override;
  bool reused() const override { return reused_; }
  bool response_started() const override { return response_started_; }
  RequestProgress request_progress() const override;
  bool request_body_failed() const override { return source_error_.has_value(); }

  void take_head(codec::Http2Fields& fields, bool end);
  void take_interim(codec::Http2Fields& fields);
  void close(std::uint32_t error);
  void break_off(const Error& error);

 private:
  friend class tulle::http::Http2Connection;

  class ResponseBody final : public Body {
   public:
    explicit ResponseBody(ClientStream& stream) : stream_(stream) {}
    rt::Task<Result<std::string_view>> read() override {
      return stream_.incoming_.read(Duration::max(), [this](std::size_t bytes) {
        stream_.connection_->session_.consume(stream_.id_, bytes);
        stream_.connection_->io_.kick();
      });
    }
    std::optional<std::uint64_t> length() const override { return stream_.length_; }
    const codec::Headers* trailers() const override { return stream_.incoming_.trailers(); }

   private:
    ClientStream& stream_;
  };

  rt::Task<void> send(Body& source);
  void reset(codec::Http2Error error);
  void answer_handshake();

  void used(std::size_t bytes) override {
    connection_->session_.consume(id_, bytes);
    connection_->io_.kick();
  }
  void push() override {
    connection_->session_.resume(id_);
    connection_->io_.kick();
  }
  bool closed() const override { return closed_; }
  void tunnel_left() override { tunnel_ = nullptr; }

  const std::shared_ptr<Http2Connection> connection_;
  const bool reused_;
  std::int32_t id_ = 0;  // 0: nothing was sent yet
  Http2Incoming incoming_;
  Http2Outgoing outgoing_;
  ResponseBody body_{*this};
  codec::ResponseHead head_;
  std::optional<std::uint64_t> length_;
  bool has_head_ = false;
  bool response_started_ = false;
  bool closed_ = false;
  bool refused_ = false;  // surely not processed
  std::optional<Error> source_error_;
  InterimSink* interim_ = nullptr;  // until the head has come
  std::size_t interim_count_ = 0;
  rt::WaitList head_or_end_;
  std::string websocket_accept_;   // what the handshake is to be answered with
  bool wants_tunnel_ = false;      // an extended CONNECT was sent
  Http2Tunnel* tunnel_ = nullptr;  // as long as somebody has it
  rt::Scope sender_;               // last: what it runs uses all of the above
};

ClientStream::~ClientStream() {
  Http2Connection& connection = *connection_;
  if (tunnel_ != nullptr) tunnel_->detach();
  if (id_ != 0) {
    connection.streams_.erase(id_);
    const std::size_t unused = incoming_.take_unused();
    if (unused > 0) connection.session_.consume(id_, unused);
    reset(codec::Http2Error::cancel);
  }
  if (--connection.channels_ > 0) return;
  connection.idle_since_ = connection.loop_.now();
  connection.wake_.raise();
  if (connection.options_.on_idle) connection.options_.on_idle();
}

void ClientStream::reset(codec::Http2Error error) {
  if (!closed_) connection_->session_.reset(id_, error);
  closed_ = true;
  if (!connection_->broken_) connection_->io_.kick();
}

RequestProgress ClientStream::request_progress() const {
  if (id_ == 0 || refused_) return RequestProgress::unsent;
  return outgoing_.end_taken() ? RequestProgress::complete : RequestProgress::partial;
}

rt::Task<Result<Response>> ClientStream::exchange(const codec::RequestHead& head, Body* body,
                                                  ExchangeOptions options) {
  CHECK(id_ == 0);
  if (connection_->broken_) co_return fail(Code::closed, "the connection was closed");
  wants_tunnel_ = codec::is_websocket_handshake(head);
  if (wants_tunnel_) {
    const auto key = head.headers.get("sec-websocket-key").value_or("");
    websocket_accept_ = codec::websocket_accept_key(key).value_or("");
  }
  const bool has_body = body != nullptr && body->length() != 0U;
  CO_TRY(id_, connection_->session_.request(head, has_body));
  connection_->streams_[id_] = this;
  interim_ = options.interim;
  if (has_body) {
    sender_.spawn(send(*body));
  } else if (!wants_tunnel_) {
    outgoing_.skip();
  }
  connection_->io_.kick();
  // Whoever drops the task may be the sink.
  struct Guard {
    ClientStream& stream;
    ~Guard() { stream.interim_ = nullptr; }
  } guard{*this};
  while (!has_head_ && !incoming_.failed()) {
    if (co_await TimedWait(connection_->loop_, head_or_end_, options.deadline)) continue;
    reset(codec::Http2Error::cancel);
    co_return fail(Code::timed_out, "the response did not begin in time");
  }
  if (source_error_) co_return *source_error_;
  if (!has_head_) co_return incoming_.error();
  co_return Response{.head = head_, .body = body_};
}

rt::Task<void> ClientStream::send(Body& source) {
  for (;;) {
    const auto piece = co_await source.read();
    if (!piece) {
      source_error_ = piece.error();
      reset(codec::Http2Error::cancel);
      break_off(piece.error());
      co_return;
    }
    if (piece->empty()) {
      outgoing_.end(source.trailers());
    } else {
      outgoing_.offer(std::span(&*piece, 1));
    }
    connection_->session_.resume(id_);
    connection_->io_.kick();
    while (!outgoing_.empty()) co_await rt::wait_on(outgoing_.progress());
    if (piece->empty()) co_return;
  }
}

void ClientStream::take_head(codec::Http2Fields& fields, bool end) {
  response_started_ = true;
  if (fields.status < 200) return take_interim(fields);
  head_.status = fields.status;
  head_.headers = std::move(fields.headers);
  if (const auto length = head_.headers.get("content-length")) {
    length_ = codec::parse_content_length(*length);
  }
  if (end) {
    length_ = 0;
    incoming_.end();
  }
  if (wants_tunnel_) answer_handshake();
  has_head_ = true;
  head_or_end_.wake_all(connection_->loop_);
}

// As HTTP/1.1 says it (RFC 8441 §5). Where the answer is another one there is no tunnel.
void ClientStream::answer_handshake() {
  if (head_.status < 200 || head_.status >= 300) {
    outgoing_.end(nullptr);
    return push();
  }
  head_.status = kSwitchingProtocols;
  head_.headers.append("connection", "upgrade");
  head_.headers.append("upgrade", "websocket");
  if (!websocket_accept_.empty()) {
    head_.headers.append("sec-websocket-accept", websocket_accept_);
  }
}

rt::Task<bool> ClientStream::takes_websocket(Instant deadline) {
  for (;;) {
    if (connection_->broken_) co_return false;
    if (const auto takes = connection_->session_.peer_takes_websockets()) co_return *takes;
    if (!co_await TimedWait(connection_->loop_, connection_->settings_, deadline)) co_return false;
  }
}

std::unique_ptr<net::Stream> ClientStream::take_stream() {
  CHECK(head_.status == kSwitchingProtocols && tunnel_ == nullptr);
  const net::Stream& stream = connection_->io_.stream();
  auto tunnel = std::make_unique<Http2Tunnel>(
      connection_->loop_, incoming_, outgoing_, *this,
      Http2Tunnel::Addresses{.local = stream.local_address(), .peer = stream.peer_address()});
  tunnel_ = tunnel.get();
  return tunnel;
}

rt::Task<void> ClientStream::stream_sent() {
  while (!closed_ && outgoing_.ending() && !outgoing_.end_taken()) {
    co_await rt::wait_on(outgoing_.progress());
  }
}

void ClientStream::take_interim(codec::Http2Fields& fields) {
  if (++interim_count_ > kInterimResponsesMax) {
    reset(codec::Http2Error::enhance_your_calm);
    return break_off({.code = Code::malformed, .message = "too many interim responses"});
  }
  if (interim_ == nullptr || fields.status == 100) return;
  interim_->take_interim({.status = fields.status, .headers = std::move(fields.headers)});
}

void ClientStream::close(std::uint32_t error) {
  closed_ = true;
  refused_ = error == static_cast<std::uint32_t>(codec::Http2Error::refused_stream);
  // What is left of the request then is wanted by nobody.
  sender_.cancel();
  outgoing_.clear();
  outgoing_.progress().wake_all(connection_->loop_);
  if (incoming_.ended()) return;
  break_off({.code = Code::reset,
             .message = refused_ ? "the server refused the stream"
                                 : "the server reset the stream (" + std::to_string(error) + ")"});
}

void ClientStream::break_off(const Error& error) {
  incoming_.break_off(error);
  head_or_end_.wake_all(connection_->loop_);
}

}  // namespace

rt::Task<void> Http2Connection::read() {
  for (;;) {
    const Instant deadline = channels_ == 0 ? idle_since_ + options_.idle_timeout : kNever;
    if (!co_await io_.read(deadline)) break;
    if (channels_ == 0 && loop_.now() >= idle_since_ + options_.idle_timeout) break;
  }
  broken_ = true;
  for (const auto& [id, stream] : streams_) {
    stream->closed_ = true;
    stream->outgoing_.progress().wake_all(loop_);
    if (!stream->incoming_.ended()) {
      stream->break_off({.code = Code::closed, .message = "the connection was closed"});
    }
  }
  settings_.wake_all(loop_);
  session_.go_away(codec::Http2Error::none);
  co_await io_.close(std::chrono::seconds(1));
}

void Http2Connection::on_head(std::int32_t id, codec::Http2Fields& fields, bool end) {
  ClientStream* const stream = find(id);
  if (stream == nullptr) return;
  if (!fields.too_large && fields.status != kSwitchingProtocols)
    return stream->take_head(fields, end);
  stream->break_off({.code = Code::malformed,
                     .message = fields.too_large ? "head_too_large" : "HTTP/2 has no upgrade"});
}

void Http2Connection::on_data(std::int32_t id, std::string_view data) {
  ClientStream* const stream = find(id);
  if (stream == nullptr) return session_.consume(id, data.size());
  stream->incoming_.add(data);
}

void Http2Connection::on_trailers(std::int32_t id, codec::Headers& trailers) {
  if (ClientStream* const stream = find(id)) stream->incoming_.set_trailers(std::move(trailers));
}

void Http2Connection::on_end(std::int32_t id) {
  if (ClientStream* const stream = find(id)) stream->incoming_.end();
}

void Http2Connection::on_closed(std::int32_t id, std::uint32_t error) {
  if (ClientStream* const stream = find(id)) stream->close(error);
}

codec::Http2Piece Http2Connection::on_pull(std::int32_t id, std::span<char> buffer) {
  ClientStream* const stream = find(id);
  return stream == nullptr ? codec::Http2Piece{.end = true} : stream->outgoing_.pull(buffer);
}

Http2Client::Http2Client(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                         const Http2ClientOptions& options)
    : connection_(std::make_shared<Http2Connection>(loop, std::move(stream), options)) {}

Http2Client::~Http2Client() = default;

bool Http2Client::usable() const { return connection_->usable(); }

std::unique_ptr<Channel> Http2Client::open() {
  CHECK(usable());
  return std::make_unique<ClientStream>(connection_);
}

std::size_t Http2Client::streams() const { return connection_->channels_; }

}  // namespace tulle::http
