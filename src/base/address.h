// IP addresses, socket addresses and networks as plain values. No headers of the operating system:
// net/ converts to and from sockaddr.
#pragma once

#include "base/result.h"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace tulle {

// An IPv4 or IPv6 address. IPv4 orders before IPv6. Default: 0.0.0.0. An IPv4-mapped IPv6 address
// (::ffff:a.b.c.d) is a different value from a.b.c.d until unmapped() is asked for.
class IpAddress final {
 public:
  constexpr IpAddress() = default;

  static constexpr IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    IpAddress address;
    address.bytes_ = {a, b, c, d};
    return address;
  }
  // From a number in host byte order: 0x7f000001 is 127.0.0.1.
  static constexpr IpAddress v4(std::uint32_t number) {
    return v4(static_cast<std::uint8_t>(number >> 24), static_cast<std::uint8_t>(number >> 16),
              static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number));
  }
  static constexpr IpAddress v6(const std::array<std::uint8_t, 16>& network_order) {
    IpAddress address;
    address.bytes_ = network_order;
    address.is_v6_ = true;
    return address;
  }

  // "10.0.0.1" or "::1" (RFC 4291 text forms, no zone, no brackets, no leading zeros in IPv4).
  static Result<IpAddress> parse(std::string_view text);

  constexpr bool is_v4() const { return !is_v6_; }
  constexpr bool is_v6() const { return is_v6_; }
  bool is_loopback() const;     // 127.0.0.0/8 or ::1
  bool is_unspecified() const;  // 0.0.0.0 or ::

  // The IPv4 address as a number in host byte order. REQUIRES: is_v4().
  std::uint32_t v4_number() const;

  // Network byte order. 16 bytes, of which IPv4 uses the first 4 and leaves the rest zero.
  constexpr const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  constexpr std::size_t byte_count() const { return is_v6_ ? 16 : 4; }

  // The IPv4 address inside ::ffff:0:0/96, else this one.
  IpAddress unmapped() const;

  // RFC 5952 for IPv6.
  std::string to_string() const;

  friend constexpr bool operator==(const IpAddress&, const IpAddress&) = default;
  friend constexpr std::strong_ordering operator<=>(const IpAddress& a, const IpAddress& b) {
    if (a.is_v6_ != b.is_v6_) return a.is_v6_ <=> b.is_v6_;
    return a.bytes_ <=> b.bytes_;
  }

 private:
  std::array<std::uint8_t, 16> bytes_{};
  bool is_v6_ = false;
};

struct SocketAddress {
  IpAddress ip;
  std::uint16_t port = 0;

  // "10.0.0.1:80" or "[::1]:80".
  static Result<SocketAddress> parse(std::string_view text);
  std::string to_string() const;

  friend constexpr bool operator==(const SocketAddress&, const SocketAddress&) = default;
  friend constexpr auto operator<=>(const SocketAddress&, const SocketAddress&) = default;
};

// A network: the bits of `network` after `prefix_length` are zero when made by parse() or of().
struct Cidr {
  IpAddress network;
  std::uint8_t prefix_length = 0;

  // "10.96.0.0/12". Bits set after the prefix are an error.
  static Result<Cidr> parse(std::string_view text);
  // Clears the bits after the prefix. REQUIRES: prefix_length <= 32 or 128 by family.
  static Cidr of(const IpAddress& address, std::uint8_t prefix_length);

  bool contains(const IpAddress& address) const;

  // How many addresses, at most 2^63.
  std::uint64_t size() const;
  // The address at `index`, counted from the network's own. REQUIRES: index < size().
  IpAddress at(std::uint64_t index) const;

  std::string to_string() const;

  friend constexpr bool operator==(const Cidr&, const Cidr&) = default;
  friend constexpr auto operator<=>(const Cidr&, const Cidr&) = default;
};

// Every bit of the address counts for every bit of the hash. Stable across runs and machines, so
// usable for consistent choices.
std::uint64_t hash_value(const IpAddress& address);
std::uint64_t hash_value(const SocketAddress& address);

}  // namespace tulle

template <>
struct std::hash<tulle::IpAddress> {
  std::size_t operator()(const tulle::IpAddress& address) const noexcept {
    return tulle::hash_value(address);
  }
};

template <>
struct std::hash<tulle::SocketAddress> {
  std::size_t operator()(const tulle::SocketAddress& address) const noexcept {
    return tulle::hash_value(address);
  }
};
