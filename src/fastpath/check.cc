#include "fastpath/check.h"

#include "base/format.h"
#include "net/loopback_pair.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <vector>

namespace tulle::fastpath {

namespace {

constexpr std::size_t kStallBytesMax = 64 << 20;
constexpr std::size_t kMessageMax = 24 << 10;
constexpr int kSendBuffer = 64 << 10;
constexpr timeval kPatience{.tv_sec = 1, .tv_usec = 0};

// The proxy's end connected to the program's.
struct Pair {
  OwnedFd own;
  OwnedFd program;
};

Result<Pair> make_pair(const FastPath& fast_path) {
  TRY(auto made, net::make_loopback_pair([&fast_path](int fd) { fast_path.claim(fd); }));
  for (const OwnedFd* fd : {&made.client, &made.server}) {
    ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
  }
  return Pair{.own = std::move(made.client), .program = std::move(made.server)};
}

ssize_t send_now(int fd, std::string_view bytes) {
  return ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool sends(int fd, std::string_view bytes) {
  return send_now(fd, bytes) == static_cast<ssize_t>(bytes.size());
}

bool reads(int fd, std::string_view expected) {
  std::array<char, 64> buffer;
  const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
  return size >= 0 && std::string_view(buffer.data(), static_cast<std::size_t>(size)) == expected;
}

// Bytes of which no two stretches are alike.
std::string pattern_from(std::size_t start, std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>(((start + i) * 0x9e3779b97f4a7c15) >> 56);
  }
  return bytes;
}

Result<void> check_delivery(const FastPath& fast_path, int from, int to) {
  const std::uint64_t before = fast_path.counts().messages;
  if (!sends(from, "hello") || !reads(to, "hello") || fast_path.counts().messages == before) {
    return fail(Code::unsupported, "nothing is delivered past TCP");
  }
  return {};
}

// Sends until the reader, who does not read, is waited for; then reads all of it.
Result<void> check_order(int from, int to) {
  std::size_t sent = 0;
  for (std::size_t number = 0;; ++number) {
    const std::size_t size = 1 + number * 997 % kMessageMax;
    const ssize_t taken = send_now(from, pattern_from(sent, size));
    if (taken < 0) break;
    sent += static_cast<std::size_t>(taken);
    if (sent > kStallBytesMax) return fail(Code::unsupported, "a slow reader is not waited for");
  }
  std::vector<char> buffer(1 << 20);
  for (std::size_t received = 0; received < sent;) {
    const ssize_t size = ::recv(to, buffer.data(), buffer.size(), 0);
    if (size <= 0) return failf(Code::unsupported, "of {} bytes {} arrive", sent, received);
    const std::string_view got(buffer.data(), static_cast<std::size_t>(size));
    if (got != pattern_from(received, got.size())) {
      return fail(Code::unsupported, "bytes arrive in another order than they were sent");
    }
    received += got.size();
  }
  if (!sends(from, "again") || !reads(to, "again")) {
    return fail(Code::unsupported, "a reader that was slow gets nothing more");
  }
  return {};
}

// Both directions end while the last bytes of one are not read yet.
Result<void> check_end(int from, int to) {
  const bool fine = sends(from, "last") && ::shutdown(from, SHUT_WR) == 0 &&
                    ::shutdown(to, SHUT_WR) == 0 && reads(to, "last") && reads(to, "") &&
                    reads(from, "");
  if (!fine) return fail(Code::unsupported, "what was sent before an end is lost");
  return {};
}

Result<void> check_available(const Pair& pair) {
  constexpr std::size_t size = 40 << 10;  // goes by TCP
  std::vector<char> buffer(size);
  int available = 0;
  const bool fine =
      sends(pair.own.get(), pattern_from(0, size)) &&
      ::recv(pair.program.get(), buffer.data(), 1, MSG_PEEK) == 1 &&
      ::ioctl(pair.program.get(), FIONREAD, &available) == 0 && available > 0 &&
      ::recv(pair.program.get(), buffer.data(), size, MSG_WAITALL) == static_cast<ssize_t>(size);
  if (!fine) return fail(Code::unsupported, "FIONREAD does not count what TCP brought");
  return {};
}

Result<void> check_splice(const Pair& pair) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error(errno, "pipe");
  const OwnedFd out(ends[0]);
  const OwnedFd in(ends[1]);
  const bool fine =
      sends(pair.own.get(), "hello") &&
      ::splice(pair.program.get(), nullptr, in.get(), nullptr, 5, SPLICE_F_NONBLOCK) == 5;
  if (!fine) return fail(Code::unsupported, "splice(2) does not see what was delivered");
  return {};
}

// More than is delivered past TCP: the rest comes by TCP.
Result<void> check_wait_all(const Pair& pair) {
  std::size_t sent = 0;
  for (ssize_t taken = 0; taken >= 0; taken = send_now(pair.program.get(), pattern_from(0, 1000))) {
    sent += static_cast<std::size_t>(taken);
    if (sent > kStallBytesMax) return fail(Code::unsupported, "a slow reader is not waited for");
  }
  std::vector<char> buffer(sent);
  if (::recv(pair.own.get(), buffer.data(), sent, MSG_WAITALL) != static_cast<ssize_t>(sent)) {
    return fail(Code::unsupported, "MSG_WAITALL does not wait");
  }
  return {};
}

}  // namespace

Result<void> check_streams(const FastPath& fast_path) {
  TRY(const Pair pair, make_pair(fast_path));
  TRY_VOID(check_delivery(fast_path, pair.own.get(), pair.program.get()));
  TRY_VOID(check_delivery(fast_path, pair.program.get(), pair.own.get()));
  TRY_VOID(check_order(pair.own.get(), pair.program.get()));
  TRY_VOID(check_order(pair.program.get(), pair.own.get()));
  TRY_VOID(check_end(pair.own.get(), pair.program.get()));
  TRY(const Pair other, make_pair(fast_path));
  return check_end(other.program.get(), other.own.get());
}

Result<void> check_calls(const FastPath& fast_path) {
  TRY(const Pair pair, make_pair(fast_path));
  TRY_VOID(check_available(pair));
  TRY_VOID(check_wait_all(pair));
  return check_splice(pair);
}

}  // namespace tulle::fastpath
