#include "codec/proxy_protocol.h"

#include <gtest/gtest.h>

#include <vector>

namespace tulle::codec {
namespace {

using Outcome = ProxyHeader::Outcome;
using std::string_literals::operator""s;

const std::string v2 = "\r\n\r\n\0\r\nQUIT\n"s;

std::string addresses_of(const ProxyHeader& header) {
  if (!header.addresses) return "";
  return header.addresses->source.to_string() + " " + header.addresses->destination.to_string();
}

TEST(ProxyProtocol, reads_who_a_connection_is_from) {
  struct Row {
    std::string what;
    std::string bytes;
    std::string addresses;
  };
  const std::string v6_addresses =
      "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"s + "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"s;
  const std::vector<Row> rows = {
      {"version 1, IPv4", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
       "192.0.2.1:56324 192.0.2.2:443"},
      {"version 1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
       "[2001:db8::1]:56324 [2001:db8::2]:443"},
      {"version 1, unknown", "PROXY UNKNOWN\r\n", ""},
      {"version 1, unknown with what is passed over", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ""},
      {"version 2, IPv4", v2 + "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xdc\4\1\xbb"s,
       "192.0.2.1:56324 192.0.2.2:443"},
      {"version 2, IPv6", v2 + "\x21\x21\0\x24"s + v6_addresses + "\xdc\4\1\xbb",
       "[2001:db8::1]:56324 [2001:db8::2]:443"},
      {"version 2, with values behind",
       v2 + "\x21\x11\0\x10\xc0\0\2\1\xc0\0\2\2\xdc\4\1\xbb\4\0\1\0"s,
       "192.0.2.1:56324 192.0.2.2:443"},
      {"version 2, the proxy's own", v2 + "\x20\0\0\0"s, ""},
      {"version 2, the proxy's own, with addresses",
       v2 + "\x20\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xdc\4\1\xbb"s, ""},
      {"version 2, a Unix socket", v2 + "\x21\x31\0\xd8"s + std::string(216, '\0'), ""},
      {"version 2, UDP", v2 + "\x21\x12\0\x0c\xc0\0\2\1\xc0\0\2\2\xdc\4\1\xbb"s, ""},
  };
  for (const Row& row : rows) {
    for (std::size_t length = 0; length < row.bytes.size(); ++length) {
      EXPECT_EQ(parse_proxy_header(row.bytes.substr(0, length)).outcome, Outcome::incomplete)
          << row.what << ", " << length << " bytes";
    }
    const ProxyHeader header = parse_proxy_header(row.bytes + "GET / HTTP/1.1\r\n");
    EXPECT_EQ(header.outcome, Outcome::complete) << row.what;
    EXPECT_EQ(header.length, row.bytes.size()) << row.what;
    EXPECT_EQ(addresses_of(header), row.addresses) << row.what;
  }
}

TEST(ProxyProtocol, refuses_whatever_is_no_header) {
  const std::vector<std::string> rows = {
      "GET / HTTP/1.1\r\n",
      "PROXY\r\n",
      "PROXY \r\n",
      "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
      "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
      "PROXY TCP4 ::1 ::1 1 2\r\n",
      "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
      "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
      "PROXY UNKNOWN" + std::string(100, ' ') + "\r\n",
      "\r\n\r\n\0\r\nQUIT\r"s,
      v2 + "\x11\x11\0\x0c"s,                              // version 1 in a header of 2
      v2 + "\x22\x11\0\x0c"s,                              // no command
      v2 + "\x21\x11\0\x0b\xc0\0\2\1\xc0\0\2\2\xdc\4\1"s,  // too short for its family
      v2 + "\x21\x11\xff\xff"s,                            // too large
  };
  for (const std::string& row : rows) {
    EXPECT_EQ(parse_proxy_header(row).outcome, Outcome::malformed) << row;
  }
}

TEST(ProxyProtocol, writes_what_it_reads) {
  const ProxiedAddresses v4{.source = *SocketAddress::parse("192.0.2.1:56324"),
                            .destination = *SocketAddress::parse("192.0.2.2:443")};
  const ProxiedAddresses v6{.source = *SocketAddress::parse("[2001:db8::1]:1"),
                            .destination = *SocketAddress::parse("[2001:db8::2]:65535")};
  EXPECT_EQ(encode_proxy_header(ProxyVersion::v1, v4),
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n");
  EXPECT_EQ(encode_proxy_header(ProxyVersion::v1, {}), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(encode_proxy_header(ProxyVersion::v2, v4),
            v2 + "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xdc\4\1\xbb"s);
  EXPECT_EQ(encode_proxy_header(ProxyVersion::v2, {}), v2 + "\x20\0\0\0"s);
  for (const ProxyVersion version : {ProxyVersion::v1, ProxyVersion::v2}) {
    EXPECT_EQ(parse_proxy_header(encode_proxy_header(version, v6)).addresses, v6);
  }
}

}  // namespace
}  // namespace tulle::codec
