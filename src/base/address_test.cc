#include "base/address.h"

#include <gtest/gtest.h>

#include <unordered_set>

namespace tulle {
namespace {

struct Row {
  std::string_view text;
  std::string_view written;  // empty: not an address
};

TEST(IpAddressTest, parses_and_writes_the_canonical_form) {
  const Row rows[] = {
      {"0.0.0.0", "0.0.0.0"},
      {"10.96.0.10", "10.96.0.10"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
      {"1:0:0:2:3:0:0:4", "1::2:3:0:0:4"},
      {"fe80::1.2.3.4", "fe80::102:304"},
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"", ""},
      {"1.2.3", ""},
      {"1.2.3.4.5", ""},
      {"1.2.3.256", ""},
      {"1.2.3.04", ""},
      {"1.2.3.", ""},
      {" 1.2.3.4", ""},
      {"1.2.3.+4", ""},
      {":", ""},
      {":::", ""},
      {"1:2:3:4:5:6:7", ""},
      {"1:2:3:4:5:6:7:8:9", ""},
      {"1::2::3", ""},
      {"1:2:3:4::5:6:7:8", ""},
      {"1:2:3:4:5:6:7:", ""},
      {"12345::", ""},
      {"1.2.3.4::", ""},
      {"fe80::1%eth0", ""},
  };
  for (const Row& row : rows) {
    auto parsed = IpAddress::parse(row.text);
    ASSERT_EQ(parsed.has_value(), !row.written.empty()) << row.text;
    if (parsed) {
      EXPECT_EQ(parsed->to_string(), row.written);
      EXPECT_EQ(*IpAddress::parse(row.written), *parsed);
    }
  }
}

TEST(IpAddressTest, knows_loopback_unspecified_and_mapped_addresses) {
  EXPECT_TRUE(IpAddress::v4(127, 9, 9, 9).is_loopback());
  EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("::2")->is_loopback());
  EXPECT_TRUE(IpAddress().is_unspecified());
  EXPECT_EQ(IpAddress::parse("::ffff:10.0.0.1")->unmapped(), IpAddress::v4(10, 0, 0, 1));
  EXPECT_NE(*IpAddress::parse("::ffff:10.0.0.1"), IpAddress::v4(10, 0, 0, 1));
  EXPECT_EQ(IpAddress::v4(0x0a600001).to_string(), "10.96.0.1");
  EXPECT_EQ(IpAddress::v4(10, 96, 0, 1).v4_number(), 0x0a600001U);
}

TEST(SocketAddressTest, parses_and_writes) {
  for (std::string_view text : {"10.0.0.1:80", "[::1]:65535", "0.0.0.0:0"}) {
    auto parsed = SocketAddress::parse(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->to_string(), text);
  }
  for (std::string_view text : {"", ":80", "::1:80", "[10.0.0.1]:80", "1.2.3.4", "1.2.3.4:65536",
                                "1.2.3.4:", "1.2.3.4:-1", "[::1]"}) {
    EXPECT_FALSE(SocketAddress::parse(text)) << text;
  }
}

TEST(CidrTest, contains_exactly_its_network) {
  Cidr services = *Cidr::parse("10.96.0.0/12");
  EXPECT_TRUE(services.contains(IpAddress::v4(10, 96, 0, 0)));
  EXPECT_TRUE(services.contains(IpAddress::v4(10, 111, 255, 255)));
  EXPECT_FALSE(services.contains(IpAddress::v4(10, 112, 0, 0)));
  EXPECT_FALSE(services.contains(IpAddress::v4(10, 95, 255, 255)));
  EXPECT_FALSE(services.contains(*IpAddress::parse("::ffff:10.96.0.1")));
  EXPECT_TRUE(Cidr::parse("0.0.0.0/0")->contains(IpAddress::v4(8, 8, 8, 8)));
  EXPECT_TRUE(Cidr::parse("fd00::/8")->contains(*IpAddress::parse("fdff::1")));
  EXPECT_EQ(services.size(), 1U << 20);
  EXPECT_EQ(services.at(256 + 10).to_string(), "10.96.1.10");
  EXPECT_EQ(Cidr::of(IpAddress::v4(10, 1, 2, 3), 24).to_string(), "10.1.2.0/24");
  for (std::string_view text : {"10.96.0.1/12", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "x/8"}) {
    EXPECT_FALSE(Cidr::parse(text)) << text;
  }
}

TEST(AddressHashTest, tells_neighbours_and_families_apart) {
  std::unordered_set<std::uint64_t> seen;
  Cidr pods = *Cidr::parse("10.244.0.0/16");
  for (std::uint64_t i = 0; i < 1000; ++i) {
    for (std::uint16_t port : {80, 81}) seen.insert(hash_value(SocketAddress{pods.at(i), port}));
  }
  EXPECT_EQ(seen.size(), 2000U);
  EXPECT_LT(IpAddress::v4(255, 0, 0, 0), *IpAddress::parse("::"));
}

}  // namespace
}  // namespace tulle
