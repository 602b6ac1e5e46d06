// The two ends of a connection in memory, and the faults a MemoryNetwork can put on it.
#pragma once

#include "base/random.h"
#include "net/memory_network.h"

namespace tulle::net {

struct PipeOptions {
  std::size_t capacity = 64 * 1024;
  Duration latency_min{};
  Duration latency_max{};
  std::uint64_t seed = 0;
  SocketAddress a_address;
  SocketAddress b_address;
  SocketAddress b_original_destination;
};

// Cuts a connection: both ends see Code::reset from now on.
class PipeBreaker {
 public:
  virtual ~PipeBreaker() = default;
  virtual void reset() = 0;
};

struct Pipe {
  std::unique_ptr<Stream> a;
  std::unique_ptr<Stream> b;
  std::shared_ptr<PipeBreaker> breaker;
};

Pipe make_pipe(rt::Loop& loop, const PipeOptions& options);

}  // namespace tulle::net
