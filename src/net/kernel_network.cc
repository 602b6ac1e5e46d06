#include "net/kernel_network.h"

#include "net/kept_sockets.h"
#include "net/sockaddr.h"
#include "net/watched_fd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace tulle::net {

namespace {

constexpr int kListenBacklog = 4096;
constexpr std::size_t kCopiedBytesMax = 1024;
// SO_ORIGINAL_DST of linux/netfilter_ipv4.h, which does not go together with netinet/in.h.
constexpr int kOriginalDestination = 80;

SocketAddress address_of(int fd, int (*query)(int, sockaddr*, socklen_t*)) {
  NativeAddress native;
  if (query(fd, native.get(), &native.size) != 0) return {};
  return from_native(native);
}

void set_option(int fd, int level, int option) {
  const int on = 1;
  ::setsockopt(fd, level, option, &on, sizeof on);
}

constexpr Duration kHeldBackPauseMin = std::chrono::microseconds(500);
constexpr Duration kHeldBackPauseMax = std::chrono::milliseconds(50);

enum class StreamKind : std::uint8_t { tcp, joined_tcp, other_socket, file };

// What a joined socket needs beyond the events that every socket makes.
class Joined final : public rt::Runnable {
 public:
  explicit Joined(WatchedFd& fd) : fd_(fd), timer_(fd.loop(), *this) {}

  // A read gave `size` bytes, and less than it asked for if `short_of`.
  void read(std::size_t size, bool short_of) {
    unread_max_ += size;
    if (!short_of || unread_max_ >= kJoinedUnreadMin) return;
    unread_max_ = 0;
    fd_.drained();
  }
  void read_all() { unread_max_ = 0; }

  // The peer has too much to read already. No event says when that is over.
  void hold_back() {
    fd_.would_block(Interest::write);
    timer_.arm(fd_.loop().now() + pause_);
    pause_ = std::min(pause_ * 2, kHeldBackPauseMax);
  }
  void written() { pause_ = kHeldBackPauseMin; }
  void run() override { fd_.on_events(EPOLLOUT); }

 private:
  WatchedFd& fd_;
  rt::Timer timer_;
  Duration pause_ = kHeldBackPauseMin;
  std::size_t unread_max_ = 0;  // read since nothing was left: so much may have waited at once
};

class KernelStream final : public Stream {
 public:
  KernelStream(rt::Loop& loop, rt::EpollDriver& driver, OwnedFd fd, StreamKind kind,
               const SocketAddress& peer)
      : fd_(loop, driver, std::move(fd)), kind_(kind), peer_(peer) {
    if (kind == StreamKind::joined_tcp) joined_ = std::make_unique<Joined>(fd_);
  }

  Result<void> start() { return fd_.start(); }
  WatchedFd& fd() { return fd_; }

  Attempt try_read(std::span<char> buffer) override {
    if (!fd_.may_try(Interest::read)) return std::nullopt;
    for (;;) {
      const ssize_t count = is_socket() ? ::recv(fd_.get(), buffer.data(), buffer.size(), 0)
                                        : ::read(fd_.get(), buffer.data(), buffer.size());
      if (count >= 0) {
        const auto size = static_cast<std::size_t>(count);
        note_read(size, size < buffer.size());
        return Result<std::size_t>(size);
      }
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        fd_.would_block(Interest::read);
        if (joined_) joined_->read_all();
        return std::nullopt;
      }
      return Result<std::size_t>(os_error(errno, "read"));
    }
  }

  Attempt try_write(std::span<const std::string_view> pieces) override {
    if (!fd_.may_try(Interest::write)) return std::nullopt;
    std::array<iovec, kPiecesMax> vectors;
    const std::size_t count = std::min(pieces.size(), vectors.size());
    for (std::size_t i = 0; i < count; ++i) {
      vectors[i] = {.iov_base = const_cast<char*>(pieces[i].data()), .iov_len = pieces[i].size()};
    }
    for (;;) {
      const ssize_t written = send_vectors(std::span(vectors.data(), count));
      if (written >= 0) {
        if (joined_) joined_->written();
        return Result<std::size_t>(static_cast<std::size_t>(written));
      }
      if (errno == EINTR) continue;
      if (errno == EPIPE && joined_ && can_send()) {
        joined_->hold_back();
        return std::nullopt;
      }
      if (errno == EAGAIN) {
        fd_.would_block(Interest::write);
        return std::nullopt;
      }
      return Result<std::size_t>(os_error(errno, "write"));
    }
  }

  void wait(Interest interest, rt::Runnable& waiter) override { fd_.wait(interest, waiter); }

  Result<void> shutdown_write() override {
    if (!is_socket()) return {};
    if (::shutdown(fd_.get(), SHUT_WR) != 0 && errno != ENOTCONN) {
      return os_error(errno, "shutdown");
    }
    return {};
  }

  void reset_when_closed() override {
    const linger none{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
  }

  SocketAddress local_address() const override { return address_of(fd_.get(), ::getsockname); }
  SocketAddress peer_address() const override { return peer_; }

  SocketAddress original_destination() const override {
    NativeAddress native;
    if (::getsockopt(fd_.get(), SOL_IP, kOriginalDestination, native.get(), &native.size) != 0) {
      return local_address();
    }
    return from_native(native);
  }

  int plain_fd() const override { return fd_.get(); }

 private:
  bool is_socket() const { return kind_ != StreamKind::file; }

  void note_read(std::size_t size, bool short_of) {
    if (size == 0) return;
    if (joined_) return joined_->read(size, short_of);
    if (kind_ == StreamKind::tcp && short_of) fd_.drained();
  }

  // Whether the socket itself has not failed. REQUIRES: no shutdown_write() before.
  bool can_send() const {
    tcp_info info{};
    socklen_t size = sizeof info;
    return ::getsockopt(fd_.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
           (info.tcpi_state == TCP_ESTABLISHED || info.tcpi_state == TCP_CLOSE_WAIT);
  }

  // A head and a small body go out as one buffer: copying a few hundred bytes costs less than
  // having the kernel read a message's header and vectors.
  ssize_t send_vectors(std::span<iovec> vectors) {
    if (!is_socket()) return ::writev(fd_.get(), vectors.data(), static_cast<int>(vectors.size()));
    if (vectors.size() == 1) {
      return ::send(fd_.get(), vectors[0].iov_base, vectors[0].iov_len, MSG_NOSIGNAL);
    }
    std::array<char, kCopiedBytesMax> copy;
    std::size_t size = 0;
    for (const iovec& vector : vectors) {
      if (vector.iov_len > copy.size() - size) return send_message(vectors);
      std::memcpy(copy.data() + size, vector.iov_base, vector.iov_len);
      size += vector.iov_len;
    }
    return ::send(fd_.get(), copy.data(), size, MSG_NOSIGNAL);
  }

  ssize_t send_message(std::span<iovec> vectors) {
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = vectors.size();
    return ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  }

  WatchedFd fd_;
  StreamKind kind_;
  SocketAddress peer_;
  std::unique_ptr<Joined> joined_;  // of joined sockets
};

Result<std::unique_ptr<KernelStream>> make_stream(rt::Loop& loop, rt::EpollDriver& driver,
                                                  OwnedFd fd, StreamKind kind,
                                                  const SocketAddress& peer = {}) {
  auto stream = std::make_unique<KernelStream>(loop, driver, std::move(fd), kind, peer);
  TRY_VOID(stream->start());
  return stream;
}

class KernelListener final : public Listener {
 public:
  // `joined` is what SocketHooks gave for it, `kept` the keeper.
  KernelListener(rt::Loop& loop, rt::EpollDriver& driver, OwnedFd fd, std::shared_ptr<void> joined,
                 std::shared_ptr<void> kept)
      : driver_(driver),
        fd_(loop, driver, std::move(fd)),
        joined_(std::move(joined)),
        kept_(std::move(kept)) {}

  Result<void> start() { return fd_.start(); }
  int fd() const { return fd_.get(); }

  rt::Task<Result<std::unique_ptr<Stream>>> accept() override {
    for (;;) {
      NativeAddress from;
      OwnedFd accepted(::accept4(fd_.get(), from.get(), &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (accepted) {
        CO_TRY(auto stream, make_stream(fd_.loop(), driver_, std::move(accepted),
                                        kind_of(from.storage.ss_family), from_native(from)));
        co_return std::unique_ptr<Stream>(std::move(stream));
      }
      if (errno == EAGAIN) {
        fd_.would_block(Interest::read);
        co_await ready(fd_, Interest::read);
        continue;
      }
      if (errno != EINTR && errno != ECONNABORTED) co_return os_error(errno, "accept");
    }
  }

  SocketAddress local_address() const override { return address_of(fd_.get(), ::getsockname); }

 private:
  StreamKind kind_of(sa_family_t family) const {
    if (family == AF_UNIX) return StreamKind::other_socket;
    return joined_ ? StreamKind::joined_tcp : StreamKind::tcp;
  }

  rt::EpollDriver& driver_;
  WatchedFd fd_;
  std::shared_ptr<void> joined_;
  std::shared_ptr<void> kept_;
};

Result<std::unique_ptr<Listener>> make_listener(rt::Loop& loop, rt::EpollDriver& driver, OwnedFd fd,
                                                std::shared_ptr<void> joined = nullptr,
                                                std::shared_ptr<void> kept = nullptr) {
  auto listener = std::make_unique<KernelListener>(loop, driver, std::move(fd), std::move(joined),
                                                   std::move(kept));
  TRY_VOID(listener->start());
  return std::unique_ptr<Listener>(std::move(listener));
}

Result<OwnedFd> make_socket(int family, int type, const NamespacePtr& in, int protocol = 0) {
  return in_namespace(in, [&]() -> Result<OwnedFd> {
    OwnedFd fd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
    if (!fd) return os_error(errno, "socket");
    return fd;
  });
}

int family_of(const SocketAddress& address) { return address.ip.is_v4() ? AF_INET : AF_INET6; }

// Code::already_exists, in words for the person at the terminal, where the port is taken.
Error bind_error(int number, const SocketAddress& at) {
  if (number == EADDRINUSE) {
    return {.code = Code::already_exists,
            .message = "port " + std::to_string(at.port) + " on " + at.ip.to_string() +
                       " is taken by another process",
            .os_error = number};
  }
  return os_error(number, "listening on " + at.to_string());
}

Result<OwnedFd> bound_socket(const ListenOptions& options, int type) {
  TRY(OwnedFd fd, make_socket(family_of(options.at), type, options.in));
  if (type == SOCK_STREAM) {
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR);
    set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY);  // what is accepted inherits it
  }
  if (options.reuse_port) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT);
  if (options.transparent) set_option(fd.get(), SOL_IP, IP_TRANSPARENT);
  const NativeAddress native = to_native(options.at);
  if (::bind(fd.get(), native.get(), native.size) != 0) return bind_error(errno, options.at);
  return fd;
}

// Where a socket is bound, as it is known across processes. Sockets keep their namespace alive, so
// no other one gets its number.
Result<std::string> kept_name(const ListenOptions& options, int type) {
  std::string name = (type == SOCK_STREAM ? "tcp " : "udp ") + options.at.to_string();
  if (!options.in || !options.in->fd) return name;
  struct stat status{};
  if (::fstat(options.in->fd.get(), &status) != 0) {
    return os_error(errno, "looking at network namespace " + options.in->name);
  }
  return name + " " + std::to_string(status.st_ino);
}

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Code::invalid_argument,
                "the path of a Unix socket may have 107 characters at most: " + path);
  }
  path.copy(address.sun_path, path.size());
  return address;
}

}  // namespace

rt::Task<Result<std::unique_ptr<Stream>>> KernelNetwork::connect(ConnectOptions options) {
  CO_TRY(OwnedFd fd, make_socket(family_of(options.to), SOCK_STREAM, options.in));
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY);
  if (options.from) {
    set_option(fd.get(), SOL_IP, IP_TRANSPARENT);
    set_option(fd.get(), SOL_IP, IP_BIND_ADDRESS_NO_PORT);
    const NativeAddress from = to_native(*options.from);
    if (::bind(fd.get(), from.get(), from.size) != 0) {
      co_return os_error(errno, "binding to " + options.from->to_string());
    }
  }
  const NativeAddress to = to_native(options.to);
  if (hooks_.connecting) hooks_.connecting(fd.get());
  if (::connect(fd.get(), to.get(), to.size) != 0 && errno != EINPROGRESS) {
    co_return os_error(errno, "connecting to " + options.to.to_string());
  }
  const StreamKind kind = hooks_.connecting ? StreamKind::joined_tcp : StreamKind::tcp;
  CO_TRY(auto stream, make_stream(loop_, driver_, std::move(fd), kind, options.to));
  // Writability is the first edge after the handshake ended either way; nothing was received yet.
  stream->fd().would_block(Interest::write);
  stream->fd().would_block(Interest::read);
  co_await ready(stream->fd(), Interest::write);
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(stream->plain_fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) co_return os_error(error, "connecting to " + options.to.to_string());
  co_return std::unique_ptr<Stream>(std::move(stream));
}

struct KernelNetwork::Bound {
  OwnedFd fd;
  std::shared_ptr<void> kept;
};

Result<KernelNetwork::Bound> KernelNetwork::bind(const ListenOptions& options, int type) const {
  if (hooks_.kept == nullptr || options.at.port == 0) {
    TRY(OwnedFd fd, bound_socket(options, type));
    return Bound{.fd = std::move(fd), .kept = nullptr};
  }
  TRY(const std::string name, kept_name(options, type));
  if (auto kept = hooks_.kept->take(name)) {
    return Bound{.fd = std::move(kept->fd), .kept = std::move(kept->token)};
  }
  TRY(OwnedFd fd, bound_socket(options, type));
  auto token = hooks_.kept->keep(name, fd.get());
  return Bound{.fd = std::move(fd), .kept = std::move(token)};
}

Result<std::unique_ptr<Listener>> KernelNetwork::listen(const ListenOptions& options) {
  TRY(Bound bound, bind(options, SOCK_STREAM));
  std::shared_ptr<void> joined;
  if (hooks_.listening) joined = hooks_.listening(bound.fd.get(), options.in != nullptr);
  if (::listen(bound.fd.get(), kListenBacklog) != 0) return bind_error(errno, options.at);
  return make_listener(loop_, driver_, std::move(bound.fd), std::move(joined),
                       std::move(bound.kept));
}

rt::Task<Result<std::unique_ptr<Stream>>> KernelNetwork::connect_unix(std::string path) {
  CO_TRY(const sockaddr_un address, unix_address(path));
  CO_TRY(OwnedFd fd, make_socket(AF_UNIX, SOCK_STREAM, nullptr));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    co_return os_error(errno, "connecting to " + path);
  }
  CO_TRY(auto stream, make_stream(loop_, driver_, std::move(fd), StreamKind::other_socket));
  co_return std::unique_ptr<Stream>(std::move(stream));
}

Result<std::unique_ptr<Listener>> KernelNetwork::listen_unix(const std::string& path) {
  TRY(const sockaddr_un address, unix_address(path));
  const auto* native = reinterpret_cast<const sockaddr*>(&address);
  TRY(const OwnedFd probe, make_socket(AF_UNIX, SOCK_STREAM, nullptr));
  if (::connect(probe.get(), native, sizeof address) == 0) {
    return fail(Code::already_exists, path + " is in use by another process");
  }
  ::unlink(path.c_str());
  TRY(OwnedFd fd, make_socket(AF_UNIX, SOCK_STREAM, nullptr));
  if (::bind(fd.get(), native, sizeof address) != 0 || ::chmod(path.c_str(), 0600) != 0 ||
      ::listen(fd.get(), kListenBacklog) != 0) {
    return os_error(errno, "listening on " + path);
  }
  return make_listener(loop_, driver_, std::move(fd));
}

Result<std::unique_ptr<Stream>> KernelNetwork::adopt(OwnedFd fd) {
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return os_error(errno, "adopting a descriptor");
  const int flags = ::fcntl(fd.get(), F_GETFL);
  ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
  const auto kind = S_ISSOCK(status.st_mode) ? StreamKind::other_socket : StreamKind::file;
  TRY(auto stream, make_stream(loop_, driver_, std::move(fd), kind));
  return std::unique_ptr<Stream>(std::move(stream));
}

namespace {

class KernelDatagram final : public Datagram {
 public:
  // `raw`: of a transparent one, to answer by.
  KernelDatagram(rt::Loop& loop, rt::EpollDriver& driver, OwnedFd fd, OwnedFd raw,
                 std::shared_ptr<void> kept)
      : fd_(loop, driver, std::move(fd)), raw_(std::move(raw)), kept_(std::move(kept)) {}
  Result<void> start() { return fd_.start(); }

  rt::Task<Result<Received>> receive(std::span<char> buffer) override {
    for (;;) {
      NativeAddress from;
      alignas(cmsghdr) std::array<char, 256> control;
      iovec vector{.iov_base = buffer.data(), .iov_len = buffer.size()};
      msghdr message{};
      message.msg_name = from.get();
      message.msg_namelen = from.size;
      message.msg_iov = &vector;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      const ssize_t count = ::recvmsg(fd_.get(), &message, MSG_TRUNC);
      if (count >= 0) {
        co_return Received{.size = static_cast<std::size_t>(count),
                           .from = from_native(from),
                           .to = destination(message)};
      }
      if (errno == EAGAIN) {
        fd_.would_block(Interest::read);
        co_await ready(fd_, Interest::read);
        continue;
      }
      if (errno != EINTR) co_return os_error(errno, "receive");
    }
  }

  Result<void> send(std::string_view bytes, const SocketAddress& to) override {
    const NativeAddress native = to_native(to);
    const ssize_t sent =
        ::sendto(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL, native.get(), native.size);
    if (sent < 0 && errno != EAGAIN) return os_error(errno, "sending to " + to.to_string());
    return {};
  }

  // The port is written by hand: a socket bound to it would take it from the namespace's programs.
  Result<void> answer(std::string_view bytes, const Received& received) override {
    if (!raw_) return send(bytes, received.from);
    struct {
      iphdr ip;
      udphdr udp;
    } head{};
    if (bytes.size() > kPacketBytesMax - sizeof head) {
      return fail(Code::invalid_argument, "no datagram may be as long as that");
    }
    head.ip.version = IPVERSION;
    head.ip.ihl = sizeof head.ip / sizeof(std::uint32_t);
    head.ip.ttl = IPDEFTTL;
    head.ip.protocol = IPPROTO_UDP;
    std::memcpy(&head.ip.saddr, received.to.ip.bytes().data(), sizeof head.ip.saddr);
    std::memcpy(&head.ip.daddr, received.from.ip.bytes().data(), sizeof head.ip.daddr);
    head.udp.source = htons(received.to.port);
    head.udp.dest = htons(received.from.port);
    head.udp.len = htons(static_cast<std::uint16_t>(sizeof head.udp + bytes.size()));
    // The kernel adds the header's checksum; the datagram has none (RFC 768), as it stays on `lo`.
    NativeAddress to = to_native({.ip = received.from.ip, .port = 0});
    std::array<iovec, 2> vectors{
        {{.iov_base = &head, .iov_len = sizeof head},
         {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()}}};
    msghdr message{};
    message.msg_name = to.get();
    message.msg_namelen = to.size;
    message.msg_iov = vectors.data();
    message.msg_iovlen = vectors.size();
    if (::sendmsg(raw_.get(), &message, MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
      return os_error(errno, "answering " + received.from.to_string());
    }
    return {};
  }

  SocketAddress local_address() const override { return address_of(fd_.get(), ::getsockname); }

 private:
  static constexpr std::size_t kPacketBytesMax = 65535;  // of IPv4

  static SocketAddress destination(msghdr& message) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_IP || header->cmsg_type != IP_ORIGDSTADDR) continue;
      NativeAddress native;
      std::copy_n(reinterpret_cast<const char*>(CMSG_DATA(header)), sizeof(sockaddr_in),
                  reinterpret_cast<char*>(&native.storage));
      return from_native(native);
    }
    return {};
  }

  WatchedFd fd_;
  OwnedFd raw_;
  std::shared_ptr<void> kept_;
};

}  // namespace

Result<std::unique_ptr<Datagram>> KernelNetwork::bind_datagram(const ListenOptions& options) {
  TRY(Bound bound, bind(options, SOCK_DGRAM));
  OwnedFd raw;
  if (options.transparent) {
    set_option(bound.fd.get(), SOL_IP, IP_RECVORIGDSTADDR);
    TRY(raw, make_socket(AF_INET, SOCK_RAW, options.in, IPPROTO_RAW));
  }
  if (options.peer) {
    const NativeAddress peer = to_native(*options.peer);
    if (::connect(bound.fd.get(), peer.get(), peer.size) != 0) {
      return os_error(errno, "a socket for " + options.peer->to_string());
    }
  }
  auto datagram = std::make_unique<KernelDatagram>(loop_, driver_, std::move(bound.fd),
                                                   std::move(raw), std::move(bound.kept));
  TRY_VOID(datagram->start());
  return std::unique_ptr<Datagram>(std::move(datagram));
}

}  // namespace tulle::net
