#include "proxy/recognise.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tulle::proxy {
namespace {

TEST(Recognise, tells_a_request_line_from_anything_else) {
  using enum Recognised;
  struct Row {
    std::string_view bytes;
    Recognised outcome;
  };
  const std::vector<Row> rows = {
      {"GET / HTTP/1.1\r\n", http},
      {"GET /", http},
      {"POST http://a/b HTTP/1.1", http},
      {"OPTIONS * HTTP/1.1", http},
      {"CONNECT a:443 HTTP/1.1", http},
      {"M-SEARCH * HTTP/1.1", http},
      {"", undecided},
      {"G", undecided},
      {"GET", undecided},
      {"GET ", undecided},
      {"GET htt", undecided},
      {"PRI * HTTP/2.0\r\n", http},
      {"get / HTTP/1.1", other},
      {" GET / HTTP/1.1", other},
      {"EHLO mail", other},
      {"PING\r\n", other},
      {"USER x", other},
      {"GET ftp://a", other},
      {"\x16\x03\x01", other},
      {std::string_view("\0\0\0\4", 4), other},
      {"\r", undecided},
      {"\r\n", undecided},
      {"\r\nGET / HTTP/1.1\r\n", http},
      {"\r\nEHLO mail", other},
      {"\r\n\r\nGET / HTTP/1.1\r\n", other},
      {"\nGET / HTTP/1.1\r\n", other},
      {"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ", other},
  };
  for (const Row& row : rows) EXPECT_EQ(recognise(row.bytes), row.outcome) << row.bytes;
}

TEST(Recognise, never_changes_its_mind_as_more_bytes_come) {
  for (const std::string_view text : {"GET /a HTTP/1.1\r\n", "POST http://a HTTP/1.1", "HELO there",
                                      "A-VERY-LONG-VERB-INDEED-AND-MORE /"}) {
    Recognised before = Recognised::undecided;
    for (std::size_t size = 0; size <= text.size(); ++size) {
      const Recognised now = recognise(text.substr(0, size));
      if (before != Recognised::undecided) EXPECT_EQ(now, before) << text.substr(0, size);
      before = now;
    }
    EXPECT_NE(before, Recognised::undecided) << text;
  }
}

TEST(Recognise, tells_a_server_of_http2_by_its_settings) {
  EXPECT_TRUE(is_http2_greeting(std::string_view("\0\0\0\4\0\0\0\0\0", 9)));
  EXPECT_TRUE(is_http2_greeting(std::string_view("\0\0\6\4\0\0\0\0\0\0\3\0\0\0\x64", 15)));
  EXPECT_FALSE(is_http2_greeting(std::string_view("\0\0\0\4\0\0\0\0", 8)));
  EXPECT_FALSE(is_http2_greeting(std::string_view("\0\0\5\4\0\0\0\0\0", 9)));
  EXPECT_FALSE(is_http2_greeting(std::string_view("\0\0\0\4\1\0\0\0\0", 9)));  // an ACK
  EXPECT_FALSE(is_http2_greeting("220 mail.example ESMTP\r\n"));
}

}  // namespace
}  // namespace tulle::proxy
