#include "codec/proxy_protocol.h"

#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace tulle::codec {
namespace {

using Outcome = ProxyHeader::Outcome;

constexpr std::string_view signature_v1 = "PROXY ";
constexpr std::size_t line_bytes_max = 107;  // with its end
constexpr std::string_view signature_v2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t fixed_bytes_v2 = 16;  // before the addresses
constexpr unsigned command_local = 0x20;    // with the version
constexpr unsigned command_proxy = 0x21;
constexpr unsigned tcp_over_ipv4 = 0x11;
constexpr unsigned tcp_over_ipv6 = 0x21;

constexpr ProxyHeader malformed{.outcome = Outcome::malformed};

std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole ? std::optional(port) : std::nullopt;
}

// "TCP4 192.0.2.1 192.0.2.2 56324 443", or "UNKNOWN" and whatever follows.
ProxyHeader parse_line(std::string_view line, std::size_t length) {
  ProxyHeader header{.outcome = Outcome::complete, .length = length};
  const std::string_view family = take_until(line, ' ');
  if (family == "UNKNOWN") return header;
  if (family != "TCP4" && family != "TCP6") return malformed;
  const auto source = IpAddress::parse(take_until(line, ' '));
  const auto destination = IpAddress::parse(take_until(line, ' '));
  const auto source_port = parse_port(take_until(line, ' '));
  const auto destination_port = parse_port(line);
  if (!source || !destination || !source_port || !destination_port) return malformed;
  const bool v4 = family == "TCP4";
  if (source->is_v4() != v4 || destination->is_v4() != v4) return malformed;
  header.addresses = {.source = {.ip = *source, .port = *source_port},
                      .destination = {.ip = *destination, .port = *destination_port}};
  return header;
}

ProxyHeader parse_v1(std::string_view bytes) {
  const std::size_t end = bytes.substr(0, line_bytes_max).find('\n');
  if (end == std::string_view::npos) {
    return bytes.size() < line_bytes_max ? ProxyHeader{} : malformed;
  }
  if (bytes[end - 1] != '\r') return malformed;
  const std::string_view line = bytes.substr(0, end - 1).substr(signature_v1.size());
  return parse_line(line, end + 1);
}

unsigned byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

std::uint16_t number_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

IpAddress address_at(std::string_view bytes, std::size_t at, bool v4) {
  std::array<std::uint8_t, 16> octets{};
  for (std::size_t i = 0; i < (v4 ? 4 : 16); ++i) {
    octets[i] = static_cast<std::uint8_t>(byte_at(bytes, at + i));
  }
  return v4 ? IpAddress::v4(octets[0], octets[1], octets[2], octets[3]) : IpAddress::v6(octets);
}

ProxyHeader parse_v2(std::string_view bytes) {
  if (bytes.size() < fixed_bytes_v2) return {};
  const unsigned command = byte_at(bytes, 12);
  const unsigned family = byte_at(bytes, 13);
  const std::size_t length = fixed_bytes_v2 + number_at(bytes, 14);
  if (command != command_local && command != command_proxy) return malformed;
  if (length > proxy_header_bytes_max) return malformed;
  if (bytes.size() < length) return {};
  ProxyHeader header{.outcome = Outcome::complete, .length = length};
  const bool v4 = family == tcp_over_ipv4;
  if (command == command_local || (!v4 && family != tcp_over_ipv6)) return header;
  const std::size_t each = v4 ? 4 : 16;
  const std::size_t ports = fixed_bytes_v2 + 2 * each;
  if (length < ports + 4) return malformed;
  header.addresses = {
      .source = {.ip = address_at(bytes, fixed_bytes_v2, v4), .port = number_at(bytes, ports)},
      .destination = {.ip = address_at(bytes, fixed_bytes_v2 + each, v4),
                      .port = number_at(bytes, ports + 2)}};
  return header;
}

std::string encode_v1(const std::optional<ProxiedAddresses>& addresses) {
  if (!addresses) return "PROXY UNKNOWN\r\n";
  const auto& [source, destination] = *addresses;
  return fmt::format("PROXY TCP{} {} {} {} {}\r\n", source.ip.is_v4() ? 4 : 6,
                     source.ip.to_string(), destination.ip.to_string(), source.port,
                     destination.port);
}

void append_number(std::string& text, std::uint16_t number) {
  text.push_back(static_cast<char>(number >> 8));
  text.push_back(static_cast<char>(number & 0xff));
}

std::string encode_v2(const std::optional<ProxiedAddresses>& addresses) {
  std::string header(signature_v2);
  if (!addresses) return header.append("\x20\0\0\0", 4);
  const bool v4 = addresses->source.ip.is_v4();
  header.push_back(static_cast<char>(command_proxy));
  header.push_back(static_cast<char>(v4 ? tcp_over_ipv4 : tcp_over_ipv6));
  append_number(header, static_cast<std::uint16_t>(2 * addresses->source.ip.byte_count() + 4));
  for (const IpAddress& ip : {addresses->source.ip, addresses->destination.ip}) {
    const auto& bytes = ip.bytes();
    header.append(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(ip.byte_count()));
  }
  append_number(header, addresses->source.port);
  append_number(header, addresses->destination.port);
  return header;
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) {
  if (bytes.starts_with(signature_v1)) return parse_v1(bytes);
  if (bytes.starts_with(signature_v2)) return parse_v2(bytes);
  const bool may_become = signature_v1.starts_with(bytes) || signature_v2.starts_with(bytes);
  return may_become ? ProxyHeader{} : malformed;
}

std::string encode_proxy_header(ProxyVersion version,
                                const std::optional<ProxiedAddresses>& addresses) {
  return version == ProxyVersion::v1 ? encode_v1(addresses) : encode_v2(addresses);
}

}  // namespace tulle::codec
