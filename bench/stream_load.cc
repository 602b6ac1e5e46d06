// Load that wrk cannot make, and its backend: WebSocket messages and one-way streams.
//
//   stream_load serve PORT
//       A connection that begins with an HTTP upgrade gets a 101, then every byte back; to any
//       other client bytes are sent without end, and nothing is read.
//   stream_load messages PORT CONNECTIONS SECONDS
//       Upgrades, then sends one message of 32 bytes after the other, each when the last came back.
//       Prints: messages, errors, microseconds taken, then p50, p99, p99.9 in microseconds.
//   stream_load drain PORT CONNECTIONS SECONDS
//       Reads all that comes. Prints: bytes, errors, microseconds taken, 0 0 0.
//
// All on 127.0.0.1, one epoll loop, nothing is parsed but the end of the upgrade's head.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

using namespace std::string_view_literals;
using Clock = std::chrono::steady_clock;

constexpr std::string_view head_end = "\r\n\r\n";
constexpr std::string_view switching =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
constexpr std::string_view upgrade =
    "GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
// A masked text frame of 26 bytes, RFC 6455 section 5.2.
constexpr std::string_view message("\x81\x9a\0\0\0\0abcdefghijklmnopqrstuvwxyz", 32);

std::array<char, 64 * 1024> bytes;

int checked(int result, const char* what) {
  if (result >= 0) return result;
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(const char* port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
  return at;
}

void watch(int poll, int fd, std::uint32_t events) {
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  epoll_event event{.events = events, .data = {.fd = fd}};
  checked(::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

bool send_all(int fd, std::string_view what) {
  return ::send(fd, what.data(), what.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(what.size());
}

ssize_t receive(int fd) { return ::recv(fd, bytes.data(), bytes.size(), 0); }

std::string_view received(ssize_t count) { return {bytes.data(), static_cast<std::size_t>(count)}; }

int listen_at(int poll, const char* port) {
  const int listener = checked(::socket(AF_INET, SOCK_STREAM, 0), "socket");
  const int one = 1;
  const sockaddr_in at = loopback(port);
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  checked(::bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at), "bind");
  checked(::listen(listener, 1024), "listen");
  watch(poll, listener, EPOLLIN);
  return listener;
}

enum class Served { asked_for_nothing, upgraded, source };

// False when the client is gone.
bool serve_once(int fd, Served& state) {
  static const std::string block(bytes.size(), 'x');
  if (state == Served::source) {
    return ::send(fd, block.data(), block.size(), MSG_NOSIGNAL) > 0 || errno == EAGAIN;
  }
  const ssize_t got = receive(fd);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  if (state == Served::upgraded) return send_all(fd, received(got));
  state = Served::upgraded;
  return send_all(fd, switching);
}

void serve(const char* echo_port, const char* source_port) {
  const int poll = checked(::epoll_create1(0), "epoll_create1");
  const int echo = listen_at(poll, echo_port);
  const int source = listen_at(poll, source_port);
  std::unordered_map<int, Served> clients;
  std::array<epoll_event, 64> events;
  for (;;) {
    const int count = ::epoll_wait(poll, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == echo || fd == source) {
        const int client = checked(::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK), "accept");
        watch(poll, client, fd == source ? EPOLLOUT : EPOLLIN);
        clients[client] = fd == source ? Served::source : Served::asked_for_nothing;
      } else if (!serve_once(fd, clients[fd])) {
        ::close(fd);
        clients.erase(fd);
      }
    }
  }
}

struct Client {
  std::string head = {};  // of the 101, until its end
  bool upgraded = false;
  std::size_t returned = 0;  // of the message under way
  Clock::time_point sent = {};
};

struct Totals {
  std::uint64_t moved = 0;
  std::uint64_t errors = 0;
  std::vector<std::uint32_t> latencies_us = {};
};

bool send_message(int fd, Client& client) {
  client.returned = 0;
  client.sent = Clock::now();
  return send_all(fd, message);
}

// False when the connection is of no more use.
bool on_message_bytes(int fd, Client& client, std::string_view came, Totals& totals) {
  if (!client.upgraded) {
    client.head.append(came);
    client.upgraded = client.head.ends_with(head_end);
    if (!client.head.starts_with("HTTP/1.1 101"sv.substr(0, client.head.size()))) return false;
    return !client.upgraded || send_message(fd, client);
  }
  client.returned += came.size();
  if (client.returned < message.size()) return true;
  const auto took = Clock::now() - client.sent;
  totals.latencies_us.push_back(static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
  ++totals.moved;
  return send_message(fd, client);
}

void load(bool messages, const char* port, int connections, int seconds) {
  const int poll = checked(::epoll_create1(0), "epoll_create1");
  const sockaddr_in to = loopback(port);
  std::unordered_map<int, Client> clients;
  for (int i = 0; i < connections; ++i) {
    const int fd = checked(::socket(AF_INET, SOCK_STREAM, 0), "socket");
    checked(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), "connect");
    watch(poll, fd, EPOLLIN);
    clients[fd] = {};
    if (messages) send_all(fd, upgrade);
  }
  Totals totals;
  std::array<epoll_event, 64> events;
  const auto start = Clock::now();
  const auto end = start + std::chrono::seconds(seconds);
  while (Clock::now() < end && !clients.empty()) {
    const int count = ::epoll_wait(poll, events.data(), events.size(), 100);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      const ssize_t got = receive(fd);
      bool good = got > 0;
      if (good && messages) good = on_message_bytes(fd, clients[fd], received(got), totals);
      if (good && !messages) totals.moved += static_cast<std::uint64_t>(got);
      if (good) continue;
      ++totals.errors;
      clients.erase(fd);
      ::close(fd);
    }
  }
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
  auto& sorted = totals.latencies_us;
  std::ranges::sort(sorted);
  const auto at = [&sorted](double part) -> unsigned {
    if (sorted.empty()) return 0;
    return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
  };
  std::printf("%llu %llu %llu %u %u %u\n", static_cast<unsigned long long>(totals.moved),
              static_cast<unsigned long long>(totals.errors),
              static_cast<unsigned long long>(took.count()), at(0.5), at(0.99), at(0.999));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "serve" && argc == 4) {
    serve(argv[2], argv[3]);
  } else if ((mode == "messages" || mode == "drain") && argc == 5) {
    load(mode == "messages", argv[2], std::atoi(argv[3]), std::atoi(argv[4]));
  } else {
    std::fputs(
        "usage: stream_load serve ECHO_PORT SOURCE_PORT | "
        "(messages|drain) PORT CONNECTIONS SECONDS\n",
        stderr);
    return 2;
  }
}
