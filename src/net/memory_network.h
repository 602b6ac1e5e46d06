// Network in memory on simulated time: pipes with latency, and faults on command. Everything
// happens on one loop; the same seed gives the same run.
#pragma once

#include "base/random.h"
#include "net/network.h"

#include <map>

namespace tulle::net {

struct MemoryOptions {
  std::size_t pipe_capacity = 64 * 1024;  // bytes in flight per direction: back-pressure
  Duration latency_min{};
  Duration latency_max{};
};

// Two connected streams without addresses, for tests of what runs over a stream.
struct StreamPair {
  std::unique_ptr<Stream> a;
  std::unique_ptr<Stream> b;
};
StreamPair memory_pipe(rt::Loop& loop, std::size_t capacity = 64 * 1024);

class MemoryNetwork final : public Network {
 public:
  MemoryNetwork(rt::Loop& loop, Random random, MemoryOptions options = {});
  ~MemoryNetwork() override;

  rt::Task<Result<std::unique_ptr<Stream>>> connect(ConnectOptions options) override;
  Result<std::unique_ptr<Listener>> listen(const ListenOptions& options) override;
  Result<std::unique_ptr<Datagram>> bind_datagram(const ListenOptions& options) override;
  rt::Task<Result<std::unique_ptr<Stream>>> connect_unix(std::string path) override;
  Result<std::unique_ptr<Listener>> listen_unix(const std::string& path) override;

  // Addresses: like an nftables redirect inside namespace `name`: connections made in it go to the
  // listener at `to` in the same namespace, which sees the original destination.
  void redirect(const std::string& name, const SocketAddress& to);

  // Faults. `ip` stops answering: connections are refused, established ones reset.
  void kill(const IpAddress& ip);
  void revive(const IpAddress& ip);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tulle::net
