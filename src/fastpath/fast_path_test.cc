// Needs the rights that the fast path needs; without them the tests are skipped.
#include "fastpath/fast_path.h"
#include "fastpath/check.h"
#include "net/loopback_pair.h"
#include "net/sockaddr.h"
#include "rt/epoll_driver.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

namespace tulle::fastpath {
namespace {

constexpr SocketAddress kAnyPort{.ip = IpAddress::v4(127, 0, 0, 1), .port = 0};

class FastPathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loaded = FastPath::load();
    if (!loaded) GTEST_SKIP() << loaded.error().message;
    fast_path = *std::move(loaded);
  }

  // How many sockets are joined when a stranger connects to `at`.
  std::uint64_t joined_by_connecting(const SocketAddress& at) const {
    const std::uint64_t before = fast_path->counts().sockets;
    const OwnedFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const net::NativeAddress to = net::to_native(at);
    EXPECT_EQ(::connect(client.get(), to.get(), to.size), 0);
    return fast_path->counts().sockets - before;
  }

  std::unique_ptr<FastPath> fast_path;
};

TEST_F(FastPathTest, keeps_streams_whole_on_this_kernel) {
  const auto outcome = check_streams(*fast_path);
  EXPECT_TRUE(outcome) << outcome.error().message;
  EXPECT_GT(fast_path->counts().held_back, 0U);
  EXPECT_EQ(fast_path->counts().not_joined, 0U);
}

TEST_F(FastPathTest, joins_nothing_that_has_not_the_proxy_at_one_end) {
  const auto pair = net::make_loopback_pair([](int) {});
  ASSERT_TRUE(pair);
  EXPECT_EQ(fast_path->counts().sockets, 0U);
}

TEST_F(FastPathTest, joins_nothing_that_has_the_proxy_at_both_ends) {
  auto driver = *rt::EpollDriver::create();
  rt::Loop loop(driver);
  net::KernelNetwork network(loop, driver, fast_path->hooks());
  const auto listener = *network.listen({.at = kAnyPort});
  const auto stream = loop.run(network.connect({.to = listener->local_address()}));
  ASSERT_TRUE(stream);
  EXPECT_LE(fast_path->counts().sockets, 1U);  // the client's end, for whom nobody comes
  const std::string_view hello = "hello";
  const auto accepted = loop.run(listener->accept());
  ASSERT_TRUE(accepted);
  ASSERT_TRUE((*stream)->try_write(std::span(&hello, 1)));
  EXPECT_EQ(fast_path->counts().messages, 0U);
}

TEST_F(FastPathTest, joins_who_connects_to_a_listener_as_long_as_it_is_there) {
  auto driver = *rt::EpollDriver::create();
  rt::Loop loop(driver);
  net::KernelNetwork network(loop, driver, fast_path->hooks());
  auto listener = *network.listen({.at = kAnyPort});
  const SocketAddress at = listener->local_address();
  EXPECT_EQ(joined_by_connecting(at), 2U);
  listener.reset();
  net::KernelNetwork strangers(loop, driver);
  const auto other = strangers.listen({.at = at});
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(joined_by_connecting(at), 0U);
}

}  // namespace
}  // namespace tulle::fastpath
