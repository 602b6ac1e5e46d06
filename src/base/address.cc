#include "base/address.h"

#include "base/check.h"
#include "base/format.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <span>

namespace tulle {
namespace {

std::optional<std::uint32_t> parse_decimal(std::string_view text, std::uint32_t max) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

std::optional<std::array<std::uint8_t, 4>> parse_v4(std::string_view text) {
  std::array<std::uint8_t, 4> bytes{};
  for (std::size_t i = 0; i < 4; ++i) {
    std::size_t dot = text.find('.');
    if ((dot == std::string_view::npos) != (i == 3)) return std::nullopt;
    auto byte = parse_decimal(text.substr(0, dot), 255);
    if (!byte) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(*byte);
    text.remove_prefix(i == 3 ? text.size() : dot + 1);
  }
  return bytes;
}

// Appends the groups of one side of "::" (or of the whole address) to `out`.
bool parse_groups(std::string_view text, std::span<std::uint8_t, 16> out, std::size_t& used) {
  while (!text.empty()) {
    std::size_t colon = text.find(':');
    std::string_view group = text.substr(0, colon);
    bool last = colon == std::string_view::npos;
    if (last && group.find('.') != std::string_view::npos) {
      auto v4 = parse_v4(group);
      if (!v4 || used + 4 > 16) return false;
      std::ranges::copy(*v4, out.begin() + static_cast<std::ptrdiff_t>(used));
      used += 4;
      return true;
    }
    std::uint16_t value = 0;
    auto [end, error] = std::from_chars(group.data(), group.data() + group.size(), value, 16);
    if (group.empty() || group.size() > 4 || error != std::errc{} ||
        end != group.data() + group.size() || used + 2 > 16) {
      return false;
    }
    out[used++] = static_cast<std::uint8_t>(value >> 8);
    out[used++] = static_cast<std::uint8_t>(value);
    if (last) return true;
    text.remove_prefix(colon + 1);
    if (text.empty()) return false;  // a single colon at the end
  }
  return true;
}

std::optional<std::array<std::uint8_t, 16>> parse_v6(std::string_view text) {
  std::array<std::uint8_t, 16> head{};
  std::size_t head_used = 0;
  std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (!parse_groups(text, head, head_used) || head_used != 16) return std::nullopt;
    return head;
  }
  std::string_view before = text.substr(0, gap);
  if (before.find('.') != std::string_view::npos) return std::nullopt;
  std::array<std::uint8_t, 16> tail{};
  std::size_t tail_used = 0;
  if (!parse_groups(before, head, head_used)) return std::nullopt;
  if (!parse_groups(text.substr(gap + 2), tail, tail_used)) return std::nullopt;
  if (head_used + tail_used > 14) return std::nullopt;  // "::" stands for at least one group
  std::copy_n(tail.begin(), tail_used, head.end() - static_cast<std::ptrdiff_t>(tail_used));
  return head;
}

std::string format_v6(const std::array<std::uint8_t, 16>& bytes) {
  auto group = [&](std::size_t i) { return (bytes[2 * i] << 8) | bytes[2 * i + 1]; };
  // RFC 5952 section 4.2: the longest run of two or more zero groups, the first among equals.
  std::size_t run_start = 8, run_length = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t end = i;
    while (end < 8 && group(end) == 0) ++end;
    if (end - i > run_length) {
      run_start = i;
      run_length = end - i;
    }
    if (end > i) i = end - 1;
  }
  std::string out;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == run_start) {
      out += "::";
      i += run_length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    out += fmt::format("{:x}", group(i));
  }
  return out;
}

// The finaliser of MurmurHash3: every bit of the input reaches every bit of the hash.
std::uint64_t mix(std::uint64_t hash) {
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
  hash ^= hash >> 33;
  return hash;
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.find(':') == std::string_view::npos) {
    if (auto bytes = parse_v4(text)) return v4((*bytes)[0], (*bytes)[1], (*bytes)[2], (*bytes)[3]);
  } else if (auto bytes = parse_v6(text)) {
    return v6(*bytes);
  }
  return failf(Code::malformed, "\"{}\" is not an IP address", text);
}

bool IpAddress::is_loopback() const {
  if (!is_v6_) return bytes_[0] == 127;
  return std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto b) { return b == 0; }) &&
         bytes_[15] == 1;
}

bool IpAddress::is_unspecified() const {
  return std::ranges::all_of(bytes_, [](auto b) { return b == 0; });
}

std::uint32_t IpAddress::v4_number() const {
  CHECK(!is_v6_);
  return std::uint32_t{bytes_[0]} << 24 | std::uint32_t{bytes_[1]} << 16 |
         std::uint32_t{bytes_[2]} << 8 | bytes_[3];
}

IpAddress IpAddress::unmapped() const {
  bool mapped = is_v6_ && bytes_[10] == 0xff && bytes_[11] == 0xff &&
                std::all_of(bytes_.begin(), bytes_.begin() + 10, [](auto b) { return b == 0; });
  return mapped ? v4(bytes_[12], bytes_[13], bytes_[14], bytes_[15]) : *this;
}

std::string IpAddress::to_string() const {
  if (is_v6_) return format_v6(bytes_);
  return fmt::format("{}.{}.{}.{}", bytes_[0], bytes_[1], bytes_[2], bytes_[3]);
}

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  std::size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    std::string_view host = text.substr(0, colon);
    bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    auto ip = IpAddress::parse(host);
    auto port = parse_decimal(text.substr(colon + 1), 65535);
    if (ip && port && ip->is_v6() == bracketed) {
      return SocketAddress{.ip = *ip, .port = static_cast<std::uint16_t>(*port)};
    }
  }
  return failf(Code::malformed, "\"{}\" is not an IP address and port", text);
}

std::string SocketAddress::to_string() const {
  return ip.is_v6() ? fmt::format("[{}]:{}", ip.to_string(), port)
                    : fmt::format("{}:{}", ip.to_string(), port);
}

Result<Cidr> Cidr::parse(std::string_view text) {
  std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return failf(Code::malformed, "\"{}\" has no /length", text);
  TRY(IpAddress ip, IpAddress::parse(text.substr(0, slash)));
  auto length = parse_decimal(text.substr(slash + 1), ip.is_v6() ? 128 : 32);
  if (!length) return failf(Code::malformed, "\"{}\" has a wrong prefix length", text);
  Cidr cidr = of(ip, static_cast<std::uint8_t>(*length));
  if (cidr.network != ip) {
    return failf(Code::malformed, "\"{}\" has bits set after its prefix; meant {}?", text,
                 cidr.to_string());
  }
  return cidr;
}

Cidr Cidr::of(const IpAddress& address, std::uint8_t prefix_length) {
  CHECK(prefix_length <= address.byte_count() * 8);
  auto bytes = address.bytes();
  for (std::size_t i = 0; i < address.byte_count(); ++i) {
    std::size_t kept = std::clamp<std::ptrdiff_t>(
        static_cast<std::ptrdiff_t>(prefix_length) - static_cast<std::ptrdiff_t>(i * 8), 0, 8);
    bytes[i] &= static_cast<std::uint8_t>(0xff00 >> kept);
  }
  IpAddress network = address.is_v6() ? IpAddress::v6(bytes)
                                      : IpAddress::v4(bytes[0], bytes[1], bytes[2], bytes[3]);
  return {.network = network, .prefix_length = prefix_length};
}

bool Cidr::contains(const IpAddress& address) const {
  return address.is_v6() == network.is_v6() && of(address, prefix_length).network == network;
}

std::uint64_t Cidr::size() const {
  std::size_t host_bits = network.byte_count() * 8 - prefix_length;
  return std::uint64_t{1} << std::min<std::size_t>(host_bits, 63);
}

IpAddress Cidr::at(std::uint64_t index) const {
  CHECK(index < size());
  auto bytes = network.bytes();
  for (std::size_t i = network.byte_count(); index != 0; index >>= 8) {
    bytes[--i] |= static_cast<std::uint8_t>(index);
  }
  return network.is_v6() ? IpAddress::v6(bytes)
                         : IpAddress::v4(bytes[0], bytes[1], bytes[2], bytes[3]);
}

std::string Cidr::to_string() const {
  return fmt::format("{}/{}", network.to_string(), prefix_length);
}

std::uint64_t hash_value(const IpAddress& address) {
  std::uint64_t halves[2];
  std::memcpy(halves, address.bytes().data(), sizeof halves);
  return mix(halves[0] + mix(halves[1] + (address.is_v6() ? 1 : 0)));
}

std::uint64_t hash_value(const SocketAddress& address) {
  return mix(hash_value(address.ip) + address.port);
}

}  // namespace tulle
