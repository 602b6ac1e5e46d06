#include "codec/client_hello.h"

#include <gtest/gtest.h>

#include <string>

namespace tulle::codec {
namespace {

using Outcome = ClientHello::Outcome;

std::string number(std::size_t value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = bytes; i-- > 0;) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}
std::string vector(std::string_view data, std::size_t length_bytes) {
  return number(data.size(), length_bytes) + std::string(data);
}
std::string extension(std::size_t type, std::string_view data) {
  return number(type, 2) + vector(data, 2);
}
std::string server_name(std::string_view name) {
  return extension(0, vector(number(0, 1) + vector(name, 2), 2));
}
std::string alpn(std::initializer_list<std::string_view> protocols) {
  std::string list;
  for (const std::string_view protocol : protocols) list += vector(protocol, 1);
  return extension(16, vector(list, 2));
}
std::string message(std::string_view extensions) {
  const std::string body = "\x03\x03" + std::string(32, 'r') + vector("session", 1) +
                           vector("\x13\x01", 2) + vector(std::string_view("\0", 1), 1) +
                           vector(extensions, 2);
  return number(1, 1) + vector(body, 3);
}
std::string record(std::string_view fragment) { return "\x16\x03\x01" + vector(fragment, 2); }

TEST(ClientHello, tells_server_name_and_protocols) {
  const std::string bytes = record(message(extension(10, "groups") + server_name("Shop.Example.") +
                                           alpn({"h2", "http/1.1"}) + extension(43, "versions")));
  const ClientHello hello = parse_client_hello(bytes);
  ASSERT_EQ(hello.outcome, Outcome::complete);
  EXPECT_EQ(hello.server_name, "shop.example");
  EXPECT_EQ(hello.alpn, (std::vector<std::string>{"h2", "http/1.1"}));
  const ClientHello with_more = parse_client_hello(bytes + "more");
  EXPECT_EQ(with_more.outcome, Outcome::complete);
}

TEST(ClientHello, may_say_neither) {
  const ClientHello hello = parse_client_hello(record(message("")));
  EXPECT_EQ(hello.outcome, Outcome::complete);
  EXPECT_EQ(hello.server_name, "");
  EXPECT_TRUE(hello.alpn.empty());
}

TEST(ClientHello, is_read_the_same_however_it_is_cut_into_records_and_pieces) {
  const std::string whole = message(server_name("a.b") + alpn({"h2"}));
  for (const std::size_t piece : {1UL, 2UL, 5UL, 50UL, 1000UL}) {
    std::string bytes;
    for (std::size_t at = 0; at < whole.size(); at += piece) {
      bytes += record(std::string_view(whole).substr(at, piece));
    }
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      const auto part = parse_client_hello(std::string_view(bytes).substr(0, length));
      ASSERT_EQ(part.outcome, Outcome::incomplete) << piece << " " << length;
    }
    EXPECT_EQ(parse_client_hello(bytes).server_name, "a.b") << piece;
  }
}

TEST(ClientHello, what_is_none_is_seen_early) {
  const std::string good = record(message(server_name("a.b")));
  struct Row {
    std::string what;
    std::string bytes;
  };
  const std::vector<Row> rows = {
      {"HTTP", "G"},
      {"another record", "\x17\x03\x03"},
      {"another version", "\x16\x02"},
      {"another message", record("\x02" + std::string(3, '\0') + "x")},
      {"an empty record", std::string("\x16\x03\x01\0\0", 5)},
      {"a record too long", std::string("\x16\x03\x01\x41\0", 5)},
      {"a message too long", record(std::string_view("\x01\x01\0\0", 4))},
      {"an extension beyond its message", record(message(std::string_view("\0\0\xff\xff", 4)))},
      {"a name with a NUL", record(message(server_name(std::string_view("a\0b", 3))))},
      {"an empty name", record(message(server_name("")))},
      {"an empty protocol", record(message(alpn({""})))},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(parse_client_hello(row.bytes).outcome, Outcome::malformed) << row.what;
  }
  EXPECT_EQ(parse_client_hello(good).outcome, Outcome::complete);
}

}  // namespace
}  // namespace tulle::codec
