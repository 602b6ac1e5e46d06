#include "proxy/tunnel.h"

#include "rt/combine.h"

#include <algorithm>
#include <array>
#include <memory>

namespace tulle::proxy {

namespace {

// What the two directions share.
struct Tunnel {
  rt::Loop& loop;
  Instant moved_at;
  int ended = 0;
  rt::WaitList never = {};
};

// Copies until the end of `from`.
rt::Task<Result<void>> copy(Tunnel& tunnel, net::Stream& from, net::Stream& to,
                            std::uint64_t& bytes) {
  const auto buffer = std::make_unique_for_overwrite<std::array<char, kTunnelBufferBytes>>();
  rt::Fairness fairness(tunnel.loop);
  for (;;) {
    co_await fairness.pass();
    CO_TRY(const std::size_t count, co_await net::read(from, *buffer));
    tunnel.moved_at = tunnel.loop.now();
    if (count == 0) co_return to.shutdown_write();
    CO_TRY_VOID(co_await net::write_all(to, std::string_view(buffer->data(), count)));
    bytes += count;
    tunnel.moved_at = tunnel.loop.now();
  }
}

// One direction. It alone ends the tunnel when it fails or when the other has ended before it.
rt::Task<Result<void>> direction(Tunnel& tunnel, net::Stream& from, net::Stream& to,
                                 std::uint64_t& bytes) {
  auto outcome = co_await copy(tunnel, from, to, bytes);
  if (outcome && ++tunnel.ended < 2) co_await rt::wait_on(tunnel.never);
  co_return outcome;
}

rt::Task<Result<void>> both(Tunnel& tunnel, net::Stream& downstream, net::Stream& upstream,
                            TunnelEnd& end) {
  auto first = co_await rt::race(direction(tunnel, downstream, upstream, end.bytes_up),
                                 direction(tunnel, upstream, downstream, end.bytes_down));
  co_return std::visit([](auto& outcome) { return std::move(outcome); }, first);
}

rt::Task<Result<void>> reach_limit(Tunnel& tunnel, TunnelLimits limits) {
  const Instant last = limits.total ? tunnel.loop.now() + *limits.total : kNever;
  for (;;) {
    const Instant idle = limits.idle ? tunnel.moved_at + *limits.idle : kNever;
    const Instant now = tunnel.loop.now();
    if (now >= last) co_return fail(Code::timed_out, "the stream's time is over");
    if (now >= idle) co_return fail(Code::timed_out, "nothing moved for too long");
    co_await rt::sleep_until(tunnel.loop, std::min(last, idle));
  }
}

}  // namespace

rt::Task<TunnelEnd> tunnel(rt::Loop& loop, net::Stream& downstream, net::Stream& upstream,
                           TunnelLimits limits) {
  TunnelEnd end;
  Tunnel state{.loop = loop, .moved_at = loop.now()};
  if (!limits.idle && !limits.total) {
    end.outcome = co_await both(state, downstream, upstream, end);
    co_return end;
  }
  auto first =
      co_await rt::race(both(state, downstream, upstream, end), reach_limit(state, limits));
  end.outcome = std::visit([](auto& outcome) { return std::move(outcome); }, first);
  co_return end;
}

}  // namespace tulle::proxy
