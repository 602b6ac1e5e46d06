// Connections to endpoints: where they are made from, and the idle ones.
#pragma once

#include "http/pool.h"
#include "mesh/snapshot.h"
#include "net/network.h"
#include "proxy/pods.h"

namespace tulle::proxy {

// What a pooled connection may be used for: the calling workload and the endpoint. What one
// workload sent can so never be mistaken for another's. Gateways, whose callers are outside, share
// one: their `caller` is 0.0.0.0.
struct UpstreamKey {
  IpAddress caller;
  SocketAddress endpoint;
  friend bool operator==(const UpstreamKey&, const UpstreamKey&) = default;
};

struct UpstreamKeyHash {
  std::size_t operator()(const UpstreamKey& key) const noexcept {
    return hash_value(key.caller) * 0x9e3779b97f4a7c15 + hash_value(key.endpoint);
  }
};

inline constexpr Duration kConnectTimeout = std::chrono::seconds(5);

// Belongs to one worker.
class Upstreams final {
 public:
  // Both must outlive this.
  Upstreams(rt::Loop& loop, net::Network& network)
      : loop_(loop), network_(network), idle_(loop), pods_(std::make_shared<const PodTable>()) {}

  // Connections to pods that are gone are closed.
  void set_pods(PodTablePtr pods);
  const PodTablePtr& pods() const { return pods_; }

  // A new connection to `to`. If a pod of this node has the address, it is made in the pod's own
  // network, and the pod sees the caller's address. Addresses of `networks` that no pod here has
  // are refused: nothing addressed to a pod or service may leave by the host's interfaces.
  rt::Task<Result<std::unique_ptr<net::Stream>>> connect(SocketAddress to, IpAddress caller,
                                                         const mesh::Networks& networks);

  // An idle connection, or null.
  std::unique_ptr<http::ClientConnection> take(const UpstreamKey& key) { return idle_.take(key); }
  void put(const UpstreamKey& key, std::unique_ptr<http::ClientConnection> connection) {
    idle_.put(key, std::move(connection));
  }

 private:
  rt::Loop& loop_;
  net::Network& network_;
  http::Pool<UpstreamKey, UpstreamKeyHash> idle_;
  PodTablePtr pods_;
};

}  // namespace tulle::proxy
