// Bytes between two streams, both ways, until both have ended.
#pragma once

#include "net/stream.h"
#include "rt/task.h"

#include <cstdint>

namespace tulle::proxy {

inline constexpr std::size_t kTunnelBufferBytes = 64 * 1024;

struct TunnelEnd {
  std::uint64_t bytes_up = 0;    // from downstream to upstream
  std::uint64_t bytes_down = 0;  // from upstream to downstream
  Result<void> outcome;          // of the direction that failed first
};

// The end of one direction is passed on as a half-close; an error ends both. Back-pressure is that
// of the slower side. Both streams must outlive the task.
rt::Task<TunnelEnd> tunnel(net::Stream& downstream, net::Stream& upstream);

}  // namespace tulle::proxy
