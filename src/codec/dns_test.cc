#include "codec/dns.h"

#include <gtest/gtest.h>

namespace tulle::codec {
namespace {

using std::string_literals::operator""s;

// A header with the given flags and counts, all below 256.
std::string header(unsigned flags, int questions, int answers, int authorities, int additionals) {
  std::string out = "\x12\x34"s;
  out += static_cast<char>(flags >> 8);
  out += static_cast<char>(flags);
  for (const int count : {questions, answers, authorities, additionals}) {
    out += '\0';
    out += static_cast<char>(count);
  }
  return out;
}

DnsMessage message_with_everything() {
  DnsMessage message = {.id = 0x1234,
                        .response = true,
                        .authoritative = true,
                        .recursion_desired = true,
                        .rcode = DnsRcode::name_error};
  message.questions = {{.name = "Hello.default.svc.cluster.local", .type = DnsType::srv}};
  const auto add = [](auto& section, DnsType type, DnsData data) {
    section.push_back({.name = "Hello.default.svc.cluster.local",
                       .type = type,
                       .ttl_s = 5,
                       .data = std::move(data)});
  };
  add(message.answers, DnsType::a, DnsA{{10, 96, 0, 10}});
  add(message.answers, DnsType::aaaa, DnsAaaa{{0xfe, 0x80, 15}});
  add(message.answers, DnsType::cname, DnsName{"world.default.svc.cluster.local"});
  add(message.answers, DnsType::ptr, DnsName{""});
  add(message.answers, DnsType::srv,
      DnsSrv{.priority = 1, .weight = 2, .port = 80, .target = "world.default.svc.cluster.local"});
  add(message.answers, DnsType::txt, DnsTxt{{"a", "", std::string(255, 'x')}});
  add(message.answers, DnsType::mx, DnsRaw{"\0\x0a\x04mail\0"s});
  add(message.answers, static_cast<DnsType>(65), DnsRaw{"anything"});
  add(message.authorities, DnsType::ns, DnsName{"ns.cluster.local"});
  add(message.authorities, DnsType::soa,
      DnsSoa{.primary = "ns.cluster.local",
             .mailbox = "host\\.master.cluster.local",
             .serial = 1,
             .refresh_s = 2,
             .retry_s = 3,
             .expire_s = 4,
             .minimum_s = 0xffffffff});
  add(message.additionals, DnsType::a, DnsA{{127, 0, 0, 1}});
  message.edns = {.udp_bytes_max = 4096, .dnssec_ok = true, .options = "\0\x0a\0\0"s};
  return message;
}

TEST(Dns, reads_what_it_writes) {
  const DnsMessage message = message_with_everything();
  const auto wire = build_dns(message);
  ASSERT_TRUE(wire) << wire.error().message;
  const auto again = parse_dns(*wire);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, message);
}

TEST(Dns, writes_a_known_answer_with_its_name_compressed) {
  DnsMessage message = {.id = 0x1234, .response = true};
  message.questions = {{.name = "a.b"}};
  message.answers = {{.name = "a.b", .type = DnsType::cname, .ttl_s = 1, .data = DnsName{"c.b"}}};
  EXPECT_EQ(*build_dns(message), header(0x8000, 1, 1, 0, 0) +
                                     "\x01"
                                     "a\x01"
                                     "b\0\0\x01\0\x01"s +
                                     "\xc0\x0c\0\x05\0\x01\0\0\0\x01\0\x04\x01"
                                     "c\xc0\x0e"s);
}

TEST(Dns, reads_flags_and_extended_rcode) {
  const auto message = parse_dns(header(0xafb5, 0, 0, 0, 1) + "\0\0\x29\x04\xd0\x01\0\x80\0\0\0"s);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_TRUE(message->response && message->authoritative && message->truncated);
  EXPECT_TRUE(message->recursion_desired && message->recursion_available);
  EXPECT_TRUE(message->authentic_data && message->checking_disabled);
  EXPECT_EQ(message->opcode, 5);
  EXPECT_EQ(static_cast<unsigned>(message->rcode), 0x15U);
  EXPECT_EQ(message->edns, (DnsEdns{.udp_bytes_max = 1232, .dnssec_ok = true}));
}

TEST(Dns, escapes_bytes_of_labels_that_text_cannot_hold) {
  DnsMessage message;
  message.questions = {{.name = "a\\.b\\\\.\\000\\032\\255.c"}};
  const auto wire = build_dns(message);
  ASSERT_TRUE(wire);
  EXPECT_EQ(wire->substr(12, 14),
            "\x04"
            "a.b\\\x03\0 \xff\x01"
            "c\0\0\x01"s);
  EXPECT_EQ(parse_dns(*wire)->questions, message.questions);
}

TEST(Dns, refuses_broken_messages) {
  const std::string question =
      "\x01"
      "a\0\0\x01\0\x01"s;
  const std::string record = "\0\0\x01\0\x01\0\0\0\0"s;  // up to its length
  const struct {
    std::string wire;
    std::string_view error;
  } rows[] = {
      {"", "offset 0: the message ends in the middle"},
      {header(0, 1, 0, 0, 0), "offset 12: a name runs out of the message"},
      {header(0, 0, 0, 0, 0) + "x", "offset 12: bytes behind the last record"},
      {header(0, 1, 0, 0, 0) + "\xc0\x0c\0\x01\0\x01"s, "offset 12: a pointer does not point back"},
      {header(0, 1, 0, 0, 0) + "\x01"
                               "a\xc0\x0c\0\x01\0\x01"s,
       "offset 12: a pointer does not point back"},
      {header(0, 1, 0, 0, 0) + "\xc0\x20\0\x01\0\x01"s, "offset 12: a pointer does not point back"},
      {header(0, 1, 0, 0, 0) + "\xc0", "offset 12: a pointer is cut off"},
      {header(0, 1, 0, 0, 0) + "\x41x", "offset 12: a label of unknown type"},
      {header(0, 1, 0, 0, 0) + "\x05x", "offset 12: a label runs out of the message"},
      {header(0, 0, 1, 0, 0) + record + "\0\x03\1\2\3"s,
       "offset 23: an address of the wrong length"},
      {header(0, 0, 1, 0, 0) + record + "\0\x04\1\2\3"s,
       "offset 23: the message ends in the middle"},
      {header(0, 0, 1, 0, 0) + "\0\0\x05\0\x01\0\0\0\0\0\x02\0\0"s,
       "offset 24: the data of a record are longer or shorter than it says"},
      {header(0, 0, 1, 0, 0) + "\0\0\x10\0\x01\0\0\0\0\0\x02\x05"
                               "ab"s,
       "offset 24: the message ends in the middle"},
      {header(0, 0, 1, 0, 0) + "\0\0\x10\0\x01\0\0\0\0\0\0"s,
       "offset 23: a TXT record without a string"},
      {header(0, 0, 0, 0, 2) + "\0\0\x29\0\0\0\0\0\0\0\0\0\0\x29\0\0\0\0\0\0\0\0"s,
       "offset 34: two OPT records"},
      {header(0, 0, 0, 0, 1) + "\x01"
                               "a\0\0\x29\0\0\0\0\0\0\0\0"s,
       "offset 25: an OPT record has a name"},
      {"\x12\x34\0\0\xff\xff\0\0\0\0\0\0"s, "offset 12: too many records"},
  };
  for (const auto& row : rows) {
    const auto message = parse_dns(row.wire);
    ASSERT_FALSE(message) << row.error;
    EXPECT_EQ(message.error().message, row.error);
    EXPECT_EQ(message.error().code, Code::malformed);
  }
}

TEST(Dns, bounds_names_that_pointers_make_long) {
  // Each name is a label of 60 bytes and a pointer to the one before.
  std::string wire = header(0, 6, 0, 0, 0);
  std::size_t last = 0;
  for (int i = 0; i < 6; ++i) {
    const std::size_t start = wire.size();
    wire += '\x3c' + std::string(60, 'x');
    wire += i == 0 ? "\0"s : "\xc0"s;
    if (i > 0) wire += static_cast<char>(last);
    wire += "\0\x01\0\x01"s;
    if (start < 256) last = start;
  }
  const auto message = parse_dns(wire);
  ASSERT_FALSE(message);
  EXPECT_NE(message.error().message.find("more than 255 bytes"), std::string::npos);
}

TEST(Dns, refuses_to_write_what_has_no_wire_form) {
  const auto refuses = [](const DnsMessage& message) {
    const auto wire = build_dns(message);
    return !wire && wire.error().code == Code::invalid_argument;
  };
  for (const std::string& name :
       {"a..b"s, ".a"s, "a\\"s, "a\\25"s, "a\\256"s, std::string(64, 'x'), [] {
          std::string name;
          for (int i = 0; i < 128; ++i) name += "x.";
          return name;
        }()}) {
    DnsMessage message;
    message.questions = {{.name = name}};
    EXPECT_TRUE(refuses(message)) << name;
  }
  DnsMessage wrong_data;
  wrong_data.answers = {{.name = "a", .type = DnsType::a, .data = DnsName{"b"}}};
  EXPECT_TRUE(refuses(wrong_data));
  DnsMessage long_text;
  long_text.answers = {
      {.name = "a", .type = DnsType::txt, .data = DnsTxt{{std::string(256, 'x')}}}};
  EXPECT_TRUE(refuses(long_text));
  EXPECT_TRUE(refuses({.rcode = DnsRcode::bad_version}));
}

TEST(Dns, leaves_out_what_does_not_fit_and_says_so) {
  DnsMessage query = {.id = 7, .recursion_desired = true};
  query.questions = {{.name = "hello.default.svc.cluster.local"}};
  EXPECT_EQ(dns_udp_bytes_max(query), 512U);
  DnsMessage response = dns_response_to(query);
  for (unsigned i = 0; i < 100; ++i) {
    response.answers.push_back({.name = "hello.default.svc.cluster.local",
                                .ttl_s = 5,
                                .data = DnsA{{10, 0, 0, static_cast<std::uint8_t>(i)}}});
  }
  response.authorities = {{.name = "cluster.local", .type = DnsType::ns, .data = DnsName{"ns"}}};
  response.edns = DnsEdns{};
  const auto wire = build_dns(response, dns_udp_bytes_max(query));
  ASSERT_TRUE(wire);
  EXPECT_LE(wire->size(), 512U);
  EXPECT_GT(wire->size(), 512U - 16U);
  const auto sent = parse_dns(*wire);
  ASSERT_TRUE(sent);
  EXPECT_TRUE(sent->truncated);
  EXPECT_GT(sent->answers.size(), 20U);
  EXPECT_TRUE(sent->authorities.empty());
  EXPECT_EQ(sent->questions, query.questions);
  EXPECT_EQ(sent->edns, response.edns);

  response.answers.resize(20);
  response.additionals.assign(30, response.answers.front());
  const auto complete = parse_dns(*build_dns(response, 512));
  ASSERT_TRUE(complete);
  EXPECT_FALSE(complete->truncated);
  EXPECT_EQ(complete->answers.size(), 20U);
  EXPECT_EQ(complete->authorities.size(), 1U);
  EXPECT_LT(complete->additionals.size(), 30U);
  EXPECT_EQ(build_dns(response, 40).error().code, Code::exhausted);
}

TEST(Dns, reverse_names_go_both_ways) {
  const IpAddress v4 = IpAddress::v4(10, 1, 20, 255);
  EXPECT_EQ(dns_reverse_name(v4), "255.20.1.10.in-addr.arpa");
  EXPECT_EQ(dns_reverse_address("255.20.1.10.IN-ADDR.arpa"), v4);
  const IpAddress v6 = *IpAddress::parse("2001:db8::567:89ab");  // the example of RFC 3596
  const std::string of_v6 =
      "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
  EXPECT_EQ(dns_reverse_name(v6), of_v6);
  EXPECT_EQ(dns_reverse_address(of_v6), v6);
  for (const std::string& bad :
       {std::string(), std::string("in-addr.arpa"), std::string("1.10.in-addr.arpa"),
        std::string("256.1.1.1.in-addr.arpa"), std::string("01.1.1.1.in-addr.arpa"),
        std::string("1.1.1.1.1.in-addr.arpa"), std::string("x.1.1.1.in-addr.arpa"),
        std::string("1.1.1.1"), std::string(".1.1.1.in-addr.arpa"), std::string("1.ip6.arpa"),
        "0." + of_v6, "g" + of_v6.substr(1), "b-" + of_v6.substr(2)}) {
    EXPECT_EQ(dns_reverse_address(bad), std::nullopt) << bad;
  }
}

TEST(Dns, what_goes_back_by_udp_is_bounded_whatever_the_client_says) {
  DnsMessage query;
  EXPECT_EQ(dns_udp_bytes_max(query), 512U);
  for (const auto& [said, sent] :
       {std::pair{0, 512U}, {600, 600U}, {4096, 1232U}, {65535, 1232U}}) {
    query.edns = DnsEdns{.udp_bytes_max = static_cast<std::uint16_t>(said)};
    EXPECT_EQ(dns_udp_bytes_max(query), sent) << said;
  }
}

}  // namespace
}  // namespace tulle::codec
