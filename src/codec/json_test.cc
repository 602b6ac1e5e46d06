#include "codec/json.h"

#include <gtest/gtest.h>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <cstdlib>

namespace tulle::codec {
namespace {

std::string error_of(std::string_view text, const JsonOptions& options = {}) {
  const auto value = parse_json(text, options);
  return value ? "fine: " + to_json(*value) : value.error().message;
}

TEST(Json, reads_what_it_writes) {
  for (const std::string_view text :
       {"null", "true", "[]", "{}", "[1,-2,18446744073709551615,-9223372036854775808]",
        R"({"b":{"a":[{},[],""]},"a":null})",
        R"("\u0001\n\r\t\"\\ \u007f)"
        "\x7f\xc3\xa9\"",
        "[0.5,1e-7,1e+21,123456.789,-0.25]"}) {
    const auto value = parse_json(text);
    ASSERT_TRUE(value) << text << value.error().message;
    const std::string out = to_json(*value);
    const auto again = parse_json(out);
    ASSERT_TRUE(again) << out;
    EXPECT_EQ(*again, *value) << out;
  }
}

TEST(Json, writes_numbers_as_go_does) {
  EXPECT_EQ(to_json(*parse_json("[1.0, 0.5, 1e2, 1e21, 1e-7, 0.000001, -0.0, 3.14]")),
            "[1,0.5,100,1e+21,1e-7,0.000001,0,3.14]");
}

TEST(Json, reads_doubles_to_the_last_bit) {
  for (const std::string_view text : {"0.1", "-2.2250738585072014e-308", "1.7976931348623157e+308",
                                      "1.8446744073444445e+32", "123456789.12345679", "5e-324"}) {
    EXPECT_EQ(to_json(*parse_json(text)), to_json(*parse_json(to_json(*parse_json(text)))));
    EXPECT_EQ(*parse_json(text)->if_double(), std::strtod(text.data(), nullptr)) << text;
  }
  EXPECT_EQ(*parse_json("1e-999")->if_double(), 0);
}

TEST(Json, keeps_the_kind_of_integers) {
  EXPECT_TRUE(parse_json("-1")->is_int64());
  EXPECT_TRUE(parse_json("9223372036854775807")->is_int64());
  EXPECT_TRUE(parse_json("9223372036854775808")->is_uint64());
  EXPECT_TRUE(parse_json("18446744073709551616")->is_double());
  EXPECT_TRUE(parse_json("1.0")->is_double());
}

TEST(Json, says_where_text_is_wrong) {
  EXPECT_EQ(error_of("{\n  \"a\": x}"), "line 2 column 8: syntax error");
  EXPECT_EQ(error_of("{} \n {}"), "line 2 column 2: something stands behind the value");
  EXPECT_EQ(error_of("1 1"), "line 1 column 3: something stands behind the value");
  EXPECT_EQ(error_of(""), "line 1 column 1: incomplete JSON");
  EXPECT_EQ(error_of("[1,"), "line 1 column 4: incomplete JSON");
  for (const std::string_view bad :
       {"[1,]", "{\"a\":1,}", "'a'", "01", "1.", "NaN", "\"\x01\"", "\"\xff\"", "1e999", "// c\n1",
        "\"\\ud800\"", "nul", "\"a", "[1 2]", "{1:2}"}) {
    EXPECT_FALSE(parse_json(bad)) << bad;
  }
}

TEST(Json, stops_at_its_depth_limit) {
  const std::string fits = std::string(64, '[') + std::string(64, ']');
  EXPECT_TRUE(parse_json(fits));
  EXPECT_FALSE(parse_json("[" + fits + "]"));
  EXPECT_FALSE(parse_json("[[1]]", {.depth_max = 1}));
}

TEST(Json, tells_duplicate_keys_by_path_and_keeps_the_last) {
  std::vector<std::string> keys;
  const auto value = parse_json(R"({"a":1,"spec":{"ports":[{"x":1},{"name":1,"name":2,"name":3}],)"
                                R"("x":{},"x":{"y":1,"y":2}},"a":{"b":2}})",
                                {.duplicate_keys = &keys});
  ASSERT_TRUE(value);
  EXPECT_EQ(keys, (std::vector<std::string>{"spec.ports[1].name", "spec.x", "spec.x.y", "a"}));
  EXPECT_EQ(to_json(*value), R"({"a":{"b":2},"spec":{"ports":[{"x":1},{"name":3}],"x":{"y":2}}})");
}

}  // namespace
}  // namespace tulle::codec
