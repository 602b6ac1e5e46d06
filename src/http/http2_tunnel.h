// What is behind an extended CONNECT (RFC 8441): the bytes both sides exchange on one stream of
// HTTP/2, as a net::Stream. Internal to http.
//
// Back-pressure is the stream's windows: what is not read is not given back to them, and nothing
// more is taken than they let out. A half-close is END_STREAM. Dropped without one, the peer sees
// RST_STREAM with CANCEL, which stands for a reset.
#pragma once

#include "http/http2_io.h"
#include "net/stream.h"
#include "rt/loop.h"

namespace tulle::http {

// The stream of HTTP/2 that a tunnel is on. Whichever of the two goes first tells the other.
class Http2TunnelSide {
 public:
  // These bytes were used up: the windows open again by them.
  virtual void used(std::size_t bytes) = 0;
  // There is more to be pulled.
  virtual void push() = 0;
  // Nothing can be sent any more.
  virtual bool closed() const = 0;
  // The tunnel is dropped.
  virtual void tunnel_left() = 0;

 protected:
  ~Http2TunnelSide() = default;
};

class Http2Tunnel final : public net::Stream {
 public:
  struct Addresses {
    SocketAddress local;
    SocketAddress peer;
  };

  // All but `addresses` must outlive it, or call detach() before.
  Http2Tunnel(rt::Loop& loop, Http2Incoming& incoming, Http2Outgoing& outgoing,
              Http2TunnelSide& side, const Addresses& addresses)
      : loop_(loop),
        incoming_(incoming),
        outgoing_(outgoing),
        side_(&side),
        addresses_(addresses) {}
  ~Http2Tunnel() override {
    if (side_ != nullptr) side_->tunnel_left();
  }
  Http2Tunnel(const Http2Tunnel&) = delete;
  Http2Tunnel& operator=(const Http2Tunnel&) = delete;

  // The stream goes: from here on there are only errors. Whoever waits is woken.
  void detach();

  net::Attempt try_read(std::span<char> buffer) override;
  net::Attempt try_write(std::span<const std::string_view> pieces) override;
  void wait(net::Interest interest, rt::Runnable& waiter) override;
  Result<void> shutdown_write() override;
  SocketAddress local_address() const override { return addresses_.local; }
  SocketAddress peer_address() const override { return addresses_.peer; }

 private:
  rt::Loop& loop_;
  Http2Incoming& incoming_;
  Http2Outgoing& outgoing_;
  Http2TunnelSide* side_;  // null: detached, and the two above are gone
  const Addresses addresses_;
};

}  // namespace tulle::http
