#include "app/socket_keeper.h"

#include "net/kept_sockets.h"
#include "net/kernel_network.h"
#include "rt/combine.h"

#include <gtest/gtest.h>

#include <array>

namespace tulle::app {
namespace {

using namespace std::chrono_literals;

constexpr IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);

// What a process has of it. `sockets` comes first: it must outlive what it keeps.
struct Served {
  std::unique_ptr<net::KeptSockets> sockets;
  std::unique_ptr<net::KernelNetwork> network;
  std::unique_ptr<net::Listener> listener;
  std::unique_ptr<net::Datagram> datagram;
};

class SocketKeeperTest : public testing::Test {
 protected:
  // The next process, which has taken what is kept.
  Served begin() {
    auto channel = keeper.open_channel();
    EXPECT_TRUE(channel);
    auto sockets = loop.run(net::KeptSockets::inherit(loop, *driver, *std::move(channel)));
    EXPECT_TRUE(sockets) << sockets.error().message;
    Served process;
    process.sockets = *std::move(sockets);
    process.network = std::make_unique<net::KernelNetwork>(
        loop, *driver, net::SocketHooks{.kept = process.sockets.get()});
    return process;
  }
  void listen(Served& process) {
    auto listener = process.network->listen({.at = at});
    ASSERT_TRUE(listener) << listener.error().message;
    process.listener = *std::move(listener);
    auto datagram = process.network->bind_datagram({.at = at});
    ASSERT_TRUE(datagram) << datagram.error().message;
    process.datagram = *std::move(datagram);
    settle();
  }
  // A process that ends in the middle of things says nothing more.
  void end(Served process) {
    process.sockets->leave();
    process.listener.reset();
    process.datagram.reset();
  }
  // What was said has arrived: the keeper answers nothing, so ask a socket that it was told of
  // last.
  void settle() {
    for (int turn = 0; turn < 100; ++turn) loop.turn_once();
  }
  bool is_free() {
    return plain.listen({.at = at}).has_value() && plain.bind_datagram({.at = at}).has_value();
  }

  Result<rt::EpollDriver> driver = rt::EpollDriver::create();
  rt::Loop loop{*driver};
  net::KernelNetwork plain{loop, *driver};
  // A port that was free a moment ago.
  const SocketAddress at = (*plain.listen({.at = {.ip = kLoopback, .port = 0}}))->local_address();
  SocketKeeper keeper{loop, *driver};
};

TEST_F(SocketKeeperTest, what_comes_between_two_processes_waits_for_the_second) {
  Served first = begin();
  listen(first);
  end(std::move(first));
  const auto client = loop.run(plain.connect({.to = at}));
  ASSERT_TRUE(client) << client.error().message;
  const auto sender = plain.bind_datagram({.at = {.ip = kLoopback, .port = 0}});
  ASSERT_TRUE(sender && (*sender)->send("ping", at));

  Served second = begin();
  listen(second);
  const auto accepted =
      loop.run(rt::with_deadline(loop, loop.now() + 5s, second.listener->accept()));
  ASSERT_TRUE(accepted) << accepted.error().message;
  EXPECT_EQ((*accepted)->peer_address(), (*client)->local_address());
  std::array<char, 16> buffer;
  const auto received =
      loop.run(rt::with_deadline(loop, loop.now() + 5s, second.datagram->receive(buffer)));
  ASSERT_TRUE(received) << received.error().message;
  EXPECT_EQ(std::string_view(buffer.data(), received->size), "ping");
}

TEST_F(SocketKeeperTest, what_is_closed_is_not_kept) {
  Served process = begin();
  listen(process);
  process.listener.reset();
  process.datagram.reset();
  settle();
  EXPECT_TRUE(is_free());
}

TEST_F(SocketKeeperTest, what_the_next_process_does_not_want_is_closed) {
  Served first = begin();
  listen(first);
  end(std::move(first));
  Served second = begin();
  EXPECT_FALSE(is_free());
  second.sockets->drop_untaken();
  settle();
  EXPECT_TRUE(is_free());
}

TEST_F(SocketKeeperTest, one_that_was_replaced_takes_nothing_from_the_next) {
  Served first = begin();
  listen(first);
  first.sockets->leave();
  first.sockets->say_retired();
  loop.run(keeper.retired());
  Served second = begin();
  listen(second);
  first.listener.reset();
  first.datagram.reset();
  settle();
  end(std::move(second));
  EXPECT_FALSE(is_free()) << "it is kept for the third";
}

}  // namespace
}  // namespace tulle::app
