#include "net/fd_channel.h"

#include "net/watched_fd.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstring>

namespace tulle::net {

namespace {

Result<OwnedFd> packet_socket(const std::string& path, sockaddr_un& address) {
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Code::invalid_argument,
                "the path of a Unix socket may have 107 characters at most: " + path);
  }
  path.copy(address.sun_path, path.size());
  OwnedFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return os_error(errno, "socket");
  return fd;
}

constexpr std::size_t kControlBytes = CMSG_SPACE(sizeof(int) * kFdMessageFdsMax);

std::vector<OwnedFd> take_descriptors(msghdr& message) {
  std::vector<OwnedFd> fds;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

struct FdChannel::State {
  State(rt::Loop& loop, rt::EpollDriver& driver, OwnedFd descriptor)
      : fd(loop, driver, std::move(descriptor)) {}
  WatchedFd fd;
};

FdChannel::FdChannel(std::unique_ptr<State> state) : state_(std::move(state)) {}
FdChannel::~FdChannel() = default;

int FdChannel::fd() const { return state_->fd.get(); }

Result<std::unique_ptr<FdChannel>> FdChannel::adopt(rt::Loop& loop, rt::EpollDriver& driver,
                                                    OwnedFd fd) {
  auto state = std::make_unique<State>(loop, driver, std::move(fd));
  TRY_VOID(state->fd.start());
  return std::unique_ptr<FdChannel>(new FdChannel(std::move(state)));
}

Result<std::unique_ptr<FdChannel>> FdChannel::connect(rt::Loop& loop, rt::EpollDriver& driver,
                                                      const std::string& path) {
  sockaddr_un address{};
  TRY(OwnedFd fd, packet_socket(path, address));
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return os_error(errno, "connecting to " + path);
  }
  return adopt(loop, driver, std::move(fd));
}

rt::Task<Result<void>> FdChannel::send(FdMessage message) {
  if (message.bytes.size() > kFdMessageBytesMax || message.fds.size() > kFdMessageFdsMax) {
    co_return fail(Code::exhausted, "message too large");
  }
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  iovec vector{.iov_base = message.bytes.data(), .iov_len = message.bytes.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (!message.fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(sizeof(int) * message.fds.size());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * message.fds.size());
    for (std::size_t i = 0; i < message.fds.size(); ++i) {
      const int fd = message.fds[i].get();
      std::memcpy(CMSG_DATA(rights) + i * sizeof fd, &fd, sizeof fd);
    }
  }
  for (;;) {
    if (::sendmsg(state_->fd.get(), &header, MSG_NOSIGNAL) >= 0) co_return Result<void>();
    if (errno == EAGAIN) {
      state_->fd.would_block(Interest::write);
      co_await ready(state_->fd, Interest::write);
    } else if (errno != EINTR) {
      co_return os_error(errno, "sending a message");
    }
  }
}

rt::Task<Result<FdMessage>> FdChannel::receive() {
  std::string buffer(kFdMessageBytesMax, '\0');
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  for (;;) {
    iovec vector{.iov_base = buffer.data(), .iov_len = buffer.size()};
    msghdr header{};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t count = ::recvmsg(state_->fd.get(), &header, MSG_CMSG_CLOEXEC);
    if (count > 0) {
      buffer.resize(static_cast<std::size_t>(count));
      co_return FdMessage{.bytes = std::move(buffer), .fds = take_descriptors(header)};
    }
    if (count == 0) co_return fail(Code::closed, "the other side closed the channel");
    if (errno == EAGAIN) {
      state_->fd.would_block(Interest::read);
      co_await ready(state_->fd, Interest::read);
    } else if (errno != EINTR) {
      co_return os_error(errno, "receiving a message");
    }
  }
}

struct FdChannelListener::State {
  State(rt::Loop& on, rt::EpollDriver& with, OwnedFd descriptor)
      : loop(on), driver(with), fd(on, with, std::move(descriptor)) {}
  rt::Loop& loop;
  rt::EpollDriver& driver;
  WatchedFd fd;
};

FdChannelListener::FdChannelListener(std::unique_ptr<State> state) : state_(std::move(state)) {}
FdChannelListener::~FdChannelListener() = default;

Result<std::unique_ptr<FdChannelListener>> FdChannelListener::listen(rt::Loop& loop,
                                                                     rt::EpollDriver& driver,
                                                                     const std::string& path) {
  sockaddr_un address{};
  TRY(OwnedFd fd, packet_socket(path, address));
  ::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(fd.get(), 16) != 0) {
    return os_error(errno, "listening on " + path);
  }
  auto state = std::make_unique<State>(loop, driver, std::move(fd));
  TRY_VOID(state->fd.start());
  return std::unique_ptr<FdChannelListener>(new FdChannelListener(std::move(state)));
}

rt::Task<Result<std::unique_ptr<FdChannel>>> FdChannelListener::accept() {
  for (;;) {
    OwnedFd fd(::accept4(state_->fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) co_return FdChannel::adopt(state_->loop, state_->driver, std::move(fd));
    if (errno == EAGAIN) {
      state_->fd.would_block(Interest::read);
      co_await ready(state_->fd, Interest::read);
    } else if (errno != EINTR && errno != ECONNABORTED) {
      co_return os_error(errno, "accept");
    }
  }
}

}  // namespace tulle::net
