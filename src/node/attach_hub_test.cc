#include "node/attach_hub.h"

#include "http/test_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tulle::node {
namespace {

using testing::ElementsAre;
using std::string_literals::operator""s;

constexpr const char* kPath = "/attach";

struct Viewer {
  std::unique_ptr<http::WebSocket> socket;
  std::vector<std::string> heard;
  bool ended = false;
};

// A process whose input the test reads, and the hub in front of it.
struct Attached : http::Sim {
  explicit Attached(bool input_once = false)
      : hub(loop, *network.listen_unix(kPath),
            {.input = std::shared_ptr<net::Stream>(std::move(pipe.a)), .input_once = input_once}) {}

  static rt::Task<void> listen(Viewer& viewer) {
    for (;;) {
      const auto message = co_await viewer.socket->receive();
      if (!message) break;
      viewer.heard.emplace_back(message->payload);
    }
    viewer.ended = true;
  }
  static rt::Task<void> say(http::WebSocket& socket, std::string message) {
    static_cast<void>(co_await socket.send_binary(message));
  }

  // One that reads nothing, unless the test makes it.
  Viewer connect() {
    Viewer viewer;
    auto stream = loop.run(network.connect_unix(kPath));
    viewer.socket = std::make_unique<http::WebSocket>(loop, *std::move(stream),
                                                      http::WebSocket::Role::client, random);
    settle();
    return viewer;
  }
  void read(Viewer& viewer) {
    tasks.spawn(listen(viewer));
    settle();
  }
  void say(Viewer& viewer, const std::string& message) {
    tasks.spawn(say(*viewer.socket, message));
    settle();
  }
  void print(Channel channel, const std::string& text) {
    tasks.spawn(hub.send(channel, text));
    settle();
  }

  Random random{1};
  net::MemoryNetwork network{loop, Random(2)};
  net::StreamPair pipe = net::memory_pipe(loop);
  http::Wire process{*this, std::move(pipe.b)};
  AttachHub hub;
  rt::Scope tasks{loop};
};

TEST(AttachHub, shows_everyone_what_is_written_from_then_on) {
  Attached attached;
  attached.print(Channel::output, "before");
  Viewer first = attached.connect();
  Viewer second = attached.connect();
  attached.read(first);
  attached.read(second);
  attached.print(Channel::output, "out");
  attached.print(Channel::errors, "err");
  EXPECT_THAT(first.heard, ElementsAre("\1out", "\2err"));
  EXPECT_THAT(second.heard, ElementsAre("\1out", "\2err"));
}

TEST(AttachHub, gives_the_process_what_clients_send) {
  Attached attached;
  Viewer viewer = attached.connect();
  attached.say(viewer, "\0one"s);
  attached.say(viewer, ""s);
  attached.say(viewer, "\1not input"s);
  attached.say(viewer, "\0two"s);
  EXPECT_EQ(attached.process.hear(), "onetwo");
}

TEST(AttachHub, ends_the_input_once_with_the_first_client_that_has_one) {
  for (const bool said : {true, false}) {
    Attached attached(true);
    Viewer looks_on = attached.connect();
    looks_on.socket.reset();
    Viewer types = attached.connect();
    attached.say(types, "\0line"s);
    EXPECT_EQ(attached.process.hear(), "line");
    EXPECT_FALSE(attached.process.ended());
    if (said) attached.say(types, "\xff\0"s);
    if (!said) types.socket.reset();
    EXPECT_EQ(attached.process.hear(), "");
    EXPECT_TRUE(attached.process.ended());
  }
}

TEST(AttachHub, keeps_an_input_open_that_is_not_for_one_client) {
  Attached attached;
  Viewer first = attached.connect();
  attached.say(first, "\0one"s);
  attached.say(first, "\xff\0"s);
  first.socket.reset();
  Viewer second = attached.connect();
  attached.say(second, "\0two"s);
  EXPECT_EQ(attached.process.hear(), "onetwo");
  EXPECT_FALSE(attached.process.ended());
}

TEST(AttachHub, waits_for_a_slow_client_and_then_drops_it) {
  Attached attached;
  Viewer slow = attached.connect();
  Viewer reader = attached.connect();
  attached.read(reader);
  const std::string piece(64 * 1024, 'x');
  std::size_t printed = 0;
  while (attached.tasks.size() == 1) {  // the reader's
    attached.print(Channel::output, piece);
    ++printed;
  }
  EXPECT_GT(printed, kAttachedMessagesMax);
  attached.advance(kAttachedPatience - std::chrono::milliseconds(1));
  EXPECT_EQ(attached.tasks.size(), 2U);
  attached.advance(std::chrono::milliseconds(1));
  EXPECT_EQ(attached.tasks.size(), 1U);
  EXPECT_EQ(reader.heard.size(), printed);
  attached.print(Channel::output, "more");
  EXPECT_EQ(reader.heard.back(), "\1more");
}

TEST(AttachHub, closes_when_all_was_read) {
  Attached attached;
  Viewer viewer = attached.connect();
  attached.print(Channel::output, "last words");
  attached.tasks.spawn(attached.hub.finish());
  attached.read(viewer);
  EXPECT_THAT(viewer.heard, ElementsAre("\1last words"));
  EXPECT_TRUE(viewer.ended);
  EXPECT_EQ(viewer.socket->close_code(), codec::WebSocketClose::normal);
  attached.settle();
  EXPECT_EQ(attached.tasks.size(), 0U);
}

TEST(AttachHub, hangs_up_on_clients_beyond_the_limit) {
  Attached attached;
  std::vector<Viewer> viewers(kAttachedMax);
  for (Viewer& viewer : viewers) viewer = attached.connect();
  Viewer late = attached.connect();
  attached.read(late);
  EXPECT_TRUE(late.ended);
  EXPECT_EQ(late.socket->close_code(), std::nullopt);
  attached.read(viewers.back());
  EXPECT_FALSE(viewers.back().ended);
}

}  // namespace
}  // namespace tulle::node
