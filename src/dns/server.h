// The DNS server of the pods: a UDP and a TCP socket inside each pod's network, answered from the
// Snapshot (mesh/dns_records.h); what is not the mesh's goes to the host's resolvers.
//
// Of DNSSEC it is no validator: the cluster's zone is not signed, and of what others sign, the
// records and DO and CD of the question pass through, so that who asks can validate. AD is never
// set, for nothing here was validated (RFC 4035 §3.2.3), and the way to the resolver is not
// secured.
#pragma once

#include "dns/cache.h"
#include "dns/forwarder.h"
#include "mesh/dns_records.h"
#include "mesh/snapshot.h"
#include "net/network.h"
#include "rt/scope.h"
#include "rt/sync.h"

#include <map>
#include <memory>
#include <string>

namespace tulle::dns {

inline constexpr std::size_t kQuestionsPerPodMax = 512;  // UDP, waiting for a resolver
inline constexpr std::size_t kTcpConnectionsPerPodMax = 64;
inline constexpr std::size_t kQuestionsPerConnectionMax = 32;  // TCP, answered side by side

struct ServerOptions {
  SocketAddress address{.ip = IpAddress::v4(10, 96, 0, 10), .port = 53};
  Duration tcp_idle_timeout = std::chrono::seconds(10);
  Duration tcp_write_timeout = std::chrono::seconds(5);  // of one answer
  ForwarderOptions forwarder = {};
  CacheOptions cache = {};
};

// Belongs to one loop.
class Server final {
 public:
  // `loop` and `network` must outlive the server. `random` orders answers, which everybody sees;
  // `secret` is the forwarder's.
  Server(rt::Loop& loop, net::Network& network, Random random, Random secret,
         ServerOptions options);
  ~Server();

  void set_snapshot(mesh::SnapshotPtr snapshot) { snapshot_ = std::move(snapshot); }

  // Answers `workload` in its network. Replaces an earlier one of the same uid.
  Result<void> listen_in(const std::string& uid, mesh::ObjectName workload,
                         net::NamespacePtr space);
  void leave(const std::string& uid);
  // Takes no more questions: another process does, on the same sockets. Those that were asked are
  // answered.
  void retire();
  // Questions by UDP, and connections, that are still to be answered.
  std::size_t pending() const;
  // Answers whoever asks in the host's network. There is no search path then.
  Result<void> listen_on_host(const SocketAddress& address);

 private:
  struct Attached;
  struct Conversation;

  Result<std::unique_ptr<Attached>> listen(mesh::ObjectName workload,
                                           const net::ListenOptions& options);

  rt::Task<void> serve_udp(Attached& attached);
  rt::Task<void> answer_udp(Attached& attached, std::string query, SocketAddress from);
  rt::Task<void> serve_tcp(Attached& attached);
  rt::Task<void> serve_stream(Attached& attached, std::unique_ptr<net::Stream> stream);
  rt::Task<void> answer_tcp(Attached& attached, Conversation& conversation, std::string bytes,
                            rt::Semaphore::Permit room);
  // Nullopt: no answer at all, for what is no question.
  rt::Task<std::optional<codec::DnsMessage>> answer(const Attached& attached,
                                                    codec::DnsMessage query);
  rt::Task<codec::DnsMessage> resolve(const Attached& attached, codec::DnsMessage response);

  rt::Loop& loop_;
  net::Network& network_;
  Random random_;
  const ServerOptions options_;
  Forwarder forwarder_;
  Cache cache_;
  mesh::SnapshotPtr snapshot_;
  std::map<std::string, std::unique_ptr<Attached>> attached_;  // by uid; of the host: ""
};

}  // namespace tulle::dns
