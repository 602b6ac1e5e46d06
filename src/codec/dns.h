// DNS messages: RFC 1035, with AAAA (3596), SRV (2782) and EDNS0 (6891).
//
// Names are text: labels joined by '.', without the dot at the end, the root "". A dot or backslash
// within a label is written with a backslash before it, an unprintable byte as \DDD. The case of
// letters is kept, since a resolver may compare it; equals_ignoring_case() compares names.
#pragma once

#include "base/address.h"
#include "base/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tulle::codec {

enum class DnsType : std::uint16_t {
  a = 1,
  ns = 2,
  cname = 5,
  soa = 6,
  ptr = 12,
  mx = 15,
  txt = 16,
  aaaa = 28,
  srv = 33,
  opt = 41,
  any = 255,
};

// The mnemonic, or TYPE123 (RFC 3597) for one we do not know.
std::string name(DnsType type);

enum class DnsRcode : std::uint16_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  name_error = 3,  // NXDOMAIN
  not_implemented = 4,
  refused = 5,
  bad_version = 16,  // needs EDNS
};

inline constexpr std::uint16_t dns_class_in = 1;
inline constexpr std::size_t dns_name_bytes_max = 255;     // on the wire
inline constexpr std::size_t dns_label_bytes_max = 63;     //
inline constexpr std::size_t dns_udp_bytes_default = 512;  // what a client without EDNS takes
// What we send at most by UDP, so that nothing on the way cuts it into pieces (RFC 9715), and
// whoever asks under another's address makes little of it.
inline constexpr std::size_t dns_udp_bytes_sent_max = 1232;
inline constexpr std::size_t dns_message_bytes_max = 65535;
inline constexpr std::size_t dns_records_max = 4096;  // of one message

struct DnsQuestion {
  std::string name = {};
  DnsType type = DnsType::a;
  std::uint16_t klass = dns_class_in;
  bool operator==(const DnsQuestion&) const = default;
};

struct DnsA {
  std::array<std::uint8_t, 4> address{};
  bool operator==(const DnsA&) const = default;
};
struct DnsAaaa {
  std::array<std::uint8_t, 16> address{};
  bool operator==(const DnsAaaa&) const = default;
};
struct DnsName {  // of CNAME, PTR, NS
  std::string name = {};
  bool operator==(const DnsName&) const = default;
};
struct DnsSrv {
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  std::uint16_t port = 0;
  std::string target = {};
  bool operator==(const DnsSrv&) const = default;
};
struct DnsTxt {
  std::vector<std::string> strings = {};  // at least one, at most 255 bytes each
  bool operator==(const DnsTxt&) const = default;
};
struct DnsSoa {
  std::string primary = {};
  std::string mailbox = {};
  std::uint32_t serial = 0;
  std::uint32_t refresh_s = 0;
  std::uint32_t retry_s = 0;
  std::uint32_t expire_s = 0;
  std::uint32_t minimum_s = 0;
  bool operator==(const DnsSoa&) const = default;
};
struct DnsRaw {  // of every other type: its bytes, MX among them with its name uncompressed
  std::string bytes = {};
  bool operator==(const DnsRaw&) const = default;
};
using DnsData = std::variant<DnsA, DnsAaaa, DnsName, DnsSrv, DnsTxt, DnsSoa, DnsRaw>;

struct DnsRecord {
  std::string name = {};
  DnsType type = DnsType::a;
  std::uint16_t klass = dns_class_in;
  std::uint32_t ttl_s = 0;
  DnsData data = {};  // the alternative that belongs to `type`
  bool operator==(const DnsRecord&) const = default;
};

struct DnsEdns {
  std::uint16_t udp_bytes_max = 1232;
  std::uint8_t version = 0;
  bool dnssec_ok = false;
  std::string options = {};  // undecoded
  bool operator==(const DnsEdns&) const = default;
};

struct DnsMessage {
  std::uint16_t id = 0;
  bool response = false;             // QR
  std::uint8_t opcode = 0;           // 0 is a query
  bool authoritative = false;        // AA
  bool truncated = false;            // TC
  bool recursion_desired = false;    // RD
  bool recursion_available = false;  // RA
  bool authentic_data = false;       // AD
  bool checking_disabled = false;    // CD
  DnsRcode rcode = DnsRcode::no_error;
  std::vector<DnsQuestion> questions = {};
  std::vector<DnsRecord> answers = {};
  std::vector<DnsRecord> authorities = {};
  std::vector<DnsRecord> additionals = {};  // without OPT
  std::optional<DnsEdns> edns = {};         // the OPT record
  bool operator==(const DnsMessage&) const = default;
};

// The whole of `bytes` is one message. Error: malformed, names the place and the reason.
Result<DnsMessage> parse_dns(std::string_view bytes);

// The wire form, owner names and the names in CNAME, PTR, NS and SOA compressed. If it would be
// longer than bytes_max: additionals that do not fit are left out, then authorities; and of the
// answers the last ones, with TC set, since a client that cannot ask by TCP makes do with the
// first. The questions and EDNS stay. Error: invalid_argument for a name, text or datum that has no
// wire form; exhausted where not even the questions fit.
Result<std::string> build_dns(const DnsMessage& message,
                              std::size_t bytes_max = dns_message_bytes_max);

// The largest answer that may go back by UDP to whoever sent `query`.
std::size_t dns_udp_bytes_max(const DnsMessage& query);

// A response with the id, opcode, RD, CD, question and, if the query had one, EDNS of the query.
DnsMessage dns_response_to(const DnsMessage& query);

// "10.1.2.3" ⇄ "3.2.1.10.in-addr.arpa", and below ip6.arpa (RFC 3596); nothing for another name.
std::string dns_reverse_name(const IpAddress& address);
std::optional<IpAddress> dns_reverse_address(std::string_view name);

}  // namespace tulle::codec
