// Asks the host's resolvers what the mesh does not know.
#pragma once

#include "base/random.h"
#include "codec/dns.h"
#include "net/network.h"

#include <vector>

namespace tulle::dns {

struct ForwarderOptions {
  std::vector<SocketAddress> resolvers = {};   // asked in this order
  Duration timeout = std::chrono::seconds(2);  // of one resolver
  std::size_t in_flight_max = 1024;            // beyond: SERVFAIL at once
};

class Forwarder final {
 public:
  // All must outlive it.
  Forwarder(rt::Loop& loop, net::Network& network, Random& random, ForwarderOptions options)
      : loop_(loop), network_(network), random_(random), options_(std::move(options)) {}

  // The answer of the first resolver that gives one: by UDP, and by TCP when it was cut. The
  // question goes out under a random id from a socket of its own, and only an answer to it counts.
  rt::Task<Result<codec::DnsMessage>> ask(codec::DnsQuestion question);

 private:
  rt::Task<Result<codec::DnsMessage>> ask_one(SocketAddress resolver, codec::DnsMessage query);
  rt::Task<Result<codec::DnsMessage>> by_udp(SocketAddress resolver,
                                             const codec::DnsMessage& query);
  rt::Task<Result<codec::DnsMessage>> by_tcp(SocketAddress resolver,
                                             const codec::DnsMessage& query);

  rt::Loop& loop_;
  net::Network& network_;
  Random& random_;
  const ForwarderOptions options_;
  std::size_t in_flight_ = 0;
};

// The nameserver lines of a resolv.conf (resolv.conf(5)); other lines and zones are passed over.
std::vector<SocketAddress> parse_resolvers(std::string_view resolv_conf);

}  // namespace tulle::dns
