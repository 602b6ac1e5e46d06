#include "http/server.h"

#include "http/date.h"
#include "http/test_wire.h"
#include "rt/combine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace tulle::http {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

// Each path is one way to answer.
class Paths final : public Handler {
 public:
  explicit Paths(rt::Loop& loop) : loop_(loop) {}

  rt::Task<void> handle(Request& request, Exchange& exchange) override {
    ++handled;
    const std::string_view path = request.head.target;
    if (path == "/hello") return hello(exchange, "hello");
    if (path == "/echo") return echo(request, exchange);
    if (path == "/mirror") return mirror(request, exchange);
    if (path == "/chunks") return chunks(exchange, {.status = 200, .headers = {}});
    if (path == "/sized") return chunks(exchange, {.headers = {{"Content-Length", "6"}}});
    if (path == "/short") return chunks(exchange, {.headers = {{"Content-Length", "7"}}});
    if (path == "/half") return half(exchange);
    if (path == "/slow") return slow(exchange);
    if (path == "/last") return last(exchange);
    if (path == "/hints") return hints(request, exchange);
    if (path == "/none") return status(exchange, 204);
    if (path == "/same") return status(exchange, 304);
    if (path == "/watch") return watch(request, exchange);
    if (path == "/raw") return raw(exchange);
    if (path == "/flood") return flood(exchange);
    return read_only(request);
  }

  int handled = 0;
  int gone = 0;
  std::vector<Code> errors;
  std::size_t flooded = 0;

 private:
  rt::Task<void> hello(Exchange& exchange, std::string_view text) {
    static_cast<void>(co_await exchange.send({.headers = {{"A", "b"}}}, text));
  }
  rt::Task<void> echo(Request& request, Exchange& exchange) {
    const auto body = co_await read_all(request.body, 1 << 20);
    if (body) {
      static_cast<void>(co_await exchange.send({}, *body));
    } else {
      errors.push_back(body.error().code);
    }
  }
  rt::Task<void> mirror(Request& request, Exchange& exchange) {
    static_cast<void>(co_await exchange.start({}, Exchange::Flush::with_first_write));
    for (;;) {
      const auto piece = co_await request.body.read();
      if (!piece) co_return exchange.abort();
      if (piece->empty()) break;
      static_cast<void>(co_await exchange.write(*piece));
    }
    static_cast<void>(co_await exchange.finish());
  }
  rt::Task<void> chunks(Exchange& exchange, codec::ResponseHead head) {
    static_cast<void>(co_await exchange.start(head));
    static_cast<void>(co_await exchange.write("one"));
    const std::array<std::string_view, 2> pieces = {"t", "wo"};
    static_cast<void>(co_await exchange.write(pieces));
    static_cast<void>(co_await exchange.finish());
  }
  rt::Task<void> half(Exchange& exchange) {
    static_cast<void>(co_await exchange.start({}));
    static_cast<void>(co_await exchange.write("one"));
  }
  rt::Task<void> slow(Exchange& exchange) {
    co_await rt::sleep(loop_, 5s);
    co_await hello(exchange, "slow");
  }
  rt::Task<void> hints(Request& request, Exchange& exchange) {
    exchange.send_interim({.status = 103, .headers = {{"Link", "x"}}});
    static_cast<void>(co_await read_all(request.body, 100));
    co_await hello(exchange, "hello");
    exchange.send_interim({.status = 103, .headers = {{"Link", "too late"}}});
  }
  rt::Task<void> last(Exchange& exchange) {
    static_cast<void>(co_await exchange.send({.headers = {{"Connection", "close"}}}, "bye"));
  }
  rt::Task<void> status(Exchange& exchange, int number) {
    static_cast<void>(co_await exchange.send({.status = number, .headers = {}}, "not for you"));
  }
  static rt::Task<void> events(rt::Loop& loop, Exchange& exchange) {
    for (;;) {
      co_await rt::sleep(loop, 1s);
      static_cast<void>(co_await exchange.write("event\n"));
    }
  }
  rt::Task<void> watch(Request& request, Exchange& exchange) {
    static_cast<void>(co_await read_all(request.body, 100));
    static_cast<void>(co_await exchange.start({}));
    co_await rt::race(exchange.client_gone(), events(loop_, exchange));
    ++gone;
  }
  rt::Task<void> raw(Exchange& exchange) {
    auto stream = co_await exchange.upgrade(
        {.status = 101, .headers = {{"Connection", "upgrade"}, {"Upgrade", "raw"}}});
    for (char bytes[8];;) {
      const auto count = co_await net::read(**stream, bytes);
      if (!count || *count == 0) co_return;
      static_cast<void>(co_await net::write_all(**stream, {bytes, *count}));
    }
  }
  rt::Task<void> flood(Exchange& exchange) {
    static_cast<void>(co_await exchange.start({}));
    const std::string piece(1000, 'x');
    for (;;) {
      const auto written = co_await exchange.write(piece);
      if (!written) {
        errors.push_back(written.error().code);
        co_return;
      }
      ++flooded;
    }
  }
  rt::Task<void> read_only(Request& request) {
    static_cast<void>(co_await read_all(request.body, 1 << 20));
  }

  rt::Loop& loop_;
};

ServerOptions without_date() {
  ServerOptions options;
  options.date = false;
  return options;
}

struct Served : Sim {
  explicit Served(ServerOptions with = without_date()) : options(std::move(with)) {
    tasks.spawn(serve_connection(loop, std::move(pipe.b), paths, options));
  }
  bool done() {
    settle();
    return tasks.size() == 0;
  }

  ServerOptions options;
  Paths paths{loop};
  net::StreamPair pipe = net::memory_pipe(loop);
  Wire client{*this, std::move(pipe.a)};
  rt::Scope tasks{loop};
};

constexpr std::string_view kHello = "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\nhello";

struct Row {
  std::string_view what;
  std::string request;
  std::string response;
  bool closes = false;
};

std::string operator+(std::string_view a, std::string_view b) { return std::string(a).append(b); }

std::string refusal(std::string_view status, std::string_view why) {
  const std::string body = status + ": " + why + "\n";
  return "HTTP/1.1 " + status + "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
}

std::vector<Row> rows() {
  return {
      {"keep-alive", "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", std::string(kHello)},
      {"pipelined requests are answered in order",
       "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
       "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /chunks HTTP/1.1\r\nHost: a\r\n\r\n",
       "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc" + kHello +
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n"
           "0\r\n\r\n"},
      {"chunked both ways",
       "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
       "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n",
       "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nabc0123456789"},
      {"a length that the handler gives", "GET /sized HTTP/1.1\r\nHost: a\r\n\r\n",
       "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nonetwo"},
      {"HEAD has the fields and no body",
       "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nHEAD /sized HTTP/1.1\r\nHost: a\r\n\r\n"
       "HEAD /chunks HTTP/1.1\r\nHost: a\r\n\r\n",
       "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n"
       "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
       "HTTP/1.1 200 OK\r\n\r\n"},
      {"204 and 304 have no body",
       "GET /none HTTP/1.1\r\nHost: a\r\n\r\nGET /same HTTP/1.1\r\nHost: a\r\n\r\n",
       "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n"},
      {"a client that asks to close", "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
       "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", true},
      {"a handler that asks to close", "GET /last HTTP/1.1\r\nHost: a\r\n\r\n",
       "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbye", true},
      {"HTTP/1.0 closes", "GET /hello HTTP/1.0\r\n\r\n",
       "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", true},
      {"HTTP/1.0 with keep-alive", "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
       "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"},
      {"HTTP/1.0 has no chunks", "GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
       "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nonetwo", true},
      {"100-continue is sent when the body is wanted",
       "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"},
      {"interim responses come before the response",
       "GET /hints HTTP/1.1\r\nHost: a\r\n\r\n"
       "POST /hints HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
       "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + kHello +
           "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + kHello},
      {"HTTP/1.0 has no interim responses", "GET /hints HTTP/1.0\r\n\r\n",
       "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", true},
      {"an unwanted body is skipped",
       "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd"
       "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
       kHello + kHello},
      {"a handler without an answer", "GET /silent HTTP/1.1\r\nHost: a\r\n\r\n",
       refusal("500 Internal Server Error", "the handler gave no answer"), true},
      {"a response that is broken off", "GET /half HTTP/1.1\r\nHost: a\r\n\r\n",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n", true},
      {"a response that is shorter than it said", "GET /short HTTP/1.1\r\nHost: a\r\n\r\n",
       "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nonetwo", true},
      {"a body that is broken",
       "POST /silent HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx",
       refusal("400 Bad Request", "bad_chunk_size"), true},
      {"no Host", "GET /hello HTTP/1.1\r\n\r\n", refusal("400 Bad Request", "missing_host"), true},
      {"length beside chunked",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       refusal("400 Bad Request", "length_with_chunked"), true},
      {"an unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
       refusal("501 Not Implemented", "unsupported_transfer_coding"), true},
      {"a target too long", "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
       refusal("414 URI Too Long", "target_too_long"), true},
      {"a head too large",
       "GET / HTTP/1.1\r\nHost: a\r\nA: " + std::string(70'000, 'a') + "\r\n\r\n",
       refusal("431 Request Header Fields Too Large", "head_too_large"), true},
  };
}

TEST(Server, answers_as_the_table_says_however_the_bytes_arrive) {
  for (const auto& row : rows()) {
    for (const bool at_once : {true, false}) {
      SCOPED_TRACE(row.what + (at_once ? ", at once" : ", byte by byte"));
      Served served;
      std::string heard;
      if (at_once) {
        for (std::string_view left = row.request; !left.empty();) {
          served.client.say(left.substr(0, 60'000));
          left.remove_prefix(std::min<std::size_t>(left.size(), 60'000));
        }
        heard = served.client.hear();
      } else {
        for (const char byte : row.request) {
          served.client.say({&byte, 1});
          heard += served.client.hear();
          if (served.client.ended()) break;
        }
      }
      EXPECT_EQ(heard, row.response);
      EXPECT_EQ(served.client.ended(), row.closes);
      served.client.close();
      EXPECT_TRUE(served.done());
    }
  }
}

TEST(Server, what_a_slow_client_does_not_take_of_interim_responses_comes_before_the_response) {
  struct Hints final : Handler {
    rt::Task<void> handle(Request&, Exchange& exchange) override {
      for (int i = 0; i < 3; ++i) {
        exchange.send_interim({.status = 103, .headers = {{"Link", std::string(3000, 'x')}}});
      }
      static_cast<void>(co_await exchange.send({}, "hello"));
    }
  } handler;
  Sim sim;
  net::StreamPair pipe = net::memory_pipe(sim.loop, 4000);
  Wire client(sim, std::move(pipe.a));
  const ServerOptions options = without_date();
  rt::Scope serving(sim.loop);
  serving.spawn(serve_connection(sim.loop, std::move(pipe.b), handler, options));
  client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string hint =
      "HTTP/1.1 103 Early Hints\r\nLink: " + std::string(3000, 'x') + "\r\n\r\n";
  EXPECT_EQ(client.hear(),
            hint + hint + hint + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

TEST(Server, adds_the_date) {
  Served served{ServerOptions{}};
  served.client.say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(served.client.hear(), HasSubstr("\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\n"));
  EXPECT_EQ(http_date(WallTime(784111777s)), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(Server, refuses_bodies_beyond_the_limit) {
  auto options = without_date();
  options.body_bytes_max = 3;
  Served sized(options);
  sized.client.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(sized.client.hear(), refusal("413 Content Too Large", "body is too large"));
  EXPECT_TRUE(sized.client.ended());
  EXPECT_EQ(sized.paths.handled, 0);

  Served chunked(options);
  chunked.client.say(
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n");
  EXPECT_THAT(chunked.client.hear(), StartsWith("HTTP/1.1 413 "));
  EXPECT_EQ(chunked.paths.errors, std::vector{Code::exhausted});
}

TEST(Server, closes_idle_connections_in_silence_and_slow_heads_with_408) {
  Served idle;
  idle.advance(idle.options.idle_timeout - 1s);
  EXPECT_EQ(idle.client.hear(), "");
  EXPECT_FALSE(idle.client.ended());
  idle.advance(1s);
  EXPECT_EQ(idle.client.hear(), "");
  EXPECT_TRUE(idle.client.ended());

  Served slow;
  slow.client.say("GET /hello HT");
  slow.advance(slow.options.head_timeout - 1s);
  slow.client.say("TP/1.1");
  EXPECT_FALSE(slow.client.ended());
  slow.advance(1s);
  EXPECT_THAT(slow.client.hear(), StartsWith("HTTP/1.1 408 "));
  EXPECT_TRUE(slow.client.ended());
}

TEST(Server, gives_up_on_a_body_that_does_not_come) {
  Served served;
  served.client.say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  served.advance(served.options.body_timeout);
  EXPECT_EQ(served.paths.errors, std::vector{Code::timed_out});
  EXPECT_THAT(served.client.hear(), StartsWith("HTTP/1.1 408 "));
}

TEST(Server, stops_writing_to_a_client_that_does_not_read) {
  Served served;
  served.client.say("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
  served.settle();
  EXPECT_LT(served.paths.flooded, 70U);  // the pipe holds 64 KiB: back-pressure
  served.advance(served.options.write_timeout);
  EXPECT_EQ(served.paths.errors, std::vector{Code::timed_out});
  EXPECT_TRUE(served.done());
}

TEST(Server, answers_a_client_that_has_closed_its_half) {
  Served served;
  served.client.say("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  served.client.half_close();
  served.advance(5s);
  EXPECT_THAT(served.client.hear(), testing::EndsWith("slow"));
  EXPECT_TRUE(served.client.ended());

  Served broken;
  broken.client.say("GET /slow HTTP");
  broken.client.half_close();
  EXPECT_THAT(broken.client.hear(), StartsWith("HTTP/1.1 400 "));
}

TEST(Server, does_not_ask_for_a_body_that_the_handler_does_not_want) {
  Served served;
  served.client.say(
      "POST /hello HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(served.client.hear(),
            "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
  EXPECT_TRUE(served.client.ended());
}

TEST(Server, closes_where_too_much_body_is_left_unread) {
  Served served;
  served.client.say("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\nabc");
  EXPECT_THAT(served.client.hear(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(served.client.ended());
  served.advance(served.options.linger_timeout);
  EXPECT_TRUE(served.done());
}

TEST(Server, streams_the_response_while_the_request_arrives) {
  Served served;
  served.client.say("POST /mirror HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  served.client.say("3\r\nabc\r\n");
  EXPECT_EQ(served.client.hear(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  served.client.say("1\r\nd\r\n0\r\n\r\n");
  EXPECT_EQ(served.client.hear(), "1\r\nd\r\n0\r\n\r\n");
}

TEST(Server, ends_a_watch_when_the_client_goes) {
  Served served;
  served.client.say("GET /watch HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(served.client.hear(), testing::EndsWith("\r\n\r\n"));
  served.advance(2s);
  EXPECT_EQ(served.client.hear(), "6\r\nevent\n\r\n6\r\nevent\n\r\n");
  served.client.say("GET /hello HTTP/1.1\r\n");  // early, but not a reason to end
  EXPECT_EQ(served.paths.gone, 0);
  served.client.close();
  EXPECT_EQ(served.paths.gone, 1);
  EXPECT_TRUE(served.done());
}

TEST(Server, hands_over_the_connection_with_what_was_read_of_it) {
  Served served;
  served.client.say(
      "GET /raw HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\nab");
  EXPECT_EQ(served.client.hear(),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\nab");
  served.client.say("more than eight bytes");
  EXPECT_EQ(served.client.hear(), "more than eight bytes");
  served.client.close();
  EXPECT_TRUE(served.done());
}

net::ListenOptions at(std::uint16_t port) {
  return {.at = {.ip = IpAddress::v4(10, 0, 0, 1), .port = port}};
}

rt::Task<void> open_client(net::Network& network, SocketAddress to,
                           std::unique_ptr<net::Stream>& out) {
  auto stream = co_await network.connect({.to = to});
  if (stream) out = *std::move(stream);
}

struct Listening : Sim {
  explicit Listening(Server::Options options = {}) {
    server.emplace(loop, *network.listen(at(80)), paths, std::move(options));
  }
  Wire dial() {
    std::unique_ptr<net::Stream> stream;
    loop.run(open_client(network, at(80).at, stream));
    return {*this, std::move(stream)};
  }

  Paths paths{loop};
  net::MemoryNetwork network{loop, Random(1)};
  std::optional<Server> server;
  rt::Scope tasks{loop};
};

TEST(Server, drains_idle_connections_at_once_and_others_until_the_deadline) {
  Listening listening;
  Wire idle = listening.dial();
  Wire busy = listening.dial();
  Wire endless = listening.dial();
  busy.say("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  endless.say("GET /watch HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(listening.server->connections(), 3U);
  listening.tasks.spawn(listening.server->drain(listening.loop.now() + 10s));
  EXPECT_EQ(idle.hear(), "");
  EXPECT_TRUE(idle.ended());
  listening.advance(5s);
  const std::string last = busy.hear();
  EXPECT_THAT(last, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(last, testing::EndsWith("slow"));
  EXPECT_TRUE(busy.ended());
  EXPECT_EQ(listening.server->connections(), 1U);
  listening.advance(5s);
  EXPECT_EQ(listening.server->connections(), 0U);
  EXPECT_EQ(listening.tasks.size(), 0U);
  std::unique_ptr<net::Stream> refused;
  listening.loop.run(open_client(listening.network, at(80).at, refused));
  EXPECT_EQ(refused, nullptr);
}

TEST(Server, accepts_no_more_than_its_limit_of_connections) {
  Server::Options options;
  options.connections_max = 1;
  Listening listening(std::move(options));
  Wire first = listening.dial();
  Wire second = listening.dial();
  second.say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(second.hear(), "");
  first.close();
  EXPECT_THAT(second.hear(), testing::EndsWith("hello"));
}

}  // namespace
}  // namespace tulle::http
