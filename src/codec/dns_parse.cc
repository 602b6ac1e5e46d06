#include "base/format.h"
#include "codec/dns.h"
#include "codec/dns_name.h"

#include <cstring>

namespace tulle::codec {
namespace {

// Reads a message from front to back; every read is checked.
class Reader final {
 public:
  explicit Reader(std::string_view message) : message_(message) {}

  std::size_t offset() const { return offset_; }
  bool at_end() const { return offset_ == message_.size(); }

  Result<std::uint32_t> number(std::size_t size) {
    TRY(const std::string_view taken, bytes(size));
    std::uint32_t value = 0;
    for (const char byte : taken) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
  }
  Result<std::uint16_t> number16() {
    TRY(const std::uint32_t value, number(2));
    return static_cast<std::uint16_t>(value);
  }
  Result<std::string_view> bytes(std::size_t size) {
    if (size > message_.size() - offset_) {
      return fail(Code::malformed, "the message ends in the middle");
    }
    const std::string_view taken = message_.substr(offset_, size);
    offset_ += size;
    return taken;
  }
  Result<std::string> name() {
    TRY(DnsNameAt found, dns_name_at(message_, offset_));
    offset_ = found.end;
    return std::move(found.text);
  }

 private:
  const std::string_view message_;
  std::size_t offset_ = 0;
};

struct Header {
  std::uint16_t flags = 0;
  std::uint16_t questions = 0;
  std::uint16_t answers = 0;
  std::uint16_t authorities = 0;
  std::uint16_t additionals = 0;
};

Result<Header> read_header(Reader& reader, DnsMessage& message) {
  Header header;
  TRY(message.id, reader.number16());
  TRY(header.flags, reader.number16());
  TRY(header.questions, reader.number16());
  TRY(header.answers, reader.number16());
  TRY(header.authorities, reader.number16());
  TRY(header.additionals, reader.number16());
  const auto flag = [&](int bit) { return (header.flags >> bit & 1) != 0; };
  message.response = flag(15);
  message.opcode = static_cast<std::uint8_t>(header.flags >> 11 & 15);
  message.authoritative = flag(10);
  message.truncated = flag(9);
  message.recursion_desired = flag(8);
  message.recursion_available = flag(7);
  message.authentic_data = flag(5);
  message.checking_disabled = flag(4);
  message.rcode = static_cast<DnsRcode>(header.flags & 15);
  return header;
}

Result<DnsQuestion> read_question(Reader& reader) {
  DnsQuestion question;
  TRY(question.name, reader.name());
  TRY(const std::uint16_t type, reader.number16());
  question.type = static_cast<DnsType>(type);
  TRY(question.klass, reader.number16());
  return question;
}

template <class Address>
Result<DnsData> read_address(Reader& reader, std::size_t size) {
  Address data;
  if (size != data.address.size()) return fail(Code::malformed, "an address of the wrong length");
  TRY(const std::string_view bytes, reader.bytes(size));
  std::memcpy(data.address.data(), bytes.data(), size);
  return data;
}

Result<DnsData> read_srv(Reader& reader) {
  DnsSrv data;
  TRY(data.priority, reader.number16());
  TRY(data.weight, reader.number16());
  TRY(data.port, reader.number16());
  TRY(data.target, reader.name());
  return data;
}

Result<DnsData> read_soa(Reader& reader) {
  DnsSoa data;
  TRY(data.primary, reader.name());
  TRY(data.mailbox, reader.name());
  TRY(data.serial, reader.number(4));
  TRY(data.refresh_s, reader.number(4));
  TRY(data.retry_s, reader.number(4));
  TRY(data.expire_s, reader.number(4));
  TRY(data.minimum_s, reader.number(4));
  return data;
}

Result<DnsData> read_txt(Reader& reader, std::size_t end) {
  DnsTxt data;
  while (reader.offset() < end) {
    TRY(const std::uint32_t size, reader.number(1));
    TRY(const std::string_view text, reader.bytes(size));
    data.strings.emplace_back(text);
  }
  if (data.strings.empty()) return fail(Code::malformed, "a TXT record without a string");
  return data;
}

// A pointer would lose its meaning outside of the message.
Result<DnsData> read_mx(Reader& reader) {
  TRY(const std::string_view preference, reader.bytes(2));
  TRY(const std::string exchange, reader.name());
  TRY(const std::string wire, dns_name_to_wire(exchange));
  return DnsRaw{.bytes = std::string(preference) + wire};
}

Result<DnsData> read_data(Reader& reader, DnsType type, std::size_t size) {
  switch (type) {
    case DnsType::a: return read_address<DnsA>(reader, size);
    case DnsType::aaaa: return read_address<DnsAaaa>(reader, size);
    case DnsType::ns:
    case DnsType::cname:
    case DnsType::ptr: {
      TRY(std::string name, reader.name());
      return DnsName{.name = std::move(name)};
    }
    case DnsType::srv: return read_srv(reader);
    case DnsType::soa: return read_soa(reader);
    case DnsType::txt: return read_txt(reader, reader.offset() + size);
    case DnsType::mx: return read_mx(reader);
    case DnsType::opt:
    case DnsType::any: break;
  }
  TRY(const std::string_view bytes, reader.bytes(size));
  return DnsRaw{.bytes = std::string(bytes)};
}

Result<DnsRecord> read_record(Reader& reader) {
  DnsRecord record;
  TRY(record.name, reader.name());
  TRY(const std::uint16_t type, reader.number16());
  record.type = static_cast<DnsType>(type);
  TRY(record.klass, reader.number16());
  TRY(record.ttl_s, reader.number(4));
  TRY(const std::uint16_t size, reader.number16());
  const std::size_t start = reader.offset();
  TRY(record.data, read_data(reader, record.type, size));
  if (reader.offset() != start + size) {
    return fail(Code::malformed, "the data of a record are longer or shorter than it says");
  }
  // RFC 2181 §8. In an OPT record these bits are flags.
  if (record.type != DnsType::opt && record.ttl_s >> 31 != 0) record.ttl_s = 0;
  return record;
}

Result<void> read_records(Reader& reader, std::size_t count, std::vector<DnsRecord>& records) {
  for (std::size_t i = 0; i < count; ++i) {
    TRY(DnsRecord record, read_record(reader));
    records.push_back(std::move(record));
  }
  return {};
}

// RFC 6891 §6.1: what an OPT record says stands where others hold class and TTL.
Result<void> take_edns(DnsMessage& message) {
  for (DnsRecord& record : message.additionals) {
    if (record.type != DnsType::opt) continue;
    if (message.edns) return fail(Code::malformed, "two OPT records");
    if (!record.name.empty()) return fail(Code::malformed, "an OPT record has a name");
    message.edns = {.udp_bytes_max = record.klass,
                    .version = static_cast<std::uint8_t>(record.ttl_s >> 16),
                    .dnssec_ok = (record.ttl_s >> 15 & 1) != 0,
                    .options = std::move(std::get<DnsRaw>(record.data).bytes)};
    const unsigned low = static_cast<unsigned>(message.rcode);
    message.rcode = static_cast<DnsRcode>(record.ttl_s >> 24 << 4 | low);
  }
  std::erase_if(message.additionals,
                [](const DnsRecord& record) { return record.type == DnsType::opt; });
  return {};
}

Result<DnsMessage> read_message(Reader& reader) {
  DnsMessage message;
  TRY(const Header header, read_header(reader, message));
  const std::size_t records =
      std::size_t{header.questions} + header.answers + header.authorities + header.additionals;
  if (records > dns_records_max) return fail(Code::malformed, "too many records");
  for (std::size_t i = 0; i < header.questions; ++i) {
    TRY(DnsQuestion question, read_question(reader));
    message.questions.push_back(std::move(question));
  }
  TRY_VOID(read_records(reader, header.answers, message.answers));
  TRY_VOID(read_records(reader, header.authorities, message.authorities));
  TRY_VOID(read_records(reader, header.additionals, message.additionals));
  if (!reader.at_end()) return fail(Code::malformed, "bytes behind the last record");
  TRY_VOID(take_edns(message));
  return message;
}

}  // namespace

Result<DnsMessage> parse_dns(std::string_view bytes) {
  Reader reader(bytes);
  auto message = read_message(reader);
  if (message) return message;
  return failf(Code::malformed, "offset {}: {}", reader.offset(), message.error().message);
}

}  // namespace tulle::codec
