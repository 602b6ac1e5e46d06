#include "codec/url.h"

#include "codec/base64.h"

#include <gtest/gtest.h>

namespace tulle::codec {
namespace {

TEST(Url, decodes_percent_coding_and_refuses_broken_ones) {
  EXPECT_EQ(*percent_decode("a%20b%2Fc+%c3%A9"), "a b/c+\xc3\xa9");
  EXPECT_EQ(*query_decode("a+b%2B"), "a b+");
  EXPECT_EQ(percent_encode("a b/\xc3~-._"), "a%20b%2F%C3~-._");
  for (const std::string_view bad : {"%", "a%2", "%zz", "%2x", "%00", "x%00y"}) {
    EXPECT_FALSE(percent_decode(bad)) << bad;
  }
}

TEST(Url, splits_a_target_of_every_form) {
  const struct {
    std::string_view target, authority, path, query;
    bool has_query;
  } rows[] = {
      {"/a/b?c=d?e", "", "/a/b", "c=d?e", true},
      {"/a", "", "/a", "", false},
      {"/?", "", "/", "", true},
      {"/a?u=http://x/", "", "/a", "u=http://x/", true},
      {"/http://x", "", "/http://x", "", false},
      {"http://h:80/x?y", "h:80", "/x", "y", true},
      {"http://h", "h", "/", "", false},
      {"http://h?y", "h", "/", "y", true},
      {"*", "", "*", "", false},
      {"h:80", "", "h:80", "", false},
  };
  for (const auto& row : rows) {
    const Target target = split_target(row.target);
    EXPECT_EQ(target.authority, row.authority) << row.target;
    EXPECT_EQ(target.path, row.path) << row.target;
    EXPECT_EQ(target.query, row.query) << row.target;
    EXPECT_EQ(target.has_query, row.has_query) << row.target;
  }
}

TEST(Query, keeps_order_and_repetitions) {
  const auto query = Query::parse("watch=true&&a=1&a=2&flag&empty=&l=a%3Db+c");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->get("watch"), "true");
  EXPECT_EQ(query->get_all("a"), (std::vector<std::string_view>{"1", "2"}));
  EXPECT_EQ(query->get("flag"), "");
  EXPECT_EQ(query->get("l"), "a=b c");
  EXPECT_EQ(query->get_or("none", "else"), "else");
  EXPECT_FALSE(query->contains("none"));
  EXPECT_EQ(query->parameters().size(), 6U);
  EXPECT_FALSE(Query::parse("a=%0"));
  std::string many;
  for (std::size_t i = 0; i < Query::parameters_max; ++i) many += "a&";
  EXPECT_TRUE(Query::parse(many));
  EXPECT_FALSE(Query::parse(many + "a"));
}

TEST(Url, paths_of_one_meaning_get_one_spelling) {
  const struct {
    std::string_view path, normal;
  } rows[] = {
      {"/", "/"},
      {"/a/b", "/a/b"},
      {"/a/b/", "/a/b/"},
      {"//a///b//", "/a/b/"},
      {"/a/./b/.", "/a/b/"},
      {"/a/../b", "/b"},
      {"/..", "/"},
      {"/../../a", "/a"},
      {"/a/b/..", "/a/"},
      {"/a/%2e%2E/b", "/b"},
      {"/%61%7e%2f%3f%c3", "/a~%2F%3F%C3"},
      {"/a/...", "/a/..."},
      {"/a;b=c/d", "/a;b=c/d"},
  };
  for (const auto& row : rows) {
    const auto normal = normalize_path(row.path);
    ASSERT_TRUE(normal) << row.path;
    EXPECT_EQ(*normal, row.normal) << row.path;
    EXPECT_EQ(*normalize_path(*normal), *normal);
  }
  for (const std::string_view bad : {"", "a", "*", "/%00", "/%", "/%4"}) {
    EXPECT_FALSE(normalize_path(bad)) << bad;
  }
}

TEST(Url, splits_host_and_port) {
  EXPECT_EQ(*parse_host_port("Hello.Default"), (HostPort{.host = "hello.default"}));
  EXPECT_EQ(*parse_host_port("h:8080"), (HostPort{.host = "h", .port = 8080}));
  EXPECT_EQ(*parse_host_port("10.0.0.1:80"), (HostPort{.host = "10.0.0.1", .port = 80}));
  EXPECT_EQ(*parse_host_port("[FE80::1]:80"), (HostPort{.host = "fe80::1", .port = 80}));
  EXPECT_EQ(*parse_host_port("[::1]"), (HostPort{.host = "::1"}));
  for (const std::string_view bad : {"", ":80", "h:", "h:x", "h:65536", "h:-1", "h:80:80", "[::1",
                                     "[]", "[h]", "[::1]80", "::1", "a b", "u@h", "h/x"}) {
    EXPECT_FALSE(parse_host_port(bad)) << bad;
  }
}

TEST(Base64, goes_both_ways_in_both_alphabets) {
  const struct {
    std::string_view bytes, standard, url;
  } rows[] = {
      {"", "", ""},
      {"f", "Zg==", "Zg"},
      {"fo", "Zm8=", "Zm8"},
      {"foo", "Zm9v", "Zm9v"},
      {"foob", "Zm9vYg==", "Zm9vYg"},
      {"\xfb\xff\xfe", "+//+", "-__-"},
  };
  const Base64Options url = {.alphabet = Base64Alphabet::url, .padding = Base64Padding::without};
  for (const auto& row : rows) {
    EXPECT_EQ(base64_encode(row.bytes), row.standard);
    EXPECT_EQ(base64_encode(row.bytes, url), row.url);
    EXPECT_EQ(*base64_decode(row.standard), row.bytes);
    EXPECT_EQ(*base64_decode(row.url, url), row.bytes);
  }
  EXPECT_EQ(*base64_decode("Zm9v\r\nYg=\n="), "foob");
}

TEST(Base64, has_one_spelling_for_each_value) {
  for (const std::string_view bad : {"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v=", "Z g==",
                                     "=", "Zg==Zg==", "-__-", "Zm8=x"}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
  EXPECT_FALSE(base64_decode("Zg==", {.padding = Base64Padding::without}));
}

}  // namespace
}  // namespace tulle::codec
