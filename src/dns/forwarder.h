// Asks the host's resolvers what the mesh does not know.
#pragma once

#include "base/random.h"
#include "codec/dns.h"
#include "net/network.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::dns {

// Names at or below `domain` are asked of these.
struct StubDomain {
  std::string domain = {};  // lower case, no dot at the end
  std::vector<SocketAddress> resolvers = {};
};

// What is asked of a resolver: whatever changes its answer. What a resolver that validates says of
// bogus data, and the signatures, depend on the two flags (RFC 4035 §3.2, RFC 6840 §5.9).
struct Inquiry {
  codec::DnsQuestion question = {};
  bool dnssec_ok = false;          // DO: with the records that prove the answer
  bool checking_disabled = false;  // CD: who asks validates
};

struct ForwarderOptions {
  std::vector<SocketAddress> resolvers = {};   // asked in this order
  std::vector<StubDomain> stub_domains = {};   // of several that hold a name the longest counts
  Duration timeout = std::chrono::seconds(2);  // of one resolver
  std::size_t rounds = 2;                      // through all of them: datagrams get lost
  std::size_t in_flight_max = 1024;            // beyond: an error at once
};

class Forwarder final {
 public:
  // `loop` and `network` must outlive it. `secret`: nobody else may know its numbers or its seed,
  // since who guesses the id of a question can answer it.
  Forwarder(rt::Loop& loop, net::Network& network, Random secret, ForwarderOptions options)
      : loop_(loop), network_(network), secret_(secret), options_(std::move(options)) {}

  // The answer of the first resolver that gives one: by UDP, and by TCP when it was cut. The
  // question goes out under a random id and with random capitals from a socket of its own, and only
  // an answer to it counts (RFC 5452; draft-vixie-dnsext-dns0x20). Whatever is no answer to a
  // question (SERVFAIL, REFUSED, …) sends it to the next resolver.
  rt::Task<Result<codec::DnsMessage>> ask(Inquiry inquiry);

 private:
  const std::vector<SocketAddress>& resolvers_for(std::string_view name) const;
  std::string random_capitals(std::string name);
  rt::Task<Result<codec::DnsMessage>> ask_one(SocketAddress resolver, codec::DnsMessage query);
  rt::Task<Result<codec::DnsMessage>> by_udp(SocketAddress resolver,
                                             const codec::DnsMessage& query);
  rt::Task<Result<codec::DnsMessage>> by_tcp(SocketAddress resolver,
                                             const codec::DnsMessage& query);

  rt::Loop& loop_;
  net::Network& network_;
  Random secret_;
  const ForwarderOptions options_;
  std::set<SocketAddress> change_case_;  // resolvers that do not keep the capitals of a question
  std::size_t in_flight_ = 0;
};

// The nameserver lines of a resolv.conf (resolv.conf(5)); other lines and zones are passed over.
std::vector<SocketAddress> parse_resolvers(std::string_view resolv_conf);

// "corp.example=10.0.0.53" or "corp.example=10.0.0.53,10.0.0.54:5353".
Result<StubDomain> parse_stub_domain(std::string_view text);

}  // namespace tulle::dns
