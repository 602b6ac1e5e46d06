#include "codec/http_message.h"

#include <gtest/gtest.h>

namespace tulle::codec {
namespace {

std::string text(const Headers& headers) {
  std::string result;
  for (const auto [name, value] : headers) {
    result.append(name).append("=").append(value).append(";");
  }
  return result;
}

TEST(Headers, keep_order_and_spelling_and_find_without_regard_to_case) {
  Headers headers = {{"Host", "hello"}, {"Accept", "a"}, {"accept", "b"}};
  EXPECT_EQ(text(headers), "Host=hello;Accept=a;accept=b;");
  EXPECT_EQ(headers.get("HOST"), "hello");
  EXPECT_EQ(headers.get("ACCEPT"), "a");
  EXPECT_EQ(headers.get("missing"), std::nullopt);
  EXPECT_EQ(headers.count("accept"), 2U);
  EXPECT_EQ(headers.find("accept", 2), 2U);
}

TEST(Headers, find_every_name_whatever_was_removed_or_assigned_before) {
  Headers headers;
  for (std::size_t i = 0; i < 200; ++i) headers.append("x-" + std::to_string(i * i), "v");
  for (std::size_t i = 0; i < 200; i += 2) {
    EXPECT_EQ(headers.remove("X-" + std::to_string(i * i)), 1U);
  }
  for (std::size_t i = 0; i < 200; ++i) {
    EXPECT_EQ(headers.contains("X-" + std::to_string(i * i)), i % 2 == 1) << i;
  }
  const Headers::Field field{
      .name_offset = 0, .name_length = 2, .value_offset = 3, .value_length = 1};
  headers.assign("Te:x\r\n", std::span(&field, 1));
  EXPECT_TRUE(headers.contains("te"));
  EXPECT_FALSE(headers.contains("x-1"));
  EXPECT_FALSE(headers.contains(""));
  headers.clear();
  EXPECT_FALSE(headers.contains("te"));
}

TEST(Headers, set_replaces_in_place_and_removes_repetitions) {
  Headers headers = {{"A", "1"}, {"b", "2"}, {"a", "3"}, {"c", "4"}, {"a", "5"}};
  headers.set("a", "long enough to need memory of its own, certainly");
  EXPECT_EQ(text(headers), "a=long enough to need memory of its own, certainly;b=2;c=4;");
  headers.set("d", "6");
  EXPECT_EQ(headers.remove("A"), 1U);
  EXPECT_EQ(headers.remove("A"), 0U);
  EXPECT_EQ(text(headers), "b=2;c=4;d=6;");
  headers.clear();
  EXPECT_TRUE(headers.empty());
  EXPECT_EQ(headers.byte_size(), 0U);
}

TEST(Headers, take_their_own_views_as_values) {
  Headers headers = {{"a", "value of some length, beyond any small buffer"}};
  for (int i = 0; i < 20; ++i) headers.append(headers[0].name, headers[0].value);
  EXPECT_EQ(headers.count("a"), 21U);
  EXPECT_EQ(headers[20].value, headers[0].value);
}

TEST(Headers, never_let_a_value_end_its_line) {
  Headers headers;
  headers.append("Location", std::string_view("/a\r\nSet-Cookie: b\0c\t\x7f", 21));
  EXPECT_EQ(headers.get("location"), "/a  Set-Cookie: b c");
}

TEST(Headers, look_for_tokens_in_lists_over_all_fields) {
  const Headers headers = {{"Connection", "keep-alive ,Upgrade"}, {"connection", ",, Foo"}};
  EXPECT_TRUE(headers.contains_token("connection", "upgrade"));
  EXPECT_TRUE(headers.contains_token("connection", "keep-alive"));
  EXPECT_TRUE(headers.contains_token("connection", "foo"));
  EXPECT_FALSE(headers.contains_token("connection", "up"));
  EXPECT_FALSE(headers.contains_token("connection", ""));
}

TEST(Headers, of_a_proxied_message_lose_what_is_meant_for_one_hop) {
  Headers headers = {{"Host", "h"},
                     {"Connection", "close, X-One, Host, connection"},
                     {"X-One", "1"},
                     {"connection", "x-two"},
                     {"X-Two", "2"},
                     {"X-Three", "3"},
                     {"Keep-Alive", "timeout=5"},
                     {"TE", "trailers"},
                     {"Transfer-Encoding", "chunked"},
                     {"Upgrade", "h2c"},
                     {"Proxy-Connection", "close"}};
  remove_hop_by_hop(headers);
  EXPECT_EQ(text(headers), "Host=h;X-Three=3;");
}

TEST(BodyFraming, of_a_response_depends_on_status_and_request_method) {
  using Kind = BodyFraming::Kind;
  const Headers length = {{"Content-Length", "5"}};
  const Headers chunked = {{"Transfer-Encoding", "chunked"}};
  const struct {
    int status;
    std::string_view method;
    const Headers& headers;
    Kind kind;
  } rows[] = {{200, "GET", length, Kind::length},    {200, "GET", chunked, Kind::chunked},
              {200, "GET", {}, Kind::until_close},   {200, "HEAD", length, Kind::none},
              {204, "GET", length, Kind::none},      {304, "GET", length, Kind::none},
              {100, "POST", {}, Kind::none},         {103, "GET", chunked, Kind::none},
              {101, "GET", {}, Kind::tunnel},        {200, "CONNECT", length, Kind::tunnel},
              {407, "CONNECT", length, Kind::length}};
  for (const auto& row : rows) {
    const ResponseHead head = {.status = row.status, .headers = row.headers};
    EXPECT_EQ(body_framing(head, row.method).kind, row.kind) << row.status << row.method;
  }
}

TEST(ContentLength, is_digits_only_and_below_two_to_the_63rd) {
  EXPECT_EQ(parse_content_length("0"), 0U);
  EXPECT_EQ(parse_content_length("9223372036854775807"), 9223372036854775807U);
  for (const auto bad : {"", "-1", "+1", " 1", "1 ", "1,1", "0x1", "9223372036854775808",
                         "99999999999999999999", "1.0", "a"}) {
    EXPECT_EQ(parse_content_length(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace tulle::codec
