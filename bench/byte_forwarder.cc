// This kernel's limit for a proxy: accepts, connects, and copies bytes both ways with recv and
// send, one epoll loop, nothing else. Usage: byte_forwarder LISTEN_PORT BACKEND_PORT (both on
// 127.0.0.1).
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <unordered_map>

namespace {

sockaddr_in loopback(int port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(static_cast<std::uint16_t>(port));
  return at;
}

int checked(int result, const char* what) {
  if (result >= 0) return result;
  std::perror(what);
  std::exit(1);
}

void watch(int poll, int fd) {
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  checked(::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: byte_forwarder LISTEN_PORT BACKEND_PORT\n", stderr);
    return 2;
  }
  const int one = 1;
  const sockaddr_in at = loopback(std::atoi(argv[1]));
  const sockaddr_in backend = loopback(std::atoi(argv[2]));
  const int poll = checked(::epoll_create1(0), "epoll_create1");
  const int listener = checked(::socket(AF_INET, SOCK_STREAM, 0), "socket");
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  checked(::bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at), "bind");
  checked(::listen(listener, 1024), "listen");
  watch(poll, listener);
  std::unordered_map<int, int> other;
  std::array<epoll_event, 64> events;
  static std::array<char, 65536> bytes;
  for (;;) {
    const int count = ::epoll_wait(poll, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      const int from = events[i].data.fd;
      if (from == listener) {
        const int client = checked(::accept(listener, nullptr, nullptr), "accept");
        const int server = checked(::socket(AF_INET, SOCK_STREAM, 0), "socket");
        checked(::connect(server, reinterpret_cast<const sockaddr*>(&backend), sizeof backend),
                "connect");
        other[client] = server;
        other[server] = client;
        watch(poll, client);
        watch(poll, server);
        continue;
      }
      if (!other.contains(from)) continue;  // its pair ended in this very batch
      const int to = other[from];
      const ssize_t got = ::recv(from, bytes.data(), bytes.size(), 0);
      if (got > 0 && ::send(to, bytes.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) == got) {
        continue;
      }
      other.erase(from);
      other.erase(to);
      ::close(from);
      ::close(to);
    }
  }
}
