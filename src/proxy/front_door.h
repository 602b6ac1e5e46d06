// The listeners on the host that services and Ingresses ask for: node ports, load balancers with
// their health checks, and the Ingress port.
#pragma once

#include "mesh/snapshot_builder.h"
#include "proxy/accept.h"
#include "proxy/context.h"
#include "proxy/udp.h"

#include <map>
#include <optional>
#include <set>
#include <vector>

namespace tulle::proxy {

inline constexpr std::size_t kConnectionsPerDoorMax = 16 * 1024;

struct FrontDoorOptions {
  // Where node ports listen.
  std::vector<IpAddress> node_addresses = {IpAddress::v4(127, 0, 0, 1)};
  // Where Ingress is served; none: nowhere.
  std::optional<SocketAddress> ingress = std::nullopt;
  // The same over TLS, once an Ingress has a host with TLS.
  std::optional<SocketAddress> ingress_tls = std::nullopt;
  std::size_t connections_max = kConnectionsPerDoorMax;  // of each door; sessions of UDP, too
  // Whether what comes to the Ingress begins with a PROXY header.
  bool ingress_proxy_protocol = false;
  // Of the doors each is opened by one worker of several.
  std::size_t worker = 0;
  std::size_t workers = 1;
};

class FrontDoor final {
 public:
  // All must outlive it.
  FrontDoor(Context& context, net::Network& network, const FrontDoorOptions& options)
      : context_(context), network_(network), options_(options), retry_(context.loop) {}

  // Opens what `snapshot` asks for and closes what it does not; connections of a closed door go on.
  // A port that is taken is said in the log and tried again.
  void follow(const mesh::Snapshot& snapshot);

  // Closes all doors for good; connections end soon (Acceptor::retire), sessions of UDP at once.
  // REQUIRES: no follow() after it.
  void retire();
  void end_idle();
  std::size_t connections() const;

 private:
  struct Key {
    mesh::ListenerKind kind = mesh::ListenerKind::ingress;
    SocketAddress at = {};
    bool tls = false;
    mesh::Transport transport = mesh::Transport::tcp;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  std::vector<Key> wanted(const mesh::Snapshot& snapshot) const;
  bool is_open(const Key& key) const { return open_.contains(key) || udp_.contains(key); }
  bool open(const Key& key);
  bool expects_proxy_header(const Key& key) const;
  Result<void> open_tcp(const Key& key);
  Result<void> open_udp(const Key& key);
  rt::Task<void> try_again();

  Context& context_;
  net::Network& network_;
  const FrontDoorOptions& options_;
  std::shared_ptr<const std::vector<mesh::Door>> seen_;
  bool seen_tls_ = false;
  std::vector<Key> wanted_;
  std::map<Key, std::unique_ptr<Acceptor>> open_;
  std::map<Key, std::unique_ptr<UdpDoor>> udp_;
  std::vector<std::unique_ptr<Acceptor>> closing_;  // no listener, still connections
  std::set<Key> complained_;                        // said in the log already
  rt::Scope retry_;
};

}  // namespace tulle::proxy
