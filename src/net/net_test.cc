#include "net/fd_channel.h"
#include "net/kernel_network.h"
#include "net/memory_network.h"
#include "net/pki.h"
#include "net/sockaddr.h"
#include "net/tls.h"
#include "rt/combine.h"
#include "rt/process.h"
#include "rt/sim_driver.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

namespace tulle::net {
namespace {

using namespace std::chrono_literals;

struct Kernel {
  rt::EpollDriver driver = *rt::EpollDriver::create();
  rt::Loop loop{driver};
  KernelNetwork network{loop, driver};
};

struct Sim {
  rt::SimDriver driver;
  rt::Loop loop{driver};
};

constexpr IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);

rt::Task<void> send_all(Stream& stream, std::string_view bytes, Result<void>& outcome) {
  outcome = co_await write_all(stream, bytes);
  if (outcome) outcome = stream.shutdown_write();
}

rt::Task<Result<std::string>> read_to_end(Stream& stream) {
  std::string all;
  std::array<char, 1000> buffer;
  for (;;) {
    CO_TRY(const std::size_t count, co_await read(stream, buffer));
    if (count == 0) co_return all;
    all.append(buffer.data(), count);
  }
}

std::string pattern(std::size_t size) {
  Random random(7);
  std::string text(size, '\0');
  std::ranges::generate(text, [&random] { return static_cast<char>(random.next()); });
  return text;
}

// Sends a megabyte from `a` to `b`, half-closes, and expects it to arrive whole.
void expect_megabyte(rt::Loop& loop, Stream& a, Stream& b) {
  const std::string sent = pattern(1 << 20);
  Result<void> outcome;
  rt::Scope scope(loop);
  scope.spawn(send_all(a, sent, outcome));
  const auto received = loop.run(read_to_end(b));
  ASSERT_TRUE(received) << received.error().message;
  EXPECT_TRUE(*received == sent);
  loop.run(scope.idle());
  EXPECT_TRUE(outcome);
}

struct Connected {
  std::unique_ptr<Stream> client;
  std::unique_ptr<Stream> server;
};

Connected connect_pair(rt::Loop& loop, Network& network, const SocketAddress& at) {
  auto listener = network.listen({.at = at});
  EXPECT_TRUE(listener) << listener.error().message;
  auto client = loop.run(network.connect({.to = (*listener)->local_address()}));
  EXPECT_TRUE(client) << client.error().message;
  auto server = loop.run((*listener)->accept());
  EXPECT_TRUE(server) << server.error().message;
  return {.client = *std::move(client), .server = *std::move(server)};
}

TEST(MemoryPipe, carries_a_megabyte_through_a_small_buffer) {
  Sim sim;
  StreamPair pair = memory_pipe(sim.loop, 777);
  expect_megabyte(sim.loop, *pair.a, *pair.b);
}

TEST(MemoryNetwork, delays_by_its_latency_and_resets_what_is_killed) {
  Sim sim;
  MemoryNetwork network(sim.loop, Random(1), {.latency_min = 1ms, .latency_max = 3ms});
  const SocketAddress at{.ip = kLoopback, .port = 80};
  Connected pair = connect_pair(sim.loop, network, at);
  expect_megabyte(sim.loop, *pair.client, *pair.server);
  EXPECT_GE(sim.loop.now().time_since_epoch(), 2ms);
  network.kill(kLoopback);
  std::array<char, 10> buffer;
  EXPECT_EQ(pair.client->try_read(buffer)->error().code, Code::reset);
  const auto listener = network.listen({.at = {.ip = kLoopback, .port = 81}});
  EXPECT_EQ(sim.loop.run(network.connect({.to = {.ip = kLoopback, .port = 81}})).error().code,
            Code::refused);
}

TEST(MemoryNetwork, redirects_in_a_namespace_and_keeps_the_original_destination) {
  Sim sim;
  MemoryNetwork network(sim.loop, Random(1));
  const auto pod = std::make_shared<Namespace>("pod", OwnedFd());
  const SocketAddress capture{.ip = kLoopback, .port = 15001};
  const SocketAddress wanted{.ip = IpAddress::v4(10, 96, 0, 7), .port = 80};
  network.redirect("pod", capture);
  auto listener = *network.listen({.at = capture, .in = pod});
  auto client = *sim.loop.run(network.connect({.to = wanted, .in = pod}));
  auto server = *sim.loop.run(listener->accept());
  EXPECT_EQ(server->original_destination(), wanted);
}

TEST(KernelNetwork, carries_a_megabyte_over_tcp) {
  Kernel kernel;
  Connected pair = connect_pair(kernel.loop, kernel.network, {.ip = kLoopback, .port = 0});
  expect_megabyte(kernel.loop, *pair.client, *pair.server);
}

// A client by plain system calls, and what the stream at the other end reads to its end.
std::string read_after(void (*speak)(int)) {
  Kernel kernel;
  auto listener = kernel.network.listen({.at = {.ip = kLoopback, .port = 0}});
  EXPECT_TRUE(listener);
  const OwnedFd client(::socket(AF_INET, SOCK_STREAM, 0));
  const NativeAddress to = to_native((*listener)->local_address());
  EXPECT_EQ(::connect(client.get(), to.get(), to.size), 0);
  auto server = kernel.loop.run((*listener)->accept());
  EXPECT_TRUE(server);
  speak(client.get());
  kernel.loop.turn_once();  // what epoll has to say of it is said before the first read
  const auto received = kernel.loop.run(
      rt::with_deadline(kernel.loop, kernel.loop.now() + 5s, read_to_end(**server)));
  EXPECT_TRUE(received) << received.error().message;
  return received.value_or("");
}

TEST(KernelNetwork, sees_an_end_that_arrived_together_with_the_last_bytes) {
  EXPECT_EQ(read_after([](int client) {
              EXPECT_EQ(::send(client, "last", 4, 0), 4);
              EXPECT_EQ(::shutdown(client, SHUT_WR), 0);
            }),
            "last");
}

TEST(KernelNetwork, shows_the_peer_an_orderly_end_or_a_reset) {
  for (const bool resets : {false, true}) {
    Kernel kernel;
    Connected pair = connect_pair(kernel.loop, kernel.network, {.ip = kLoopback, .port = 0});
    if (resets) pair.server->reset_when_closed();
    pair.server.reset();
    const auto seen = kernel.loop.run(read_to_end(*pair.client));
    EXPECT_EQ(resets, !seen && seen.error().code == Code::reset);
    EXPECT_EQ(resets, !seen);
  }
}

TEST(KernelNetwork, reads_on_behind_urgent_data) {
  EXPECT_EQ(read_after([](int client) {
              EXPECT_EQ(::send(client, "before", 6, 0), 6);
              EXPECT_EQ(::send(client, "!", 1, MSG_OOB), 1);
              EXPECT_EQ(::send(client, "behind", 6, 0), 6);
              EXPECT_EQ(::shutdown(client, SHUT_WR), 0);
            }),
            "beforebehind");
}

TEST(KernelNetwork, knows_the_peer_and_sends_without_delay_whoever_dialled) {
  Kernel kernel;
  const Connected pair = connect_pair(kernel.loop, kernel.network, {.ip = kLoopback, .port = 0});
  EXPECT_EQ(pair.server->peer_address(), pair.client->local_address());
  EXPECT_EQ(pair.client->peer_address(), pair.server->local_address());
  for (const Stream* stream : {pair.client.get(), pair.server.get()}) {
    int no_delay = 0;
    socklen_t size = sizeof no_delay;
    EXPECT_EQ(::getsockopt(stream->plain_fd(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
    EXPECT_EQ(no_delay, 1);
  }
}

TEST(KernelNetwork, says_who_refused_and_which_port_is_taken) {
  Kernel kernel;
  auto listener = *kernel.network.listen({.at = {.ip = kLoopback, .port = 0}});
  const SocketAddress at = listener->local_address();
  EXPECT_EQ(kernel.network.listen({.at = at}).error().code, Code::already_exists);
  listener.reset();
  const auto refused = kernel.loop.run(kernel.network.connect({.to = at}));
  EXPECT_EQ(refused.error().code, Code::refused);
}

TEST(KernelNetwork, exchanges_datagrams) {
  Kernel kernel;
  auto a = *kernel.network.bind_datagram({.at = {.ip = kLoopback, .port = 0}});
  auto b = *kernel.network.bind_datagram({.at = {.ip = kLoopback, .port = 0}});
  ASSERT_TRUE(a->send("ping", b->local_address()));
  std::array<char, 100> buffer;
  const auto received = *kernel.loop.run(b->receive(buffer));
  EXPECT_EQ(std::string_view(buffer.data(), received.size), "ping");
  EXPECT_EQ(received.from, a->local_address());
}

struct Temporary {
  Temporary() {
    std::string name = std::filesystem::temp_directory_path() / "tulle-net-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~Temporary() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

TEST(KernelNetwork, replaces_a_stale_unix_socket_but_not_a_live_one) {
  Kernel kernel;
  const Temporary directory;
  const std::string path = directory.path / "s";
  {
    const auto first = kernel.network.listen_unix(path);
  }
  auto second = kernel.network.listen_unix(path);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(kernel.network.listen_unix(path).error().code, Code::already_exists);
}

TEST(FdChannel, hands_over_a_descriptor_that_works) {
  Kernel kernel;
  const Temporary directory;
  const std::string path = directory.path / "c";
  auto listener = *FdChannelListener::listen(kernel.loop, kernel.driver, path);
  auto client = *FdChannel::connect(kernel.loop, kernel.driver, path);
  auto server = *kernel.loop.run(listener->accept());
  std::ofstream(directory.path / "f") << "content";
  FdMessage message{.bytes = "here", .fds = {}};
  message.fds.emplace_back(::open((directory.path / "f").c_str(), O_RDONLY));
  ASSERT_TRUE(kernel.loop.run(client->send(std::move(message))));
  const auto received = *kernel.loop.run(server->receive());
  EXPECT_EQ(received.bytes, "here");
  std::array<char, 10> buffer;
  ASSERT_EQ(received.fds.size(), 1U);
  EXPECT_EQ(::read(received.fds[0].get(), buffer.data(), buffer.size()), 7);
  client.reset();
  EXPECT_EQ(kernel.loop.run(server->receive()).error().code, Code::closed);
}

struct Pki {
  KeyPair ca = *make_certificate_authority(
      {.common_name = "test-ca", .not_before = kStart, .lifetime = 24h * 3650});
  KeyPair server = *issue_certificate(ca, {.common_name = "server",
                                           .dns_names = {"tulle.test"},
                                           .ip_addresses = {kLoopback},
                                           .server = true,
                                           .not_before = kStart,
                                           .lifetime = 24h * 3650});
  KeyPair client = *issue_certificate(ca, {.common_name = "alice",
                                           .organizations = {"system:masters"},
                                           .client = true,
                                           .not_before = kStart,
                                           .lifetime = 24h * 3650});
  static constexpr WallTime kStart{std::chrono::seconds{1767225600}};
};

rt::Task<void> accept_tls(rt::Loop& loop, std::unique_ptr<Stream> inner,
                          std::shared_ptr<const TlsContext> context,
                          std::optional<Result<std::unique_ptr<TlsStream>>>& out) {
  out = co_await tls_accept(loop, std::move(inner), std::move(context));
}

struct TlsPair {
  std::optional<Result<std::unique_ptr<TlsStream>>> server;
  Result<std::unique_ptr<TlsStream>> client = fail(Code::internal, "");
};

TlsPair handshake(rt::Loop& loop, const Pki& pki, std::string server_name) {
  auto server = *TlsContext::server({.certificate_chain_pem = pki.server.certificate_pem,
                                     .private_key_pem = pki.server.private_key_pem,
                                     .client_ca_pem = pki.ca.certificate_pem,
                                     .alpn = {"http/1.1"}});
  auto client = *TlsContext::client({.ca_pem = pki.ca.certificate_pem,
                                     .certificate_chain_pem = pki.client.certificate_pem,
                                     .private_key_pem = pki.client.private_key_pem,
                                     .alpn = {"h2", "http/1.1"}});
  StreamPair pipe = memory_pipe(loop, 1500);
  TlsPair pair;
  rt::Scope scope(loop);
  scope.spawn(accept_tls(loop, std::move(pipe.b), server, pair.server));
  pair.client = loop.run(tls_connect(loop, std::move(pipe.a), client, std::move(server_name)));
  loop.run(scope.idle());
  return pair;
}

TEST(Tls, proves_both_sides_and_carries_a_megabyte_each_way) {
  Sim sim;
  const Pki pki;
  TlsPair pair = handshake(sim.loop, pki, "tulle.test");
  ASSERT_TRUE(pair.client) << pair.client.error().message;
  ASSERT_TRUE(pair.server && *pair.server);
  TlsStream& server = ***pair.server;
  EXPECT_EQ(server.peer().common_name, "alice");
  EXPECT_EQ(server.peer().organizations, std::vector<std::string>{"system:masters"});
  EXPECT_EQ((*pair.client)->alpn(), "http/1.1");
  expect_megabyte(sim.loop, **pair.client, server);
  expect_megabyte(sim.loop, server, **pair.client);
}

TEST(Tls, refuses_a_certificate_for_another_name) {
  Sim sim;
  const TlsPair pair = handshake(sim.loop, Pki(), "other.test");
  EXPECT_EQ(pair.client.error().code, Code::permission_denied);
}

TEST(Process, tells_output_and_exit_and_what_could_not_start) {
  Kernel kernel;
  const auto output = kernel.loop.run(run_command(
      kernel.loop, kernel.driver, {.arguments = {"sh", "-c", "echo out; echo err >&2; exit 3"}}));
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(output->output, "out\n");
  EXPECT_EQ(output->errors, "err\n");
  EXPECT_EQ(output->status.code, 3);
  const auto missing =
      kernel.loop.run(run_command(kernel.loop, kernel.driver, {.arguments = {"no-such-command"}}));
  EXPECT_EQ(missing.error().code, Code::not_found);
}

TEST(Process, is_signalled_and_watched_by_descriptor) {
  Kernel kernel;
  const auto process =
      *rt::Process::spawn(kernel.loop, kernel.driver, {.arguments = {"sleep", "60"}});
  const auto watch = *rt::ProcessWatch::open(kernel.loop, kernel.driver, process->pid());
  ASSERT_TRUE(process->signal(SIGTERM));
  EXPECT_EQ(kernel.loop.run(process->exited())->signal, SIGTERM);
  kernel.loop.run(watch->gone());
}

TEST(Process, has_ended_for_a_watch_while_nobody_has_reaped_it) {
  Kernel kernel;
  const auto process =
      *rt::Process::spawn(kernel.loop, kernel.driver, {.arguments = {"sleep", "60"}});
  const auto watch = *rt::ProcessWatch::open(kernel.loop, kernel.driver, process->pid());
  ASSERT_TRUE(process->signal(SIGTERM));
  kernel.loop.run(watch->gone());
  EXPECT_EQ(kernel.loop.run(process->exited())->signal, SIGTERM);
}

}  // namespace
}  // namespace tulle::net
