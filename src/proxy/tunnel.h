// Bytes between two streams, both ways, until both have ended.
#pragma once

#include "base/time.h"
#include "net/stream.h"
#include "rt/loop.h"
#include "rt/task.h"

#include <cstdint>
#include <optional>

namespace tulle::proxy {

inline constexpr std::size_t kTunnelBufferBytes = 64 * 1024;

struct TunnelLimits {
  std::optional<Duration> idle = {};   // without a byte in either direction
  std::optional<Duration> total = {};  // from now on
};

struct TunnelEnd {
  std::uint64_t bytes_up = 0;    // from downstream to upstream
  std::uint64_t bytes_down = 0;  // from upstream to downstream
  Result<void> outcome;          // of the direction that failed first; timed_out at a limit
};

// The end of one direction is passed on as a half-close; an error ends both. Back-pressure is that
// of the slower side. All must outlive the task.
rt::Task<TunnelEnd> tunnel(rt::Loop& loop, net::Stream& downstream, net::Stream& upstream,
                           TunnelLimits limits = {});

}  // namespace tulle::proxy
