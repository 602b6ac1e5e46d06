#include "codec/http2.h"
#include "base/random.h"
#include "http/http2_client.h"
#include "http/server.h"
#include "http/test_wire.h"
#include "net/memory_pipe.h"
#include "rt/combine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace tulle::http {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Each path is one way to answer.
class Paths final : public Handler {
 public:
  explicit Paths(rt::Loop& loop) : loop_(loop) {}

  rt::Task<void> handle(Request& request, Exchange& exchange) override {
    last = request.head;
    EXPECT_TRUE(request.http2);
    const std::string_view path = request.head.target;
    if (path == "/mirror") return mirror(request, exchange);
    if (path == "/hang") return hang(exchange);
    if (path == "/flood") return flood(exchange);
    if (path == "/half") return half(exchange);
    if (path == "/hints") return hints(exchange);
    if (path == "/unread") return answer(exchange, "not read");
    if (path == "/silent") return silent(request);
    if (path == "/later") return later(exchange);
    return answer(exchange, "hello");
  }

  codec::RequestHead last;
  int gone = 0;
  std::uint64_t flooded = 0;

 private:
  static rt::Task<void> answer(Exchange& exchange, std::string_view text) {
    static_cast<void>(co_await exchange.send({.headers = {{"Via", "test"}}}, text));
  }
  static rt::Task<void> hints(Exchange& exchange) {
    // More than a client takes.
    for (std::size_t i = 0; i <= kInterimResponsesMax; ++i) exchange.send_interim({.status = 103});
    co_await answer(exchange, "hello");
  }
  static rt::Task<void> mirror(Request& request, Exchange& exchange) {
    static_cast<void>(co_await exchange.start({.status = 201}));
    for (;;) {
      const auto piece = co_await request.body.read();
      if (!piece) co_return exchange.abort();
      if (piece->empty()) break;
      if (!co_await exchange.write(*piece)) co_return;
    }
    static_cast<void>(co_await exchange.finish(request.body.trailers()));
  }
  rt::Task<void> hang(Exchange& exchange) {
    co_await exchange.client_gone();
    ++gone;
  }
  rt::Task<void> flood(Exchange& exchange) {
    const std::string piece(64 * 1024, 'f');
    static_cast<void>(co_await exchange.start({}));
    while (co_await exchange.write(piece)) flooded += piece.size();
  }
  static rt::Task<void> half(Exchange& exchange) {
    static_cast<void>(co_await exchange.start({}));
    static_cast<void>(co_await exchange.write("half of it"));
  }
  static rt::Task<void> silent(Request& request) {
    static_cast<void>(co_await read_all(request.body, 1 << 20));
  }
  rt::Task<void> later(Exchange& exchange) {
    co_await rt::sleep(loop_, 5s);
    co_await answer(exchange, "late");
  }

  rt::Loop& loop_;
};

// What came of one request.
struct Outcome {
  int status = 0;
  std::string body = {};
  codec::Headers trailers = {};
  std::string error = {};
  RequestProgress progress = RequestProgress::unsent;
  bool done = false;
};

class Http2Test : public testing::Test {
 protected:
  Http2Test() { connect(); }

  // A client and a server with a pipe of a few kilobytes between them.
  void connect() {
    net::StreamPair pair = net::memory_pipe(sim.loop, 4000);
    serving.spawn(serve_connection(sim.loop, std::move(pair.b), paths, options, {.drain = &drain}));
    client = std::make_unique<Http2Client>(sim.loop, std::move(pair.a));
  }
  // The same, but the test itself is the client.
  std::unique_ptr<Wire> connect_raw() {
    net::StreamPair pair = net::memory_pipe(sim.loop, 1 << 20);
    serving.spawn(serve_connection(sim.loop, std::move(pair.b), paths, options, {.drain = &drain}));
    return std::make_unique<Wire>(sim, std::move(pair.a));
  }

  static codec::RequestHead get(std::string_view path) {
    return {.method = "GET", .target = std::string(path), .headers = {{"Host", "test"}}};
  }

  static rt::Task<void> run(Channel& channel, const codec::RequestHead& head, Body* body,
                            Instant deadline, Outcome& outcome) {
    auto response = co_await channel.exchange(head, body, {.deadline = deadline});
    outcome.progress = channel.request_progress();
    if (response) {
      outcome.status = response->head.status;
      for (;;) {
        const auto piece = co_await response->body.read();
        if (!piece) outcome.error = piece.error().message;
        if (!piece || piece->empty()) break;
        outcome.body += *piece;
      }
      if (response->body.trailers() != nullptr) outcome.trailers = *response->body.trailers();
    } else {
      outcome.error = response.error().message;
    }
    outcome.done = true;
  }

  // A request that is under way.
  struct Call {
    Call(Http2Test& test, codec::RequestHead what, Body* body = nullptr, Instant deadline = kNever)
        : head(std::move(what)), channel(test.client->open()), scope(test.sim.loop) {
      scope.spawn(run(*channel, head, body, deadline, outcome));
      test.sim.settle();
    }
    codec::RequestHead head;
    std::unique_ptr<Channel> channel;
    Outcome outcome;
    rt::Scope scope;
  };

  Outcome ask(codec::RequestHead head, Body* body = nullptr) {
    const Call call(*this, std::move(head), body);
    EXPECT_TRUE(call.outcome.done);
    return call.outcome;
  }

  Sim sim;
  Paths paths{sim.loop};
  ServerOptions options;
  Drain drain{sim.loop};
  rt::Scope serving{sim.loop};
  std::unique_ptr<Http2Client> client;
};

// Pieces that do not tell their length, and what comes behind them.
class PiecesBody final : public Body {
 public:
  PiecesBody(std::vector<std::string> pieces, codec::Headers trailers)
      : pieces_(std::move(pieces)), trailers_(std::move(trailers)) {}
  rt::Task<Result<std::string_view>> read() override {
    if (next_ == pieces_.size()) co_return std::string_view();
    co_return pieces_[next_++];
  }
  std::optional<std::uint64_t> length() const override { return std::nullopt; }
  const codec::Headers* trailers() const override { return &trailers_; }

 private:
  std::vector<std::string> pieces_;
  codec::Headers trailers_;
  std::size_t next_ = 0;
};

TEST_F(Http2Test, answers_requests_side_by_side_on_one_connection) {
  Call hanging(*this, get("/hang"));
  const Outcome outcome = ask(get("/hello"));
  EXPECT_EQ(outcome.status, 200);
  EXPECT_EQ(outcome.body, "hello");
  EXPECT_EQ(paths.last.headers.get("host"), "test");
  EXPECT_FALSE(hanging.outcome.done);
  EXPECT_EQ(client->streams(), 1U);
}

TEST_F(Http2Test, carries_bodies_and_trailers_both_ways) {
  PiecesBody body({"one ", "two ", std::string(300'000, 'x')}, {{"X-Sum", "42"}});
  codec::RequestHead head = get("/mirror");
  head.method = "POST";
  const Outcome outcome = ask(head, &body);
  EXPECT_EQ(outcome.status, 201);
  EXPECT_EQ(outcome.body, "one two " + std::string(300'000, 'x'));
  EXPECT_EQ(outcome.trailers.get("x-sum"), "42");
}

TEST_F(Http2Test, leaves_out_the_fields_of_a_connection) {
  codec::RequestHead head = get("/hello");
  head.headers.append("Connection", "keep-alive");
  head.headers.append("Keep-Alive", "timeout=5");
  head.headers.append("X-Kept", "yes");
  EXPECT_EQ(ask(head).status, 200);
  EXPECT_FALSE(paths.last.headers.contains("connection"));
  EXPECT_FALSE(paths.last.headers.contains("keep-alive"));
  EXPECT_EQ(paths.last.headers.get("x-kept"), "yes");
}

TEST_F(Http2Test, a_head_request_and_a_204_have_no_body) {
  codec::RequestHead head = get("/hello");
  head.method = "HEAD";
  const Outcome outcome = ask(head);
  EXPECT_EQ(outcome.status, 200);
  EXPECT_EQ(outcome.body, "");
  EXPECT_EQ(outcome.error, "");
}

TEST_F(Http2Test, a_writer_waits_for_a_reader_that_is_far_away) {
  const std::unique_ptr<Channel> channel = client->open();
  const codec::RequestHead head = get("/flood");
  rt::Scope scope(sim.loop);
  bool answered = false;
  scope.spawn([](Channel& to, const codec::RequestHead& what, bool& done) -> rt::Task<void> {
    done = (co_await to.exchange(what, nullptr, {})).has_value();
  }(*channel, head, answered));
  sim.settle();
  EXPECT_TRUE(answered);
  // Nobody reads the body: the stream's window and the piece in hand, and no more.
  EXPECT_LE(paths.flooded, 3 * 256U * 1024U);
  EXPECT_EQ(ask(get("/hello")).body, "hello");  // others are not held up
}

TEST_F(Http2Test, a_dropped_request_is_cancelled_at_the_server) {
  {
    const Call call(*this, get("/hang"));
    EXPECT_EQ(paths.gone, 0);
  }
  sim.settle();
  EXPECT_EQ(paths.gone, 1);
  EXPECT_EQ(client->streams(), 0U);
  EXPECT_EQ(ask(get("/hello")).status, 200);
}

TEST_F(Http2Test, a_response_that_breaks_off_is_no_complete_one) {
  const Outcome outcome = ask(get("/half"));
  EXPECT_EQ(outcome.status, 200);
  EXPECT_EQ(outcome.body, "half of it");
  EXPECT_THAT(outcome.error, HasSubstr("reset"));
}

TEST_F(Http2Test, a_flood_of_interim_responses_is_no_response) {
  EXPECT_EQ(ask(get("/hints")).error, "too many interim responses");
  EXPECT_EQ(ask(get("/hello")).body, "hello");
}

TEST_F(Http2Test, a_body_that_nobody_reads_is_called_off) {
  PiecesBody body(std::vector<std::string>(100, std::string(16'000, 'x')), {});
  codec::RequestHead head = get("/unread");
  head.method = "POST";
  const Outcome outcome = ask(head, &body);
  EXPECT_EQ(outcome.status, 200);
  EXPECT_EQ(outcome.body, "not read");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask(get("/hello")).body, "hello");
}

TEST_F(Http2Test, a_body_beyond_its_limit_is_413) {
  options.body_bytes_max = 1000;
  connect();
  PiecesBody body({std::string(1001, 'x')}, {});
  codec::RequestHead head = get("/silent");
  head.method = "POST";
  EXPECT_EQ(ask(head, &body).status, 413);
  StringBody known(std::string(1001, 'x'));
  head.headers.append("Content-Length", "1001");
  EXPECT_EQ(ask(head, &known).status, 413);
}

TEST_F(Http2Test, a_head_beyond_its_limit_is_431) {
  options.head_limits.head_bytes_max = 2000;
  connect();
  codec::RequestHead head = get("/hello");
  head.headers.append("X-Long", std::string(3000, 'x'));
  EXPECT_EQ(ask(head).status, 431);
  EXPECT_EQ(ask(get("/hello")).status, 200);
}

TEST_F(Http2Test, a_deadline_ends_a_wait_for_the_head) {
  Call call(*this, get("/later"), nullptr, sim.loop.now() + 1s);
  sim.advance(2s);
  EXPECT_TRUE(call.outcome.done);
  EXPECT_THAT(call.outcome.error, HasSubstr("in time"));
}

TEST_F(Http2Test, a_drain_finishes_what_is_under_way_and_takes_nothing_new) {
  Call call(*this, get("/later"));
  drain.request();
  sim.settle();
  EXPECT_FALSE(client->usable());
  EXPECT_EQ(serving.size(), 1U);
  sim.advance(6s);
  EXPECT_EQ(call.outcome.body, "late");
  EXPECT_EQ(serving.size(), 0U);
}

TEST_F(Http2Test, an_idle_connection_is_closed_by_the_client_in_time) {
  EXPECT_EQ(ask(get("/hello")).status, 200);
  sim.advance(49s);
  EXPECT_TRUE(client->usable());
  sim.advance(3s);
  EXPECT_FALSE(client->usable());
  EXPECT_EQ(serving.size(), 0U);
}

TEST_F(Http2Test, a_server_that_is_gone_fails_every_request) {
  Call first(*this, get("/hang"));
  Call second(*this, get("/hang"));
  serving.cancel();
  sim.settle();
  EXPECT_TRUE(first.outcome.done && second.outcome.done);
  EXPECT_FALSE(client->usable());
}

TEST_F(Http2Test, a_preface_may_arrive_byte_by_byte) {
  const auto wire = connect_raw();
  wire->say_byte_by_byte(codec::http2_preface);
  wire->say_byte_by_byte(std::string("\0\0\0\4\0\0\0\0\0", 9));  // SETTINGS, empty
  const std::string heard = wire->hear();
  ASSERT_GE(heard.size(), 9U);
  EXPECT_EQ(heard[3], 4);  // SETTINGS in return
  EXPECT_FALSE(wire->ended());
}

TEST_F(Http2Test, an_idle_connection_is_closed_by_the_server_in_time) {
  options.idle_timeout = 10s;
  const auto wire = connect_raw();
  wire->say(codec::http2_preface);
  wire->say(std::string("\0\0\0\4\0\0\0\0\0", 9));
  wire->hear();
  sim.advance(11s);
  EXPECT_EQ(wire->hear()[3], 7);  // GOAWAY
  EXPECT_TRUE(wire->ended());
}

TEST_F(Http2Test, nonsense_ends_the_connection_with_a_goaway) {
  const auto wire = connect_raw();
  wire->say(codec::http2_preface);
  wire->say(std::string("\0\0\0\4\0\0\0\0\0", 9));
  wire->hear();
  wire->say(std::string("\0\0\5\0\0\0\0\0\0hello", 14));  // DATA on stream 0
  EXPECT_EQ(wire->hear()[3], 7);
  EXPECT_TRUE(wire->ended());
}

TEST_F(Http2Test, a_client_that_resets_all_it_asks_for_is_sent_away) {
  for (int i = 0; i < 5000 && client->usable(); ++i) const Call call(*this, get("/hang"));
  EXPECT_FALSE(client->usable());
  EXPECT_EQ(serving.size(), 0U);
}

std::string frame(std::string_view payload, char type, char flags, std::uint32_t stream) {
  std::string bytes;
  for (int shift : {16, 8, 0}) bytes.push_back(static_cast<char>(payload.size() >> shift));
  bytes.push_back(type);
  bytes.push_back(flags);
  for (int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(stream >> shift));
  return bytes.append(payload);
}

// What a client can send without end for nothing in return: until it is sent away.
class Http2FloodTest : public Http2Test {
 protected:
  static constexpr char headers = 1, rst_stream = 3, settings = 4, ping = 6, continuation = 9;
  static constexpr char end_stream = 1, end_headers = 4;
  static constexpr int enough = 20000;

  // GET / of host test.
  static std::string head() {
    return std::string("\x82\x86\x84", 3) + std::string("\x01\x04test", 6);
  }
  // How many of `next(i)` were sent until the connection ended; `enough` if it did not.
  template <class Next>
  int flood(Next next) {
    const auto wire = connect_raw();
    wire->say(std::string(codec::http2_preface) + frame("", settings, 0, 0));
    for (int i = 0; i < enough; ++i) {
      wire->say(next(i));
      wire->hear();
      if (wire->ended()) return i;
    }
    return enough;
  }
};

TEST_F(Http2FloodTest, of_streams_that_are_reset_at_once_ends) {
  const int sent = flood([](int i) {
    const auto id = static_cast<std::uint32_t>(2 * i + 1);
    return frame(head(), headers, end_stream | end_headers, id) +
           frame(std::string(4, '\0'), rst_stream, 0, id);
  });
  EXPECT_LT(sent, 5000);
}

TEST_F(Http2FloodTest, of_continuations_ends_with_the_limit_of_a_head) {
  const std::string piece = std::string("\0\1x\x7f\x81\x06", 6) + std::string(1000, 'y');
  const int sent = flood([&](int i) {
    if (i == 0) return frame(head(), headers, end_stream, 1);
    return frame(piece, continuation, 0, 1);
  });
  EXPECT_LT(sent, 200) << "a head may have 64 KB";
}

TEST_F(Http2FloodTest, of_empty_continuations_ends) {
  const int sent = flood([](int i) {
    if (i == 0) return frame(head(), headers, end_stream, 1);
    return frame("", continuation, 0, 1);
  });
  EXPECT_LT(sent, 200);
}

TEST_F(Http2FloodTest, of_settings_or_pings_ends_when_nobody_reads_the_acknowledgements) {
  for (const char type : {settings, ping}) {
    net::StreamPair pair = net::memory_pipe(sim.loop, 4000);
    const std::size_t before = serving.size();
    serving.spawn(serve_connection(sim.loop, std::move(pair.b), paths, options, {}));
    Wire wire(sim, std::move(pair.a));
    wire.say(std::string(codec::http2_preface) + frame("", settings, 0, 0));
    const std::string one = frame(type == ping ? "12345678" : "", type, 0, 0);
    int sent = 0;
    while (sent < enough && serving.size() > before) {
      wire.say(one);
      ++sent;
      if (sent % 1000 == 0) sim.advance(options.linger_timeout);
    }
    EXPECT_LT(sent, 5000) << static_cast<int>(type);
  }
}

// Slower than that nobody is, and nothing else is heard meanwhile: neither the end of other streams
// nor a ping.
TEST_F(Http2FloodTest, a_head_that_takes_too_long_ends_the_connection_whatever_else_is_open) {
  const std::string hanging =
      std::string("\x82\x86\x04\x05/hang", 9) + std::string("\x01\x04test", 6);
  const std::string first = head().substr(0, 3);
  const std::string endings[] = {
      frame(first, headers, end_stream, 3),                               // no CONTINUATION
      frame(head(), headers, end_stream | end_headers, 3).substr(0, 12),  // half a frame
  };
  for (const std::string& stalled : endings) {
    const auto wire = connect_raw();
    wire->say(std::string(codec::http2_preface) + frame("", settings, 0, 0));
    wire->say(frame(hanging, headers, end_stream | end_headers, 1));
    sim.advance(10min);
    wire->hear();
    EXPECT_FALSE(wire->ended()) << "a stream may take its time";
    wire->say(stalled);
    sim.advance(options.head_timeout - 1s);
    EXPECT_FALSE((wire->hear(), wire->ended()));
    if (&stalled == &endings[0]) wire->say(frame("", continuation, 0, 3));  // that helps nothing
    sim.advance(1s);
    const std::string heard = wire->hear();
    EXPECT_TRUE(wire->ended());
    EXPECT_THAT(heard, HasSubstr(std::string("\0\0\0\x0b", 4))) << "ENHANCE_YOUR_CALM";
    EXPECT_EQ(serving.size(), 0U) << "with what was open on it";
  }
}

TEST_F(Http2FloodTest, a_head_in_pieces_that_comes_in_time_is_one) {
  const auto wire = connect_raw();
  wire->say(std::string(codec::http2_preface) + frame("", settings, 0, 0));
  for (std::uint32_t id = 1; id < 9; id += 2) {
    wire->say(frame(head().substr(0, 3), headers, end_stream, id));
    sim.advance(options.head_timeout - 1s);
    wire->say(frame(head().substr(3), continuation, end_headers, id));
    EXPECT_THAT(wire->hear(), HasSubstr("hello"));
  }
  EXPECT_FALSE(wire->ended());
}

// Every request gets one answer, whatever is dropped, drained or cut in between.
TEST_F(Http2Test, every_request_ends_once_under_random_cuts) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    connect();
    std::vector<std::unique_ptr<Call>> calls;
    std::vector<std::unique_ptr<PiecesBody>> bodies;
    const std::vector<std::string_view> targets = {"/hello", "/mirror", "/later", "/half"};
    for (int step = 0; step < 40 && client->usable(); ++step) {
      codec::RequestHead head = get(targets[random.below(targets.size())]);
      Body* body = nullptr;
      if (random.below(2) == 0) {
        head.method = "POST";
        bodies.push_back(std::make_unique<PiecesBody>(
            std::vector<std::string>(random.below(5), std::string(1 + random.below(30'000), 'b')),
            codec::Headers{}));
        body = bodies.back().get();
      }
      calls.push_back(std::make_unique<Call>(*this, head, body));
      if (random.below(6) == 0)
        calls.erase(calls.begin() + static_cast<long>(random.below(calls.size())));
      if (random.below(60) == 0) serving.cancel();
    }
    sim.advance(10s);
    for (const auto& call : calls) EXPECT_TRUE(call->outcome.done) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tulle::http
