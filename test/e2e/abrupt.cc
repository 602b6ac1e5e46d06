// A server as many are: every answer takes a while, and at SIGTERM it is gone at once, with
// whatever it had in hand. One thread per connection; what it does not understand ends the
// connection.
//   abrupt PORT
//   /        200 after 100 ms
//   /stream  30 lines, one each 100 ms, chunked
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

namespace {

constexpr auto kPause = std::chrono::milliseconds(100);
constexpr int kLines = 30;

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool answer(int fd, std::string_view head) {
  if (head.find(" /stream ") == std::string_view::npos) {
    std::this_thread::sleep_for(kPause);
    return send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ndone\n");
  }
  bool sent = send_all(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; sent && i < kLines; ++i) {
    std::this_thread::sleep_for(kPause);
    sent = send_all(fd, "5\r\nline\n\r\n");
  }
  return sent && send_all(fd, "0\r\n\r\n");
}

void serve(int fd) {
  std::string received;
  for (char buffer[4096];;) {
    const std::size_t end = received.find("\r\n\r\n");
    if (end != std::string::npos) {
      if (!answer(fd, std::string_view(received).substr(0, end))) break;
      received.erase(0, end + 4);
      continue;
    }
    const ssize_t count = ::recv(fd, buffer, sizeof buffer, 0);
    if (count <= 0) break;
    received.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  // The first process of a namespace has no default for it.
  std::signal(SIGTERM, [](int) { ::_exit(0); });
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 8080));
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 128) != 0) {
    std::perror("abrupt");
    return 1;
  }
  for (;;) {
    const int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) continue;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::thread(serve, fd).detach();
  }
}
