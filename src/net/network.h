// Where streams and datagrams come from: the kernel (KernelNetwork) or memory on simulated time
// (MemoryNetwork).
#pragma once

#include "base/address.h"
#include "base/owned_fd.h"
#include "base/result.h"
#include "net/stream.h"
#include "rt/task.h"

#include <memory>
#include <optional>
#include <span>
#include <string>

namespace tulle::net {

// A network namespace in which sockets can be made. Shared by all who hold sockets in it.
struct Namespace {
  std::string name;  // for messages, and all that the memory network looks at
  OwnedFd fd;        // of /proc/PID/ns/net; empty: the namespace of the process
};
using NamespacePtr = std::shared_ptr<const Namespace>;  // null: the namespace of the process

class Listener {
 public:
  virtual ~Listener() = default;

  // The next connection. An Error is transient (out of descriptors): wait a little, accept again.
  virtual rt::Task<Result<std::unique_ptr<Stream>>> accept() = 0;

  virtual SocketAddress local_address() const = 0;
};

// UDP. A `transparent` one catches what any socket of its namespace sends to anybody else there,
// and may answer in that place.
class Datagram {
 public:
  virtual ~Datagram() = default;

  struct Received {
    std::size_t size = 0;  // may exceed the buffer: then the rest is lost
    SocketAddress from;
    SocketAddress to;  // the address it was sent to; only of transparent ones
  };
  virtual rt::Task<Result<Received>> receive(std::span<char> buffer) = 0;

  // Sends at once or drops, as UDP does.
  virtual Result<void> send(std::string_view bytes, const SocketAddress& to) = 0;

  // The same, to received.from; a transparent one seems to be received.to (IPv4 only).
  virtual Result<void> answer(std::string_view bytes, const Received& received) = 0;

  virtual SocketAddress local_address() const = 0;
};

struct ConnectOptions {
  SocketAddress to;
  // Bind here first; with an address that is not this host's the socket is made transparent
  // (IP_TRANSPARENT).
  std::optional<SocketAddress> from = std::nullopt;
  NamespacePtr in = nullptr;
};

struct ListenOptions {
  SocketAddress at;  // port 0: the kernel chooses, see local_address()
  // Datagrams: take what the namespace's rules lead here (nftables' tproxy; IP_TRANSPARENT).
  bool transparent = false;
  // Datagrams: of this peer alone. That nobody listens there is said by receive() (Code::refused).
  std::optional<SocketAddress> peer = std::nullopt;
  bool reuse_port = false;
  NamespacePtr in = nullptr;
};

class Network {
 public:
  virtual ~Network() = default;

  // Code::refused when nobody listens there. Wrap in rt::with_deadline for a time limit.
  virtual rt::Task<Result<std::unique_ptr<Stream>>> connect(ConnectOptions options) = 0;
  virtual Result<std::unique_ptr<Listener>> listen(const ListenOptions& options) = 0;
  virtual Result<std::unique_ptr<Datagram>> bind_datagram(const ListenOptions& options) = 0;

  // Unix sockets. listen_unix replaces a stale socket file (one nobody listens on) and fails with
  // already_exists where somebody does.
  virtual rt::Task<Result<std::unique_ptr<Stream>>> connect_unix(std::string path) = 0;
  virtual Result<std::unique_ptr<Listener>> listen_unix(const std::string& path) = 0;
};

}  // namespace tulle::net
