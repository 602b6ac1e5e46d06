// The DNS server of the pods: a UDP and a TCP socket inside each pod's network, answered from the
// Snapshot (mesh/dns_records.h); what is not the mesh's goes to the host's resolvers.
#pragma once

#include "dns/forwarder.h"
#include "mesh/dns_records.h"
#include "mesh/snapshot.h"
#include "net/network.h"
#include "rt/scope.h"

#include <map>
#include <memory>
#include <string>

namespace tulle::dns {

inline constexpr std::size_t kQuestionsPerPodMax = 512;  // UDP, waiting for a resolver
inline constexpr std::size_t kTcpConnectionsPerPodMax = 64;

struct ServerOptions {
  SocketAddress address{.ip = IpAddress::v4(10, 96, 0, 10), .port = 53};
  Duration tcp_idle_timeout = std::chrono::seconds(10);
  ForwarderOptions forwarder = {};
};

// Belongs to one loop.
class Server final {
 public:
  // `loop` and `network` must outlive the server.
  Server(rt::Loop& loop, net::Network& network, Random random, ServerOptions options);
  ~Server();

  void set_snapshot(mesh::SnapshotPtr snapshot) { snapshot_ = std::move(snapshot); }

  // Answers `workload` in its network. Replaces an earlier one of the same uid.
  Result<void> listen_in(const std::string& uid, mesh::ObjectName workload,
                         net::NamespacePtr space);
  void leave(const std::string& uid);

 private:
  struct Attached;

  rt::Task<void> serve_udp(Attached& attached);
  rt::Task<void> answer_udp(Attached& attached, std::string query, SocketAddress from);
  rt::Task<void> serve_tcp(Attached& attached);
  rt::Task<void> serve_stream(Attached& attached, std::unique_ptr<net::Stream> stream);
  // Nullopt: no answer at all, for what is no question.
  rt::Task<std::optional<codec::DnsMessage>> answer(const Attached& attached,
                                                    codec::DnsMessage query);
  rt::Task<codec::DnsMessage> resolve(const Attached& attached, codec::DnsMessage response);

  rt::Loop& loop_;
  net::Network& network_;
  Random random_;
  const ServerOptions options_;
  Forwarder forwarder_;
  mesh::SnapshotPtr snapshot_;
  std::map<std::string, std::unique_ptr<Attached>> attached_;  // by uid
};

}  // namespace tulle::dns
