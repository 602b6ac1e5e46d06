#include "http/client.h"

#include "http/pool.h"
#include "http/test_wire.h"
#include "rt/sync.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <string>

namespace tulle::http {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

codec::RequestHead request(std::string method, std::string target = "/") {
  return {.method = std::move(method), .target = std::move(target), .headers = {{"Host", "a"}}};
}

// A body of pieces that come when the test says so.
class Feed final : public Body {
 public:
  explicit Feed(rt::Loop& loop, std::optional<std::uint64_t> length = std::nullopt)
      : length_(length), more_(loop) {}

  void push(std::string piece) {
    pieces_.push_back(std::move(piece));
    more_.set();
  }
  void break_off() {
    broken_ = true;
    more_.set();
  }
  rt::Task<Result<std::string_view>> read() override {
    while (pieces_.empty() && !broken_) {
      more_.clear();
      co_await more_.wait();
    }
    if (broken_) co_return fail(Code::reset, "the caller is gone");
    current_ = std::move(pieces_.front());
    if (!current_.empty()) pieces_.pop_front();
    co_return std::string_view(current_);
  }
  std::optional<std::uint64_t> length() const override { return length_; }

 private:
  std::optional<std::uint64_t> length_;
  std::deque<std::string> pieces_;
  std::string current_;
  bool broken_ = false;
  rt::Event more_;
};

// What came of an exchange.
struct Outcome {
  bool done = false;
  int status = 0;
  std::string body;
  std::optional<Code> error;  // of the head
  std::optional<Code> body_error;
};

rt::Task<void> ask(ClientConnection& connection, codec::RequestHead head, Body* body,
                   Instant deadline, Outcome& outcome) {
  auto response = co_await connection.exchange(head, body, {.deadline = deadline});
  if (!response) {
    outcome.error = response.error().code;
  } else {
    outcome.status = response->head.status;
    auto bytes = co_await read_all(response->body, 1 << 20);
    if (bytes) {
      outcome.body = *std::move(bytes);
    } else {
      outcome.body_error = bytes.error().code;
    }
  }
  outcome.done = true;
}

struct Asking : Sim {
  void ask_for(codec::RequestHead head, Body* body = nullptr, Instant deadline = kNever) {
    outcome = {};
    tasks.spawn(ask(connection, std::move(head), body, deadline, outcome));
    settle();
  }

  net::StreamPair pipe = net::memory_pipe(loop);
  Wire server{*this, std::move(pipe.b)};
  ClientConnection connection{loop, std::move(pipe.a)};
  Outcome outcome;
  rt::Scope tasks{loop};
};

struct Row {
  std::string_view what;
  std::string_view method;
  std::string_view response;
  int status = 0;
  std::string_view body = {};
  bool closes = false;  // the server, behind what it says
  bool reusable = true;
  std::optional<Code> error = {};
  std::optional<Code> body_error = {};
};

const Row kRows[] = {
    {"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc"},
    {"no reason", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200},
    {"chunked", "GET",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 200,
     "abcde"},
    {"until close", "GET", "HTTP/1.1 200 OK\r\n\r\nabc", 200, "abc", true, false},
    {"204", "DELETE", "HTTP/1.1 204 No Content\r\n\r\n", 204},
    {"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 200},
    {"the server closes after it", "GET",
     "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", 200, "a", false, false},
    {"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 200, "a", false, false},
    {"more than was asked for", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", 200, "a",
     false, false},
    {"interim responses", "GET",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
     200, "a"},
    {"an upgrade that nobody asked for",
     "GET",
     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
     0,
     {},
     false,
     false,
     Code::malformed},
    {"not HTTP", "GET", "SSH-2.0-OpenSSH\r\n", 0, {}, false, false, Code::malformed},
    {"two lengths",
     "GET",
     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
     0,
     {},
     false,
     false,
     Code::malformed},
    {"death before the first byte", "GET", "", 0, {}, true, false, Code::closed},
    {"death within the head", "GET", "HTTP/1.1 200 OK\r\nConte", 0, {}, true, false, Code::closed},
    {"death within the body",
     "GET",
     "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
     200,
     {},
     true,
     false,
     {},
     Code::closed},
    {"death within a chunk",
     "GET",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
     200,
     {},
     true,
     false,
     {},
     Code::closed},
};

TEST(ClientConnection, reads_what_the_table_says_however_the_bytes_arrive) {
  for (const auto& row : kRows) {
    for (const bool at_once : {true, false}) {
      SCOPED_TRACE(std::string(row.what) + (at_once ? ", at once" : ", byte by byte"));
      Asking asking;
      asking.ask_for(request(std::string(row.method)));
      EXPECT_EQ(asking.server.hear(), std::string(row.method) + " / HTTP/1.1\r\nHost: a\r\n\r\n");
      EXPECT_FALSE(asking.outcome.done);
      if (at_once) {
        asking.server.say(row.response);
      } else {
        asking.server.say_byte_by_byte(row.response);
      }
      if (row.closes) asking.server.close();
      EXPECT_TRUE(asking.outcome.done);
      EXPECT_EQ(asking.outcome.status, row.status);
      EXPECT_EQ(asking.outcome.body, row.body);
      EXPECT_EQ(asking.outcome.error, row.error);
      EXPECT_EQ(asking.outcome.body_error, row.body_error);
      EXPECT_EQ(asking.connection.response_started(), !row.response.empty());
      EXPECT_EQ(asking.connection.request_progress(), RequestProgress::complete);
      const bool reusable = asking.connection.reusable() && asking.connection.idle_alive();
      EXPECT_EQ(reusable, row.reusable);
    }
  }
}

constexpr std::string_view kEmpty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

TEST(ClientConnection, serves_one_exchange_after_another_and_knows_it) {
  Asking asking;
  for (const bool again : {false, true, true}) {
    asking.ask_for(request("GET"));
    EXPECT_EQ(asking.connection.reused(), again);
    EXPECT_THAT(asking.server.hear(), StartsWith("GET / "));
    asking.server.say(kEmpty);
    EXPECT_EQ(asking.outcome.status, 200);
    EXPECT_TRUE(asking.connection.reusable());
  }
}

TEST(ClientConnection, frames_request_bodies) {
  struct {
    codec::RequestHead head;
    std::unique_ptr<Body> body;
    std::string wire;
  } rows[] = {
      {request("POST"), nullptr, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
      {request("PUT"), std::make_unique<StringBody>("abc"),
       "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"},
      {{.method = "PUT", .target = "/", .headers = {{"Host", "a"}, {"Content-Length", "3"}}},
       std::make_unique<StringBody>("abc"),
       "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"},
      {{.method = "PUT",
        .target = "/",
        .minor_version = 0,
        .headers = {{"Transfer-Encoding", "chunked"}, {"Content-Length", "9"}, {"Host", "a"}}},
       std::make_unique<StringBody>("abc"),
       "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"},
      {request("PUT"), std::make_unique<StringBody>(std::string(40'000, 'x')),
       "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n" + std::string(40'000, 'x')},
  };
  for (auto& row : rows) {
    SCOPED_TRACE(row.wire.substr(0, 100));
    Asking asking;
    asking.ask_for(row.head, row.body.get());
    EXPECT_EQ(asking.server.hear(), row.wire);
    asking.server.say(kEmpty);
    EXPECT_TRUE(asking.connection.reusable());
  }
}

TEST(ClientConnection, sends_the_head_before_a_body_that_takes_its_time) {
  Asking asking;
  Feed feed(asking.loop);
  asking.ask_for(request("POST"), &feed);
  EXPECT_EQ(asking.server.hear(),
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  feed.push("abc");
  EXPECT_EQ(asking.server.hear(), "3\r\nabc\r\n");
  EXPECT_EQ(asking.connection.request_progress(), RequestProgress::partial);
  feed.push("");
  EXPECT_EQ(asking.server.hear(), "0\r\n\r\n");
  EXPECT_EQ(asking.connection.request_progress(), RequestProgress::complete);
  asking.server.say(kEmpty);
  EXPECT_TRUE(asking.connection.reusable());
}

TEST(ClientConnection, takes_a_response_that_comes_before_the_request_is_sent) {
  Asking asking;
  Feed feed(asking.loop, 100);
  asking.ask_for(request("POST"), &feed);
  feed.push("abc");
  asking.server.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(asking.outcome.status, 403);
  EXPECT_EQ(asking.outcome.body, "no");
  EXPECT_FALSE(asking.connection.reusable());
}

TEST(ClientConnection, takes_the_response_of_a_server_that_reads_no_body) {
  Asking asking;
  StringBody large(std::string(1 << 20, 'x'));
  asking.ask_for(request("POST"), &large);
  asking.server.say(
      "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"
      "Content-Length: 0\r\n\r\n");
  asking.server.close();
  EXPECT_EQ(asking.outcome.status, 413);
  EXPECT_FALSE(asking.connection.reusable());
}

TEST(ClientConnection, fails_with_the_error_of_the_body_it_was_to_send) {
  for (const bool answered : {false, true}) {
    Asking asking;
    Feed feed(asking.loop);
    asking.ask_for(request("POST"), &feed);
    if (answered) asking.server.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    feed.break_off();
    asking.settle();
    EXPECT_TRUE(asking.outcome.done);
    EXPECT_EQ(answered ? asking.outcome.body_error : asking.outcome.error, Code::reset);
    EXPECT_TRUE(asking.connection.request_body_failed());
    EXPECT_FALSE(asking.connection.reusable());
  }
}

TEST(ClientConnection, does_not_send_more_than_the_length_it_said) {
  Asking asking;
  Feed feed(asking.loop, 2);
  feed.push("abc");
  asking.ask_for(request("POST"), &feed);
  EXPECT_EQ(asking.outcome.error, Code::internal);
  EXPECT_THAT(asking.server.hear(), Not(HasSubstr("abc")));
}

TEST(ClientConnection, gives_up_at_the_deadline) {
  Asking asking;
  asking.ask_for(request("GET"), nullptr, asking.loop.now() + 5s);
  asking.advance(4s);
  EXPECT_FALSE(asking.outcome.done);
  asking.advance(1s);
  EXPECT_EQ(asking.outcome.error, Code::timed_out);
  EXPECT_FALSE(asking.connection.reusable());
}

TEST(ClientConnection, is_of_no_more_use_when_an_exchange_was_dropped) {
  Asking asking;
  auto feed = std::make_unique<Feed>(asking.loop);
  asking.ask_for(request("POST"), feed.get());
  asking.tasks.cancel();
  feed.reset();
  asking.settle();
  EXPECT_FALSE(asking.connection.reusable());
}

TEST(ClientConnection, knows_that_nothing_was_sent) {
  Asking asking;
  asking.server.close();
  asking.ask_for(request("GET"));
  EXPECT_TRUE(asking.outcome.error.has_value());
  EXPECT_EQ(asking.connection.request_progress(), RequestProgress::unsent);
  EXPECT_FALSE(asking.connection.response_started());
}

struct Pooled : Sim {
  struct Far {
    std::unique_ptr<ClientConnection> connection;
    std::unique_ptr<Wire> server;
  };
  Far make() {
    auto pipe = net::memory_pipe(loop);
    return {std::make_unique<ClientConnection>(loop, std::move(pipe.a)),
            std::make_unique<Wire>(*this, std::move(pipe.b))};
  }
};

TEST(Pool, gives_the_newest_connection_of_the_key) {
  Pooled pooled;
  Pool<std::string> pool(pooled.loop);
  auto a1 = pooled.make(), a2 = pooled.make(), b = pooled.make();
  const auto* newest = a2.connection.get();
  pool.put("a", std::move(a1.connection));
  pool.put("a", std::move(a2.connection));
  pool.put("b", std::move(b.connection));
  pooled.settle();
  EXPECT_EQ(pool.idle(), 3U);
  EXPECT_EQ(pool.take("c"), nullptr);
  EXPECT_EQ(pool.take("a").get(), newest);
  EXPECT_NE(pool.take("b"), nullptr);
  EXPECT_EQ(pool.take("b"), nullptr);
  EXPECT_EQ(pool.idle(), 1U);
}

TEST(Pool, drops_connections_that_end_or_speak_while_idle) {
  Pooled pooled;
  Pool<int> pool(pooled.loop);
  auto quiet = pooled.make(), ended = pooled.make(), loud = pooled.make();
  pool.put(1, std::move(quiet.connection));
  pool.put(1, std::move(ended.connection));
  pool.put(1, std::move(loud.connection));
  ended.server->half_close();
  EXPECT_EQ(pool.idle(), 2U);
  loud.server->say("HTTP/1.1 408 Request Timeout\r\n\r\n");
  EXPECT_EQ(pool.idle(), 1U);
  EXPECT_NE(pool.take(1), nullptr);
}

TEST(Pool, keeps_no_more_than_its_limits_and_not_for_ever) {
  Pooled pooled;
  Pool<int> pool(pooled.loop, {.idle_per_key_max = 2, .idle_max = 3, .idle_timeout = 10s});
  for (const int key : {1, 1, 1}) pool.put(key, pooled.make().connection);
  pooled.settle();
  EXPECT_EQ(pool.idle(), 0U) << "the far ends are gone";
  std::vector<Pooled::Far> fars;
  for (const int key : {1, 1, 1, 2, 2}) {
    fars.push_back(pooled.make());
    pool.put(key, std::move(fars.back().connection));
    pooled.advance(1s);
  }
  EXPECT_EQ(pool.idle(), 3U);
  pooled.advance(7s);  // the oldest left was put 10 s ago
  EXPECT_EQ(pool.idle(), 2U);
  EXPECT_EQ(pool.take(1), nullptr);
  pool.drop_if([](int key) { return key == 2; });
  EXPECT_EQ(pool.idle(), 0U);
}

// A client and the raw servers it meets, one per connection.
struct Calling : Sim {
  static rt::Task<void> accept_all(Calling& self, std::unique_ptr<net::Listener> listener) {
    for (;;) {
      auto stream = co_await listener->accept();
      if (stream) self.servers.push_back(std::make_unique<Wire>(self, *std::move(stream)));
    }
  }
  static rt::Task<void> call(Client& client, codec::RequestHead head, Outcome& outcome) {
    outcome = {};
    auto reply = co_await client.request(std::move(head));
    outcome.done = true;
    if (!reply) {
      outcome.error = reply.error().code;
      co_return;
    }
    outcome.status = reply->head.status;
    outcome.body = reply->body;
  }
  void call(std::string method) {
    tasks.spawn(call(client, {.method = std::move(method), .target = "/", .headers = {}}, outcome));
    settle();
  }
  Calling() {
    tasks.spawn(accept_all(*this, *network.listen({.at = address})));
    settle();
  }

  SocketAddress address{.ip = IpAddress::v4(10, 0, 0, 1), .port = 80};
  net::MemoryNetwork network{loop, Random(1)};
  std::vector<std::unique_ptr<Wire>> servers;
  Client client{loop, network, {.address = address}};
  Outcome outcome;
  rt::Scope tasks{loop};
};

TEST(Client, keeps_its_connection_and_sends_a_host) {
  Calling calling;
  for (int i = 0; i < 2; ++i) {
    calling.call("GET");
    EXPECT_EQ(calling.servers.at(0)->hear(), "GET / HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n");
    calling.servers.at(0)->say(kEmpty);
    EXPECT_EQ(calling.outcome.status, 200);
  }
  EXPECT_EQ(calling.servers.size(), 1U);
}

TEST(Client, asks_once_more_only_what_may_be_asked_twice) {
  for (const bool idempotent : {true, false}) {
    Calling calling;
    calling.call("GET");
    calling.servers.at(0)->say(kEmpty);
    calling.call(idempotent ? "GET" : "POST");
    EXPECT_EQ(calling.servers.size(), 1U);
    calling.servers.at(0)->close();
    EXPECT_EQ(calling.servers.size(), idempotent ? 2U : 1U);
    if (idempotent) {
      calling.servers.at(1)->close();  // a new connection's failure is the server's
    }
    EXPECT_EQ(calling.outcome.error, Code::closed);
  }
}

TEST(Client, reports_that_nobody_listens_and_that_nobody_answers) {
  Calling calling;
  calling.call("GET");
  calling.advance(61s);
  EXPECT_EQ(calling.outcome.error, Code::timed_out);
  calling.network.kill(calling.address.ip);
  calling.call("GET");
  EXPECT_EQ(calling.outcome.error, Code::refused);
}

TEST(ClientConnection, tells_of_interim_responses_as_they_come) {
  struct Sink final : InterimSink {
    void take_interim(const codec::ResponseHead& head) override {
      heard += std::to_string(head.status) + " " + std::string(*head.headers.get("Link")) + ";";
    }
    std::string heard;
  } sink;
  Asking asking;
  bool done = false;
  const codec::RequestHead head{.method = "GET", .target = "/", .headers = {{"Host", "a"}}};
  asking.tasks.spawn([](ClientConnection& connection, const codec::RequestHead& what,
                        InterimSink& to, bool& ended) -> rt::Task<void> {
    ended = (co_await connection.exchange(what, nullptr, {.interim = &to})).has_value();
  }(asking.connection, head, sink, done));
  asking.settle();
  asking.server.say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n");
  EXPECT_EQ(sink.heard, "103 a;");
  asking.server.say("HTTP/1.1 103 Early Hints\r\nLink: b\r\n\r\n");
  EXPECT_EQ(sink.heard, "103 a;103 b;");
  EXPECT_FALSE(done);
  asking.server.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace tulle::http
