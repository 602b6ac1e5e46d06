// The kernel fast path: what the proxy and a program of this machine send each other goes from one
// socket's queue to the other's by an eBPF sockmap (BPF_MAP_TYPE_SOCKHASH, BPF_PROG_TYPE_SK_MSG),
// and not through TCP. How it keeps streams whole stands in fast_path.bpf.c; what it is worth, and
// what programs must not do with a joined socket, in docs/performance.md.
//
// Joined are connections over loopback, in any network namespace, of processes in the cgroup v2
// hierarchy that this process sees, with the proxy at one end: those that it opens itself, and
// those that reach a listener of its own. Nothing crosses a namespace: its cookie is part of what
// the two ends must agree on.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"
#include "fastpath/maps.h"
#include "net/kernel_network.h"

#include <cstdint>
#include <memory>
#include <string>

struct bpf_link;
struct bpf_object;

namespace tulle::fastpath {

enum class Mode : std::uint8_t {
  off,
  automatic,  // where every program's every call keeps its meaning
  on,         // where streams are kept whole
};

struct Counts {
  std::uint64_t sockets = 0;   // joined so far
  std::uint64_t messages = 0;  // delivered past TCP
  std::uint64_t bytes = 0;
  std::uint64_t held_back = 0;   // messages that had to wait, for the peer did not read
  std::uint64_t not_joined = 0;  // sockets for which there was no room
};

class FastPath final {
 public:
  // Loads and attaches it. Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, cgroup v2, and Linux 6.2;
  // the error says what of these lacks. Whether it is safe here is for check() to say.
  static Result<std::unique_ptr<FastPath>> load();
  ~FastPath();
  FastPath(const FastPath&) = delete;
  FastPath& operator=(const FastPath&) = delete;

  // For the networks whose connections are to be joined. From any thread. The fast path must
  // outlive them and all their listeners.
  net::SocketHooks hooks();

  // Says of a socket, before it connects or listens, that it is the proxy's.
  void claim(int fd) const;

  Counts counts() const;

 private:
  class Doors;

  FastPath();
  Result<void> attach();
  Result<void> shut_one();
  int map(const char* name) const;

  // All of it is held by these descriptors alone: when the process ends, however it does, the
  // kernel takes everything back.
  bpf_object* object_ = nullptr;
  bpf_link* link_ = nullptr;
  OwnedFd shut_;
  OwnedFd shut_peer_;
  std::unique_ptr<Doors> doors_;
  int members_ = -1;  // of object_
  int counts_ = -1;
};

}  // namespace tulle::fastpath
