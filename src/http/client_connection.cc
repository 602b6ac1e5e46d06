#include "http/client_connection.h"

#include "base/check.h"
#include "http/body_reader.h"
#include "http/prefixed_stream.h"
#include "http/read_buffer.h"
#include "http/signal.h"
#include "http/timed_io.h"
#include "rt/combine.h"
#include "rt/scope.h"
#include "rt/sleep.h"
#include "rt/sync.h"

#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

namespace tulle::http {

namespace {

// A body that is there at once and not larger goes out with its head before the response is looked
// for; it fits into the buffers of a stream that was idle.
constexpr std::size_t kInlineBodyBytes = 16 * 1024;

// How long a body waits for a 100 (Continue) that was asked for.
constexpr Duration kContinuePatience = std::chrono::seconds(1);

bool expects_body(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

// The first piece, if it can be had without waiting. Dropping a read loses nothing.
std::optional<Result<std::string_view>> read_at_once(Body& body) {
  auto task = body.read();
  task.start(std::noop_coroutine());
  if (!task.done()) return std::nullopt;
  return task.take();
}

}  // namespace

struct ClientConnection::State {
  enum class Phase : std::uint8_t {
    idle,
    exchanging,  // until the response's head
    body,        // of the response
    upgraded,
    ended,  // of no more use
  };

  class ResponseBody final : public Body {
   public:
    explicit ResponseBody(State& state) : state_(state) {}
    rt::Task<Result<std::string_view>> read() override;
    std::optional<std::uint64_t> length() const override { return state_.reader.length(); }
    const codec::Headers* trailers() const override { return state_.reader.trailers(); }

   private:
    State& state_;
  };

  State(rt::Loop& on, std::unique_ptr<net::Stream> over, const Options& with)
      : loop(on),
        stream(std::move(over)),
        options(with),
        buffer(with.read_buffer_bytes),
        parser(with.head_limits),
        reader(on, buffer),
        body_wanted(on),
        source_failed(on),
        sender(on) {}

  void begin(const codec::RequestHead& request, Body* body);
  void encode_head(const codec::RequestHead& request, std::optional<std::uint64_t> length);
  Error end(Error error);
  void response_complete();
  bool start_response();
  bool may_switch() const;
  rt::Task<void> until_wanted();
  rt::Task<void> send(Body& body, std::optional<std::string_view> first);
  rt::Task<bool> send_piece(std::string_view piece);
  bool frame_piece(std::string_view piece, const codec::Headers* trailers);
  void fail_source(Error error);

  rt::Loop& loop;
  const Instant created_at = loop.now();
  std::unique_ptr<net::Stream> stream;
  const Options options;
  ReadBuffer buffer;
  codec::ResponseParser parser;
  BodyReader reader;
  ResponseBody body{*this};
  codec::ResponseHead head;
  Phase phase = Phase::idle;

  // Of the exchange in hand or the last.
  std::uint64_t exchanges = 0;
  bool response_started = false;
  bool close_after = false;
  std::string upgrade_asked;  // the protocols; empty: none
  std::string method;

  // The request.
  std::string out;
  std::array<std::string_view, 3> pieces;
  codec::RequestHead scratch;
  std::optional<std::uint64_t> length_left;  // of the body; nothing: chunked
  std::uint64_t bytes_written = 0;
  bool sent = false;
  rt::Event body_wanted;  // not set: the server is to ask for it first
  std::optional<Error> write_error;
  std::optional<Error> source_error;  // of the request's body
  Signal source_failed;
  rt::Scope sender;  // last: what it runs uses all of the above
};

ClientConnection::ClientConnection(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                                   const Options& options)
    : state_(std::make_unique<State>(loop, std::move(stream), options)) {}

ClientConnection::ClientConnection(rt::Loop& loop, std::unique_ptr<net::Stream> stream)
    : ClientConnection(loop, std::move(stream), Options()) {}

ClientConnection::~ClientConnection() = default;

bool ClientConnection::reusable() const {
  return state_->phase == State::Phase::idle && state_->buffer.empty();
}
bool ClientConnection::reused() const { return state_->exchanges > 1; }
bool ClientConnection::response_started() const { return state_->response_started; }
bool ClientConnection::request_body_failed() const { return state_->source_error.has_value(); }
net::Stream& ClientConnection::stream() { return *state_->stream; }
Instant ClientConnection::created_at() const { return state_->created_at; }

RequestProgress ClientConnection::request_progress() const {
  if (state_->sent) return RequestProgress::complete;
  return state_->bytes_written == 0 ? RequestProgress::unsent : RequestProgress::partial;
}

void ClientConnection::wait_idle(rt::Runnable& waiter) {
  state_->buffer.release();
  state_->stream->wait(net::Interest::read, waiter);
}

bool ClientConnection::idle_alive() {
  char byte = 0;
  return !state_->stream->try_read(std::span(&byte, 1)).has_value();
}

std::unique_ptr<net::Stream> ClientConnection::take_stream() {
  CHECK(state_->phase == State::Phase::upgraded);
  state_->phase = State::Phase::ended;
  return prefixed_stream(state_->loop, std::string(state_->buffer.data()),
                         std::move(state_->stream));
}

rt::Task<bool> ClientConnection::takes_websocket(Instant) { co_return true; }

// The stream was given away: its owner sees to that.
rt::Task<void> ClientConnection::stream_sent() { co_return; }

rt::Task<Result<Response>> ClientConnection::exchange(const codec::RequestHead& head, Body* body,
                                                      ExchangeOptions options) {
  State& self = *state_;
  CHECK(reusable());
  // An exchange that is dropped must not go on sending a body that may be gone.
  struct Guard {
    State& state;
    ~Guard() {
      if (state.phase == State::Phase::exchanging) state.sender.cancel();
    }
  } guard{self};

  // Send the head, with a small body in the same write; a larger one beside what follows.
  self.begin(head, body);
  std::optional<Result<std::string_view>> first;
  const bool on_demand = body != nullptr && codec::expects_continue(head);
  if (body != nullptr && !on_demand) first = read_at_once(*body);
  if (first && !*first) {
    self.fail_source(std::move(*first).error());
    co_return self.end(*self.source_error);
  }
  const bool is_whole = first && self.length_left == (*first)->size();
  if (body == nullptr || (is_whole && (*first)->size() <= kInlineBodyBytes)) {
    self.pieces = {self.out, first ? **first : std::string_view(), {}};
    auto written = co_await TimedWrite(self.loop, *self.stream, self.pieces,
                                       {.deadline = options.deadline}, &self.bytes_written);
    if (!written) co_return self.end(std::move(written).error());
    self.sent = true;
  } else {
    on_demand ? self.body_wanted.clear() : self.body_wanted.set();
    self.sender.spawn(self.send(*body, first ? std::optional(**first) : std::nullopt));
  }

  // Read the response's head.
  for (std::size_t interim = 0;;) {
    const codec::HeadResult result = self.parser.parse(self.buffer.data(), self.head);
    if (result.outcome == codec::HeadResult::Outcome::error) {
      co_return self.end(fail(Code::malformed, std::string(name(result.reason))));
    }
    if (result.outcome == codec::HeadResult::Outcome::complete) {
      self.buffer.consume(result.consumed);
      if (self.head.status >= 200 || self.head.status == 101) break;
      if (self.head.status == 100) {
        self.body_wanted.set();
      } else if (options.interim != nullptr) {
        options.interim->take_interim(self.head);
      }
      if (++interim <= kInterimResponsesMax) continue;
      co_return self.end(fail(Code::malformed, "too many interim responses"));
    }
    auto count = co_await TimedRead(self.loop, *self.stream, self.buffer,
                                    self.options.head_limits.head_bytes_max + 1, options.deadline,
                                    &self.source_failed);
    if (!count) co_return self.end(std::move(count).error());
    if (*count == 0) {
      co_return self.end(fail(Code::closed, "the connection was closed before the response"));
    }
    self.response_started = true;
  }
  if (on_demand && !self.body_wanted.is_set())
    self.sender.cancel();  // it was decided without the body
  if (!self.start_response()) {
    co_return self.end(fail(Code::malformed, "switched protocols without being asked"));
  }
  co_return Response{.head = self.head, .body = self.body};
}

void ClientConnection::State::begin(const codec::RequestHead& request, Body* source) {
  phase = Phase::exchanging;
  ++exchanges;
  response_started = false;
  close_after = request.headers.contains_token("connection", "close");
  upgrade_asked = codec::is_upgrade(request) ? request.headers.get("upgrade").value_or("") : "";
  method = request.method;
  bytes_written = 0;
  sent = false;
  write_error.reset();
  source_error.reset();
  source_failed.clear();
  length_left = source != nullptr ? source->length() : 0;
  out.clear();
  const bool says_length = source != nullptr || expects_body(method);
  encode_head(request, says_length ? length_left : std::nullopt);
}

// Appends the head to `out`, its framing put right: Content-Length if there is a length, chunked if
// the body has none, else nothing.
void ClientConnection::State::encode_head(const codec::RequestHead& request,
                                          std::optional<std::uint64_t> length) {
  const bool chunked = !length_left.has_value();
  const auto said = request.headers.get("content-length");
  const bool said_right = said && length && codec::parse_content_length(*said) == length;
  const codec::RequestHead* source = &request;
  if (request.minor_version != 1 || (said && !said_right) ||
      request.headers.contains("transfer-encoding")) {
    scratch = request;
    scratch.minor_version = 1;
    scratch.headers.remove("transfer-encoding");
    if (!said_right) scratch.headers.remove("content-length");
    source = &scratch;
  }
  codec::append_request_head(out, *source);
  if (chunked) {
    out.resize(out.size() - 2);  // the empty line
    out.append("Transfer-Encoding: chunked\r\n\r\n");
  } else if (length && !said_right) {
    char digits[20];
    const auto [end_of_digits, error] = std::to_chars(digits, digits + sizeof digits, *length);
    out.resize(out.size() - 2);
    out.append("Content-Length: ").append(digits, end_of_digits).append("\r\n\r\n");
  }
}

// The exchange failed. A failure of the request's body, and then of writing it, explains more than
// what reading found.
Error ClientConnection::State::end(Error error) {
  phase = Phase::ended;
  sender.cancel();
  if (source_error) return *source_error;
  if (write_error && !response_started) return *write_error;
  return error;
}

// Whether it is one of the protocols that were asked for.
bool ClientConnection::State::may_switch() const {
  codec::Headers asked;
  asked.append("Upgrade", upgrade_asked);
  const auto chosen = head.headers.get("upgrade");
  return !upgrade_asked.empty() && chosen && asked.contains_token("upgrade", *chosen);
}

// Until the server asks for the body, or has said nothing for a while: it may not know of Expect
// (RFC 9110 §10.1.1).
rt::Task<void> ClientConnection::State::until_wanted() {
  const Instant patience = loop.now() + kContinuePatience;
  co_await rt::race(body_wanted.wait(), rt::until(loop, patience));
  body_wanted.set();
}

// With the head read. False for an answer that nobody asked for.
bool ClientConnection::State::start_response() {
  const codec::BodyFraming framing = codec::body_framing(head, method);
  switch (framing.kind) {
    case codec::BodyFraming::Kind::tunnel:
      if (head.status == 101 && !may_switch()) return false;
      phase = Phase::upgraded;
      reader.start(*stream, {}, options.head_limits, 0);
      return true;
    case codec::BodyFraming::Kind::until_close: close_after = true; break;
    case codec::BodyFraming::Kind::none:
    case codec::BodyFraming::Kind::length:
    case codec::BodyFraming::Kind::chunked: break;
  }
  if (!codec::keep_alive(head)) close_after = true;
  phase = Phase::body;
  reader.start(*stream, framing, options.head_limits, UINT64_MAX);
  if (reader.done()) response_complete();
  return true;
}

// What is left of the request then is wanted by nobody.
void ClientConnection::State::response_complete() {
  sender.cancel();
  phase = sent && !close_after ? Phase::idle : Phase::ended;
}

rt::Task<Result<std::string_view>> ClientConnection::State::ResponseBody::read() {
  auto piece = co_await state_.reader.read(Duration::max(), &state_.source_failed);
  if (!piece) co_return state_.end(std::move(piece).error());
  if (state_.phase == Phase::body && state_.reader.done()) state_.response_complete();
  co_return piece;
}

// Sends the head and the body, beside the reading of the response. When writing fails the response
// may still be there to be read: a server that refuses a body answers first and closes then.
rt::Task<void> ClientConnection::State::send(Body& source, std::optional<std::string_view> first) {
  if (!first && !co_await send_piece({})) co_return;  // the head alone: the body takes its time
  if (!body_wanted.is_set()) co_await until_wanted();
  rt::Fairness fairness(loop);
  for (;;) {
    co_await fairness.pass();
    if (!first) {
      auto piece = co_await source.read();
      if (!piece) {
        fail_source(std::move(piece).error());
        co_return;
      }
      first = *piece;
    }
    const bool last = first->empty();
    if (!frame_piece(*first, last ? source.trailers() : nullptr)) {
      fail_source(fail(Code::internal, "the body is not as long as it said"));
      co_return;
    }
    if (!co_await send_piece(*first)) co_return;
    first.reset();
    if (last) break;
  }
  sent = true;
}

// Appends what must go before the piece; the empty piece is the body's end. False when there is
// more, or less, than the length that was said.
bool ClientConnection::State::frame_piece(std::string_view piece, const codec::Headers* trailers) {
  if (length_left) {
    if (piece.empty() ? *length_left > 0 : piece.size() > *length_left) return false;
    *length_left -= piece.size();
  } else if (piece.empty()) {
    codec::append_last_chunk(out, trailers != nullptr ? *trailers : codec::Headers());
  } else {
    codec::append_chunk_header(out, piece.size());
  }
  return true;
}

rt::Task<bool> ClientConnection::State::send_piece(std::string_view piece) {
  const bool chunk = !length_left && !piece.empty();
  pieces = {out, piece, chunk ? "\r\n" : ""};
  auto written = co_await TimedWrite(loop, *stream, pieces, {}, &bytes_written);
  out.clear();
  if (!written) write_error = std::move(written).error();
  co_return !write_error.has_value();
}

void ClientConnection::State::fail_source(Error error) {
  source_error = std::move(error);
  source_failed.raise();
}

}  // namespace tulle::http
