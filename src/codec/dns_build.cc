#include "base/format.h"
#include "codec/dns.h"
#include "codec/dns_name.h"
#include "codec/http_message.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

namespace tulle::codec {
namespace {

constexpr std::size_t txt_string_bytes_max = 255;
constexpr std::size_t pointer_offset_max = 0x3fff;

// Writes a message and remembers where each name's endings stand, to point at them.
class Writer final {
 public:
  std::size_t size() const { return out_.size(); }
  std::string take() && { return std::move(out_); }

  void number8(unsigned value) { out_ += static_cast<char>(value); }
  void number16(unsigned value) {
    number8(value >> 8 & 255);
    number8(value & 255);
  }
  void number32(std::uint32_t value) {
    number16(value >> 16);
    number16(value & 0xffff);
  }
  void bytes(std::string_view text) { out_ += text; }
  void put16(std::size_t offset, std::size_t value) {
    out_[offset] = static_cast<char>(value >> 8);
    out_[offset + 1] = static_cast<char>(value);
  }

  Result<void> name(std::string_view text) {
    TRY(const std::string wire, dns_name_to_wire(text));
    std::string_view rest = wire;
    while (rest.size() > 1) {
      // Letters must match in case too: who asks may compare them.
      if (const auto known = endings_.find(std::string(rest)); known != endings_.end()) {
        number16(0xc000 | known->second);
        return {};
      }
      if (out_.size() <= pointer_offset_max) {
        endings_.emplace(rest, static_cast<unsigned>(out_.size()));
      }
      const std::size_t label = 1U + static_cast<unsigned char>(rest.front());
      bytes(rest.substr(0, label));
      rest.remove_prefix(label);
    }
    number8(0);
    return {};
  }
  Result<void> name_uncompressed(std::string_view text) {
    TRY(const std::string wire, dns_name_to_wire(text));
    bytes(wire);
    return {};
  }

  // Forgets everything from `size` on.
  void cut(std::size_t size) {
    out_.resize(size);
    std::erase_if(endings_, [&](const auto& entry) { return entry.second >= size; });
  }

 private:
  std::string out_;
  std::unordered_map<std::string, unsigned> endings_;
};

Result<void> write_datum(Writer& writer, const DnsA& data) {
  for (const std::uint8_t byte : data.address) writer.number8(byte);
  return {};
}
Result<void> write_datum(Writer& writer, const DnsAaaa& data) {
  for (const std::uint8_t byte : data.address) writer.number8(byte);
  return {};
}
Result<void> write_datum(Writer& writer, const DnsName& data) { return writer.name(data.name); }
Result<void> write_datum(Writer& writer, const DnsSrv& data) {
  writer.number16(data.priority);
  writer.number16(data.weight);
  writer.number16(data.port);
  return writer.name_uncompressed(data.target);  // RFC 2782 forbids compression
}
Result<void> write_datum(Writer& writer, const DnsTxt& data) {
  for (const std::string& text : data.strings) {
    if (text.size() > txt_string_bytes_max) {
      return fail(Code::invalid_argument, "a TXT string of more than 255 bytes");
    }
    writer.number8(static_cast<unsigned>(text.size()));
    writer.bytes(text);
  }
  if (data.strings.empty()) writer.number8(0);
  return {};
}
Result<void> write_datum(Writer& writer, const DnsSoa& data) {
  TRY_VOID(writer.name(data.primary));
  TRY_VOID(writer.name(data.mailbox));
  for (const auto value :
       {data.serial, data.refresh_s, data.retry_s, data.expire_s, data.minimum_s}) {
    writer.number32(value);
  }
  return {};
}
Result<void> write_datum(Writer& writer, const DnsRaw& data) {
  writer.bytes(data.bytes);
  return {};
}

bool belongs(DnsType type, const DnsData& data) {
  switch (type) {
    case DnsType::a: return std::holds_alternative<DnsA>(data);
    case DnsType::aaaa: return std::holds_alternative<DnsAaaa>(data);
    case DnsType::ns:
    case DnsType::cname:
    case DnsType::ptr: return std::holds_alternative<DnsName>(data);
    case DnsType::srv: return std::holds_alternative<DnsSrv>(data);
    case DnsType::txt: return std::holds_alternative<DnsTxt>(data);
    case DnsType::soa: return std::holds_alternative<DnsSoa>(data);
    case DnsType::opt: return false;
    case DnsType::mx:
    case DnsType::any: break;
  }
  return std::holds_alternative<DnsRaw>(data);
}

Result<void> write_record(Writer& writer, const DnsRecord& record) {
  if (!belongs(record.type, record.data)) {
    return failf(Code::invalid_argument, "a record {} holds data of another type",
                 name(record.type));
  }
  TRY_VOID(writer.name(record.name));
  writer.number16(static_cast<unsigned>(record.type));
  writer.number16(record.klass);
  writer.number32(record.ttl_s);
  const std::size_t length_at = writer.size();
  writer.number16(0);
  const auto write = [&](const auto& data) { return write_datum(writer, data); };
  TRY_VOID(std::visit(write, record.data));
  const std::size_t length = writer.size() - length_at - 2;
  if (length > 0xffff) return fail(Code::invalid_argument, "a record of more than 65535 bytes");
  writer.put16(length_at, length);
  return {};
}

void write_edns(Writer& writer, const DnsEdns& edns, DnsRcode rcode) {
  writer.number8(0);
  writer.number16(static_cast<unsigned>(DnsType::opt));
  writer.number16(edns.udp_bytes_max);
  writer.number8(static_cast<unsigned>(rcode) >> 4 & 255);
  writer.number8(edns.version);
  writer.number16(edns.dnssec_ok ? 0x8000 : 0);
  writer.number16(static_cast<unsigned>(edns.options.size()));
  writer.bytes(edns.options);
}

std::size_t edns_size(const DnsMessage& message) {
  return message.edns ? 11 + message.edns->options.size() : 0;
}

unsigned flags_of(const DnsMessage& message) {
  const auto bit = [](bool set, int position) { return set ? 1U << position : 0U; };
  return bit(message.response, 15) | (message.opcode & 15U) << 11 | bit(message.authoritative, 10) |
         bit(message.truncated, 9) | bit(message.recursion_desired, 8) |
         bit(message.recursion_available, 7) | bit(message.authentic_data, 5) |
         bit(message.checking_disabled, 4) | (static_cast<unsigned>(message.rcode) & 15U);
}

// Writes records as long as they end before `end`; how many those were.
Result<std::size_t> write_fitting(Writer& writer, const std::vector<DnsRecord>& records,
                                  std::size_t end) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::size_t before = writer.size();
    TRY_VOID(write_record(writer, records[i]));
    if (writer.size() > end) {
      writer.cut(before);
      return i;
    }
  }
  return records.size();
}

Result<void> check_counts(const DnsMessage& message) {
  if (message.questions.size() + message.answers.size() + message.authorities.size() +
          message.additionals.size() >=
      dns_records_max) {
    return fail(Code::invalid_argument, "too many records for a message");
  }
  if (static_cast<unsigned>(message.rcode) > 15 && !message.edns) {
    return fail(Code::invalid_argument, "this rcode needs EDNS");
  }
  return {};
}

}  // namespace

Result<std::string> build_dns(const DnsMessage& message, std::size_t bytes_max) {
  TRY_VOID(check_counts(message));
  bytes_max = std::min(bytes_max, dns_message_bytes_max);
  constexpr std::size_t flags_at = 2;
  constexpr std::size_t counts_at = 4;
  Writer writer;
  writer.number16(message.id);
  writer.number16(flags_of(message));
  for (int i = 0; i < 4; ++i) writer.number16(0);
  for (const DnsQuestion& question : message.questions) {
    TRY_VOID(writer.name(question.name));
    writer.number16(static_cast<unsigned>(question.type));
    writer.number16(question.klass);
  }
  if (writer.size() + edns_size(message) > bytes_max) {
    return fail(Code::exhausted, "not even the questions fit into the message");
  }
  const std::size_t end = bytes_max - edns_size(message);
  std::size_t authorities = 0;
  std::size_t additionals = 0;
  TRY(const std::size_t answers, write_fitting(writer, message.answers, end));
  if (answers < message.answers.size()) {
    writer.put16(flags_at, flags_of(message) | 1U << 9);
  } else {
    TRY(authorities, write_fitting(writer, message.authorities, end));
    if (authorities == message.authorities.size()) {
      TRY(additionals, write_fitting(writer, message.additionals, end));
    }
  }
  if (message.edns) write_edns(writer, *message.edns, message.rcode);
  writer.put16(counts_at, message.questions.size());
  writer.put16(counts_at + 2, answers);
  writer.put16(counts_at + 4, authorities);
  writer.put16(counts_at + 6, additionals + (message.edns ? 1 : 0));
  return std::move(writer).take();
}

std::size_t dns_udp_bytes_max(const DnsMessage& query) {
  if (!query.edns) return dns_udp_bytes_default;
  return std::clamp<std::size_t>(query.edns->udp_bytes_max, dns_udp_bytes_default,
                                 dns_udp_bytes_sent_max);
}

DnsMessage dns_response_to(const DnsMessage& query) {
  DnsMessage response;
  response.id = query.id;
  response.response = true;
  response.opcode = query.opcode;
  response.recursion_desired = query.recursion_desired;
  response.checking_disabled = query.checking_disabled;
  response.questions = query.questions;
  if (query.edns) response.edns = {.dnssec_ok = query.edns->dnssec_ok};
  return response;
}

std::string name(DnsType type) {
  switch (type) {
    case DnsType::a: return "A";
    case DnsType::ns: return "NS";
    case DnsType::cname: return "CNAME";
    case DnsType::soa: return "SOA";
    case DnsType::ptr: return "PTR";
    case DnsType::mx: return "MX";
    case DnsType::txt: return "TXT";
    case DnsType::aaaa: return "AAAA";
    case DnsType::srv: return "SRV";
    case DnsType::opt: return "OPT";
    case DnsType::any: return "ANY";
  }
  return fmt::format("TYPE{}", static_cast<unsigned>(type));
}

namespace {

constexpr std::string_view reverse_v4 = ".in-addr.arpa";
constexpr std::string_view reverse_v6 = ".ip6.arpa";

// The labels before `suffix`, if `name` ends with it.
std::optional<std::string_view> before(std::string_view name, std::string_view suffix) {
  if (name.size() < suffix.size()) return std::nullopt;
  const std::size_t size = name.size() - suffix.size();
  if (!equals_ignoring_case(name.substr(size), suffix)) return std::nullopt;
  return name.substr(0, size);
}

std::optional<IpAddress> reverse_v4_address(std::string_view labels) {
  std::array<std::uint8_t, 4> bytes{};
  for (std::size_t i = 4; i-- > 0;) {
    const std::string_view label = labels.substr(0, labels.find('.'));
    const char* const end = label.data() + label.size();
    const auto [stop, error] = std::from_chars(label.data(), end, bytes[i]);
    if (label.empty() || error != std::errc{} || stop != end) return std::nullopt;
    if (label.size() > 1 && label.front() == '0') return std::nullopt;
    labels.remove_prefix(label.size());
    if (labels.empty() != (i == 0)) return std::nullopt;
    if (i > 0) labels.remove_prefix(1);
  }
  return IpAddress::v4(bytes[0], bytes[1], bytes[2], bytes[3]);
}

// 32 hexadecimal digits, the last one first (RFC 3596 §2.5).
std::optional<IpAddress> reverse_v6_address(std::string_view labels) {
  constexpr std::size_t digits = 32;
  if (labels.size() != 2 * digits - 1) return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < digits; ++i) {
    std::uint8_t digit = 0;
    const char* const at = labels.data() + 2 * i;
    const auto [stop, error] = std::from_chars(at, at + 1, digit, 16);
    if (error != std::errc{} || (i + 1 < digits && at[1] != '.')) return std::nullopt;
    bytes[15 - i / 2] |= static_cast<std::uint8_t>(i % 2 == 0 ? digit : digit << 4);
  }
  return IpAddress::v6(bytes);
}

}  // namespace

std::string dns_reverse_name(const IpAddress& address) {
  const auto& bytes = address.bytes();
  std::string name;
  if (address.is_v4()) {
    name = fmt::format("{}.{}.{}.{}", bytes[3], bytes[2], bytes[1], bytes[0]);
    return name.append(reverse_v4);
  }
  for (std::size_t i = bytes.size(); i-- > 0;) {
    if (!name.empty()) name.push_back('.');
    name += fmt::format("{:x}.{:x}", bytes[i] & 0xf, bytes[i] >> 4);
  }
  return name.append(reverse_v6);
}

std::optional<IpAddress> dns_reverse_address(std::string_view name) {
  if (const auto labels = before(name, reverse_v4)) return reverse_v4_address(*labels);
  if (const auto labels = before(name, reverse_v6)) return reverse_v6_address(*labels);
  return std::nullopt;
}

}  // namespace tulle::codec
