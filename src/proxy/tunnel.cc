#include "proxy/tunnel.h"

#include "rt/combine.h"

#include <array>
#include <memory>

namespace tulle::proxy {

namespace {

// Copies until the end of `from`.
rt::Task<Result<void>> copy(net::Stream& from, net::Stream& to, std::uint64_t& bytes) {
  const auto buffer = std::make_unique_for_overwrite<std::array<char, kTunnelBufferBytes>>();
  for (;;) {
    CO_TRY(const std::size_t count, co_await net::read(from, *buffer));
    if (count == 0) co_return to.shutdown_write();
    CO_TRY_VOID(co_await net::write_all(to, std::string_view(buffer->data(), count)));
    bytes += count;
  }
}

// One direction. It alone ends the tunnel when it fails or when the other has ended before it.
rt::Task<Result<void>> direction(net::Stream& from, net::Stream& to, std::uint64_t& bytes,
                                 int& ended, rt::WaitList& never) {
  auto outcome = co_await copy(from, to, bytes);
  if (outcome && ++ended < 2) co_await rt::wait_on(never);
  co_return outcome;
}

}  // namespace

rt::Task<TunnelEnd> tunnel(net::Stream& downstream, net::Stream& upstream) {
  TunnelEnd end;
  int ended = 0;
  rt::WaitList never;
  auto first = co_await rt::race(direction(downstream, upstream, end.bytes_up, ended, never),
                                 direction(upstream, downstream, end.bytes_down, ended, never));
  end.outcome = std::visit([](auto& outcome) { return std::move(outcome); }, first);
  co_return end;
}

}  // namespace tulle::proxy
