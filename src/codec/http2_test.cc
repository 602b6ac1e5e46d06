#include "codec/http2.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace tulle::codec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// One end of a connection: writes down what it is told, sends what it is given.
class Peer final : public Http2Events {
 public:
  explicit Peer(Http2Session::Role role, const Http2Limits& limits = {})
      : session(role, limits, *this) {}

  void on_head(std::int32_t stream, Http2Fields& fields, bool end) override {
    std::string line = at(stream) + (fields.status != 0 ? std::to_string(fields.status)
                                                        : fields.method + " " + fields.path);
    if (fields.too_large) line += " too large";
    for (const auto [name, value] : fields.headers) {
      line.append(" ").append(name).append("=").append(value);
    }
    told.push_back(line + (end ? " end" : ""));
    last = fields;
  }
  void on_data(std::int32_t stream, std::string_view data) override {
    told.push_back(at(stream) + "data " + std::string(data));
    session.consume(stream, data.size());
  }
  void on_trailers(std::int32_t stream, Headers& trailers) override {
    std::string line = at(stream) + "trailers";
    for (const auto [name, value] : trailers)
      line.append(" ").append(name).append("=").append(value);
    told.push_back(std::move(line));
  }
  void on_end(std::int32_t stream) override { told.push_back(at(stream) + "end"); }
  void on_closed(std::int32_t stream, std::uint32_t error) override {
    told.push_back(at(stream) + "closed " + std::to_string(error));
  }
  void on_settings() override { ++settings; }
  Http2Piece on_pull(std::int32_t stream, std::span<char> buffer) override {
    Body& body = bodies[stream];
    const std::size_t size = std::min(buffer.size(), body.bytes.size());
    std::copy_n(body.bytes.begin(), size, buffer.begin());
    body.bytes.erase(0, size);
    const bool end = body.bytes.empty() && body.ends;
    return {.size = size, .end = end, .trailers = end ? &body.trailers : nullptr};
  }

  std::string take() {
    std::string out;
    session.produce(out, 1 << 20);
    return out;
  }

  struct Body {
    std::string bytes = {};
    bool ends = true;
    Headers trailers = {};
  };
  std::map<std::int32_t, Body> bodies;
  std::vector<std::string> told;
  Http2Fields last;
  int settings = 0;
  Http2Session session;

 private:
  static std::string at(std::int32_t stream) { return std::to_string(stream) + ": "; }
};

struct Connection {
  explicit Connection(const Http2Limits& limits = {})
      : client(Http2Session::Role::client), server(Http2Session::Role::server, limits) {
    settle();
  }
  void settle() {
    for (;;) {
      const std::string up = client.take();
      const std::string down = server.take();
      if (up.empty() && down.empty()) return;
      ASSERT_TRUE(server.session.receive(up));
      ASSERT_TRUE(client.session.receive(down));
    }
  }
  Peer client;
  Peer server;
};

RequestHead request(std::string_view method, std::string_view target, const Headers& headers = {}) {
  RequestHead head{.method = std::string(method), .target = std::string(target)};
  head.headers = headers;
  return head;
}

const Headers handshake = {{"Host", "h"},
                           {"Connection", "Upgrade"},
                           {"Upgrade", "WebSocket"},
                           {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                           {"Sec-WebSocket-Version", "13"}};

TEST(Http2, a_request_arrives_without_what_http2_does_not_have) {
  const struct {
    RequestHead sent;
    std::string_view told;
    std::string_view authority;
  } rows[] = {
      {request("GET", "/", {{"Host", "a.example"}}), "1: GET / te=trailers end", "a.example"},
      {request("GET", "/x?y", {{"Host", "h"}, {"X-Upper", "Kept"}}),
       "1: GET /x?y x-upper=Kept te=trailers end", "h"},
      {request("GET", "/", {{"Host", "h"}, {"Connection", "close"}, {"Keep-Alive", "1"}}),
       "1: GET / te=trailers end", "h"},
      {request("GET", "/", {{"Host", "h"}, {"Transfer-Encoding", "chunked"}, {"Expect", "x"}}),
       "1: GET / te=trailers end", "h"},
      {request("OPTIONS", "*", {{"Host", "h"}}), "1: OPTIONS * te=trailers end", "h"},
      {request("GET", "/", {{"Host", "h"}, {"Upgrade", "foo"}, {"Connection", "upgrade"}}),
       "1: GET / te=trailers end", "h"},
      {request("GET", "/chat", handshake), "1: CONNECT /chat sec-websocket-version=13 te=trailers",
       "h"},
  };
  for (const auto& row : rows) {
    Connection connection({.websockets = true});
    ASSERT_TRUE(connection.client.session.request(row.sent, false));
    connection.client.bodies[1].ends = false;  // of a tunnel
    connection.settle();
    EXPECT_THAT(connection.server.told, ElementsAre(row.told));
    EXPECT_EQ(connection.server.last.authority, row.authority);
  }
}

TEST(Http2, a_server_says_whether_it_takes_websockets) {
  for (const bool takes : {false, true}) {
    Peer client(Http2Session::Role::client);
    EXPECT_EQ(client.session.peer_takes_websockets(), std::nullopt);
    Peer server(Http2Session::Role::server, {.websockets = takes});
    ASSERT_TRUE(client.session.receive(server.take()));
    EXPECT_EQ(client.settings, 1);
    EXPECT_EQ(client.session.peer_takes_websockets(), takes);
  }
}

TEST(Http2, whoever_sends_one_to_a_server_that_takes_none_is_refused) {
  Connection connection;
  ASSERT_TRUE(connection.client.session.request(request("GET", "/chat", handshake), false));
  connection.settle();
  EXPECT_THAT(connection.client.told, ElementsAre("1: closed 1"));
}

TEST(Http2, a_handshake_is_told_from_other_upgrades) {
  const auto with = [](std::string_view upgrade) {
    return request("GET", "/", {{"Connection", "upgrade"}, {"Upgrade", upgrade}});
  };
  EXPECT_TRUE(is_websocket_handshake(with("websocket")));
  EXPECT_TRUE(is_websocket_handshake(with("WebSocket ")));
  EXPECT_FALSE(is_websocket_handshake(with("websocket, h2c")));
  EXPECT_FALSE(is_websocket_handshake(with("websocket/13")));
  EXPECT_FALSE(is_websocket_handshake(request("GET", "/", {{"Upgrade", "websocket"}})));
  RequestHead post = with("websocket");
  post.method = "POST";
  EXPECT_FALSE(is_websocket_handshake(post));
}

TEST(Http2, bodies_and_trailers_go_both_ways) {
  Connection connection;
  Peer& client = connection.client;
  Peer& server = connection.server;
  client.bodies[1] = {.bytes = "question", .trailers = {{"X-Sum", "1"}}};
  ASSERT_TRUE(client.session.request(request("POST", "/", {{"Host", "h"}}), true));
  connection.settle();
  server.bodies[1] = {.bytes = "ans", .ends = false};
  server.session.respond_interim(1, {.status = 103, .headers = {{"Link", "</x>"}}});
  server.session.respond(1, {.status = 200, .headers = {{"Via", "t"}, {"Upgrade", "no"}}}, true);
  connection.settle();
  server.bodies[1] = {.bytes = "wer", .trailers = {{"Grpc-Status", "0"}}};
  server.session.resume(1);
  connection.settle();
  EXPECT_THAT(server.told, ElementsAre("1: POST / te=trailers", "1: data question",
                                       "1: trailers x-sum=1", "1: end", "1: closed 0"));
  EXPECT_THAT(client.told,
              ElementsAre("1: 103 link=</x>", "1: 200 via=t", "1: data ans", "1: data wer",
                          "1: trailers grpc-status=0", "1: end", "1: closed 0"));
}

TEST(Http2, a_tunnel_has_bytes_both_ways_and_two_ends) {
  Connection connection({.websockets = true});
  Peer& client = connection.client;
  Peer& server = connection.server;
  client.bodies[1] = {.bytes = "early", .ends = false};
  ASSERT_TRUE(client.session.request(request("GET", "/chat", handshake), false));
  connection.settle();
  server.bodies[1] = {.bytes = "hello", .ends = false};
  server.session.respond(1, {.status = 200, .headers = {{"Sec-WebSocket-Accept", "x"}}}, true);
  connection.settle();
  client.bodies[1].ends = true;
  client.session.resume(1);
  connection.settle();
  server.bodies[1].ends = true;
  server.session.resume(1);
  connection.settle();
  EXPECT_THAT(server.told,
              ElementsAre(HasSubstr("CONNECT /chat"), "1: data early", "1: end", "1: closed 0"));
  EXPECT_EQ(server.last.protocol, "websocket");
  EXPECT_THAT(client.told, ElementsAre("1: 200", "1: data hello", "1: end", "1: closed 0"));
}

TEST(Http2, a_head_beyond_the_limits_is_told_as_that) {
  const Headers many = [] {
    Headers headers = {{"Host", "h"}};
    for (int i = 0; i < 10; ++i) headers.append("X-" + std::to_string(i), "v");
    return headers;
  }();
  for (const Http2Limits& limits :
       {Http2Limits{.fields_max = 5}, Http2Limits{.header_bytes_max = 40}}) {
    Connection connection(limits);
    ASSERT_TRUE(connection.client.session.request(request("GET", "/", many), false));
    connection.settle();
    ASSERT_EQ(connection.server.told.size(), 1U);
    EXPECT_THAT(connection.server.told[0], HasSubstr("too large"));
  }
}

TEST(Http2, what_is_not_read_holds_the_sender_back) {
  Connection connection({.stream_window_bytes = 70'000});
  Peer& client = connection.client;
  client.bodies[1] = {.bytes = std::string(1'000'000, 'x')};
  // The server gives nothing back: on_data() of this test does, so it is cut off.
  class Deaf final : public Http2Events {
   public:
    void on_head(std::int32_t, Http2Fields&, bool) override {}
    void on_data(std::int32_t, std::string_view data) override { bytes += data.size(); }
    void on_trailers(std::int32_t, Headers&) override {}
    void on_end(std::int32_t) override {}
    void on_closed(std::int32_t, std::uint32_t) override {}
    void on_settings() override {}
    Http2Piece on_pull(std::int32_t, std::span<char>) override { return {.end = true}; }
    std::size_t bytes = 0;
  } deaf;
  Http2Session server(Http2Session::Role::server, {.stream_window_bytes = 70'000}, deaf);
  Peer sender(Http2Session::Role::client);
  sender.bodies[1] = client.bodies[1];
  ASSERT_TRUE(sender.session.request(request("POST", "/", {{"Host", "h"}}), true));
  const auto pump = [&] {
    std::string down;
    server.produce(down, 1 << 20);
    ASSERT_TRUE(sender.session.receive(down));
    ASSERT_TRUE(server.receive(sender.take()));
  };
  for (int i = 0; i < 5; ++i) pump();
  EXPECT_EQ(deaf.bytes, 70'000U);
  server.consume(1, 70'000);
  for (int i = 0; i < 5; ++i) pump();
  EXPECT_EQ(deaf.bytes, 140'000U);
}

// --- Frames that are wrong -----------------------------------------------------------------------

constexpr char data = 0, headers = 1, rst_stream = 3, settings = 4, goaway = 7, window_update = 8,
               continuation = 9;
constexpr char end_stream = 1, end_headers = 4;

std::string frame(char type, char flags, std::uint32_t stream, std::string_view payload) {
  std::string bytes;
  for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<char>(payload.size() >> shift));
  bytes += {type, flags};
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(stream >> shift));
  return bytes.append(payload);
}

std::string literal(std::string_view name, std::string_view value) {
  std::string bytes(1, '\0');  // without indexing, with a new name (RFC 7541 §6.2.2)
  bytes += static_cast<char>(name.size());
  bytes += name;
  bytes += static_cast<char>(value.size());
  return bytes.append(value);
}

std::string head(std::string_view more = {}) {
  return literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "/") +
         literal(":authority", "h") + std::string(more);
}

// "GOAWAY 1", "RST 3 1" (stream and error), in order.
std::string complaints(std::string_view bytes) {
  std::string found;
  const auto number = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i)
      value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
  };
  while (bytes.size() >= 9) {
    const std::size_t length = number(0) >> 8;
    const char type = bytes[3];
    if (type == goaway) found += "GOAWAY " + std::to_string(number(13)) + " ";
    if (type == rst_stream) {
      found += "RST " + std::to_string(number(5)) + " " + std::to_string(number(9)) + " ";
    }
    bytes.remove_prefix(9 + length);
  }
  if (!found.empty()) found.pop_back();
  return found;
}

TEST(Http2, what_a_client_may_not_send_is_answered_where_it_belongs) {
  const std::string open = frame(headers, end_headers, 1, head());
  const struct {
    std::string_view what;
    std::string sent;
    std::string_view answered;
  } rows[] = {
      {"a request", frame(headers, end_headers | end_stream, 1, head()), ""},
      {"DATA on stream 0", frame(data, 0, 0, "x"), "GOAWAY 1"},
      {"an even stream", frame(headers, end_headers, 2, head()), "GOAWAY 1"},
      {"DATA on a stream nobody opened", frame(data, 0, 1, "x"), "GOAWAY 1"},
      {"CONTINUATION without a head", frame(continuation, end_headers, 1, head()), "GOAWAY 1"},
      {"DATA within a head", frame(headers, 0, 1, head()) + frame(data, 0, 1, "x"), "GOAWAY 1"},
      {"a window by nothing", open + frame(window_update, 0, 1, std::string(4, '\0')), "GOAWAY 1"},
      {"a window beyond its limit", open + frame(window_update, 0, 1, "\x7f\xff\xff\xff"),
       "RST 1 3"},
      {"DATA behind the end",
       frame(headers, end_headers | end_stream, 1, head()) + frame(data, 0, 1, "x"), "GOAWAY 5"},
      {"a stream that was passed over",
       frame(headers, end_headers, 5, head()) + frame(headers, end_headers, 3, head()), "GOAWAY 1"},
      {"a name in capitals", frame(headers, end_headers, 1, head(literal("X-Up", "1"))), "RST 1 1"},
      {"a field of a connection", frame(headers, end_headers, 1, head(literal("connection", "x"))),
       "RST 1 1"},
      {"a second path", frame(headers, end_headers, 1, head(literal(":path", "/2"))), "RST 1 1"},
      {"no path",
       frame(headers, end_headers, 1, literal(":method", "GET") + literal(":scheme", "http")),
       "RST 1 1"},
      {"a protocol of no CONNECT",
       frame(headers, end_headers, 1, head(literal(":protocol", "websocket"))), "RST 1 1"},
      {"more than Content-Length says",
       frame(headers, end_headers, 1, head(literal("content-length", "2"))) +
           frame(data, 0, 1, "abc"),
       "RST 1 1"},
      {"a head that is no HPACK", frame(headers, end_headers, 1, "\xff\xff\xff\xff\xff\xff"),
       "GOAWAY 9"},
      {"a frame that is too large", frame(settings, 0, 0, std::string(20'000, 'x')), "GOAWAY 6"},
  };
  for (const auto& row : rows) {
    Peer server(Http2Session::Role::server, {.websockets = true});
    server.take();
    std::string bytes(http2_preface);
    bytes += frame(settings, 0, 0, "") + row.sent;
    static_cast<void>(server.session.receive(bytes));
    EXPECT_EQ(complaints(server.take()), row.answered) << row.what;
  }
}

// --- A request as HTTP/1.1 knows it --------------------------------------------------------------

TEST(Http1Head, is_the_request_with_its_authority_as_host) {
  using Fields = Http2Fields;
  const auto text = [](Fields fields) {
    const auto made = http1_head(fields);
    if (!made) return made.error().message;
    std::string line = made->method + " " + made->target;
    for (const auto [name, value] : made->headers)
      line.append(" ").append(name).append("=").append(value);
    return line;
  };
  const struct {
    Fields fields;
    std::string_view is;
  } rows[] = {
      {{.method = "GET", .authority = "a", .path = "/"}, "GET / host=a"},
      {{.method = "GET", .path = "/", .headers = {{"host", "b"}}}, "GET / host=b"},
      {{.method = "GET", .authority = "A", .path = "/", .headers = {{"host", "a"}}},
       "GET / host=a"},
      {{.method = "GET", .authority = "a", .path = "/", .headers = {{"host", "b"}}},
       "conflicting_host"},
      {{.method = "GET", .path = "/", .headers = {{"host", "b"}, {"host", "b"}}}, "duplicate_host"},
      {{.method = "GET",
        .authority = "a",
        .path = "/",
        .headers = {{"cookie", "x=1"}, {"z", "1"}, {"cookie", "y=2"}}},
       "GET / cookie=x=1; y=2 z=1 host=a"},
      {{.method = "OPTIONS", .authority = "a", .path = "*"}, "OPTIONS * host=a"},
      {{.method = "GET", .authority = "a", .path = "*"}, "bad_target_form"},
      {{.method = "GET", .authority = "a", .path = "x"}, "bad_target_form"},
      {{.method = "GET", .authority = "a", .path = "/a b"}, "bad_target_character"},
      {{.method = "G T", .authority = "a", .path = "/"}, "bad_method"},
      {{.method = "CONNECT",
        .authority = "a",
        .path = "/c",
        .protocol = "websocket",
        .headers = {{"content-length", "5"}, {"sec-websocket-key", "k"}}},
       "GET /c host=a connection=upgrade upgrade=websocket"},
      {{.method = "CONNECT", .authority = "a", .path = "/c", .protocol = "connect-udp"},
       "CONNECT /c host=a"},
  };
  for (const auto& row : rows) EXPECT_EQ(text(row.fields), row.is);
}

}  // namespace
}  // namespace tulle::codec
