// Connections to endpoints: where they are made from, and the idle ones.
#pragma once

#include "http/http2_client.h"
#include "http/pool.h"
#include "mesh/snapshot.h"
#include "net/network.h"
#include "proxy/pods.h"

#include <functional>
#include <list>

namespace tulle::proxy {

// What a pooled connection may be used for: the calling workload and the endpoint. What one
// workload sent can so never be mistaken for another's. Gateways, whose callers are outside, share
// one: their `caller` is 0.0.0.0.
struct UpstreamKey {
  IpAddress caller;
  SocketAddress endpoint;
  // What the connection begins with: a PROXY header where the policy wants one. Empty: nothing.
  std::string announcement = {};
  friend bool operator==(const UpstreamKey&, const UpstreamKey&) = default;
};

struct UpstreamKeyHash {
  std::size_t operator()(const UpstreamKey& key) const noexcept {
    const std::size_t places =
        hash_value(key.caller) * 0x9e3779b97f4a7c15 + hash_value(key.endpoint);
    return key.announcement.empty() ? places : places ^ std::hash<std::string>{}(key.announcement);
  }
};

inline constexpr Duration kConnectTimeout = std::chrono::seconds(5);

// What one request goes over: a connection of HTTP/1.1 of its own, or a stream on one of HTTP/2
// that it shares.
struct Upstream {
  std::unique_ptr<http::ClientConnection> connection = nullptr;
  std::unique_ptr<http::Channel> stream = nullptr;
  std::shared_ptr<mesh::Gate> places = nullptr;  // of the endpoint's connections, if limited

  http::Channel& channel() const { return connection ? *connection : *stream; }
};

// What a request asks of its connection.
struct ConnectLimits {
  Duration timeout = kConnectTimeout;    // of a new one
  std::optional<Duration> age_max = {};  // of one that was there before
  bool fresh = false;                    // on none that was there before
  bool websocket = false;                // that takes the handshake of a WebSocket
  // Of the endpoint's connections; null: there may be any number.
  std::shared_ptr<mesh::Gate> places = nullptr;
  mesh::Gate::Limits place_limits = {};
  Duration place_patience = {};
};

// Belongs to one worker.
class Upstreams final {
 public:
  // Both must outlive this.
  Upstreams(rt::Loop& loop, net::Network& network);
  ~Upstreams();

  // Connections to pods that are gone are closed.
  void set_pods(PodTablePtr pods);
  const PodTablePtr& pods() const { return pods_; }

  // A new connection to the endpoint. If a pod of this node has the address, it is made in the
  // pod's own network, and the pod sees the caller's address. Addresses of `networks` that no pod
  // here has are refused: nothing addressed to a pod or service may leave by the host's interfaces.
  rt::Task<Result<std::unique_ptr<net::Stream>>> connect(const UpstreamKey& key,
                                                         const mesh::Networks& networks,
                                                         Duration timeout = kConnectTimeout);

  // A socket for the datagrams of `caller` to and from `to`, made as connect() makes a connection.
  Result<std::unique_ptr<net::Datagram>> bind_datagram(const SocketAddress& to,
                                                       const IpAddress& caller,
                                                       const mesh::Networks& networks);

  // The same with a place among the connections that the endpoint may have: the stream gives it
  // back. Code::exhausted where there is none in time.
  rt::Task<Result<std::unique_ptr<net::Stream>>> dial(const UpstreamKey& key,
                                                      const ConnectLimits& limits,
                                                      const mesh::Networks& networks);

  enum class Version : std::uint8_t { http1, http2 };
  // For one request, as dial(). Where the endpoint speaks HTTP/2 but takes no WebSocket so, the
  // request gets a connection of HTTP/1.1.
  rt::Task<Result<Upstream>> get(const UpstreamKey& key, Version version,
                                 const ConnectLimits& limits, const mesh::Networks& networks);
  // After the request. What can be used again is kept, or handed to who waits for a place.
  void put(const UpstreamKey& key, Upstream upstream);
  // Closes what is kept to this address and not in use.
  void close_idle(const IpAddress& address);
  // Closes what is kept for this key. REQUIRES: no request is under way there.
  void drop(const UpstreamKey& key) {
    while (idle_.take(key)) {
    }
    shared_.erase(key);
  }

 private:
  // The network that an endpoint is reached in: its pod's, or null for the host's.
  Result<net::NamespacePtr> space_of(const IpAddress& ip, const mesh::Networks& networks) const;

  struct Client {
    std::unique_ptr<http::Http2Client> http2;
    Instant created_at;
  };
  // One who waits for a place among the connections of an endpoint.
  struct Waiting;
  // Told when somebody waits for a place that an idle connection has. Gates share it, and may
  // outlive this.
  struct Self {
    rt::Loop& loop;
    Upstreams* upstreams;  // looked at on the loop only; null: gone
  };
  rt::Task<Result<Upstream>> get_placed(const UpstreamKey& key, const ConnectLimits& limits,
                                        const mesh::Networks& networks);
  rt::Task<Result<void>> enter(Waiting& waiting, const ConnectLimits& limits);
  void hand_over(const UpstreamKey& key, Upstream upstream);
  std::function<void()> room_maker(const SocketAddress& endpoint);
  void make_room(const SocketAddress& endpoint);

  // The connections of HTTP/2 to one place.
  struct Shared {
    std::vector<Client> clients;
    bool dialling = false;
    rt::WaitList dialled;
  };
  rt::Task<Result<Upstream>> share(const UpstreamKey& key, ConnectLimits limits,
                                   const mesh::Networks& networks);
  bool too_old(Instant created_at, const ConnectLimits& limits) const {
    return limits.age_max && loop_.now() - created_at > *limits.age_max;
  }

  rt::Loop& loop_;
  net::Network& network_;
  http::Pool<UpstreamKey, UpstreamKeyHash> idle_;
  std::unordered_map<UpstreamKey, std::shared_ptr<Shared>, UpstreamKeyHash> shared_;
  PodTablePtr pods_;
  std::list<Waiting*> waiting_;  // longest first
  std::shared_ptr<Self> self_;
};

}  // namespace tulle::proxy
