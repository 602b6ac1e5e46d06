// What DNS says about the mesh: a pure lookup over a Snapshot.
//
// Implements the Kubernetes DNS-based service discovery specification 1.1.0: A, AAAA, SRV and PTR
// for services, headless services, their endpoints and pods; CNAME for ExternalName. A name that
// exists without an address of the asked family has an empty answer, and so has one that exists
// only because of those below it (RFC 8020): a namespace that holds a service or a pod,
// _tcp.world.….
//
// The search path is walked here, in one step, instead of by the client in up to five queries:
//   - A name outside the cluster domain ("world", "world.default") is tried under each of the
//     caller's search domains. Records found so carry the asked name as their owner, as if it had
//     been the full one: a stub resolver takes them without a second query.
//   - A name under the caller's first search domain that does not exist there
//     ("api.example.com.default.svc.cluster.local": the first try of a resolver with ndots:5) is
//     tried under the other search domains and then as it stands, outside the cluster.
#pragma once

#include "codec/dns.h"
#include "mesh/snapshot.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::mesh {

inline constexpr std::uint32_t dns_ttl_s = 5;

struct DnsQuery {
  std::string_view name;  // as asked, in the text form of codec/dns.h
  codec::DnsType type = codec::DnsType::a;
  // Of the workload that asks: Workload::search_domains. Empty: names are taken as they are.
  std::span<const std::string> search_domains = {};
};

enum class DnsOutcome : std::uint8_t {
  answered,      // NOERROR with `answers`, maybe none of the asked type
  no_such_name,  // NXDOMAIN, ours to say: of the name, or of where `answers`, a CNAME, leads
  // Not ours alone: ask the host's resolvers for `forward_name` with the type of the query, and
  // answer with their code and `answers` followed by their answers. `answers` is empty when
  // forward_name is the asked name, else one CNAME from the asked name to it.
  forward,
};

struct DnsAnswer {
  DnsOutcome outcome = DnsOutcome::forward;
  std::vector<codec::DnsRecord> answers = {};      // by address; the server may rotate them
  std::vector<codec::DnsRecord> authorities = {};  // the SOA, when none is of the asked type
  std::vector<codec::DnsRecord> additionals = {};  // addresses of SRV targets
  std::string forward_name = {};
};

DnsAnswer resolve(const Snapshot& snapshot, const DnsQuery& query);

}  // namespace tulle::mesh
