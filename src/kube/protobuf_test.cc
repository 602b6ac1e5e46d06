// Fixtures: testdata/protobuf.txt, written by tools/k8s-types/fixtures with the Go types.
#include "kube/protobuf.h"

#include "kube/protobuf_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <fstream>
#include <sstream>

namespace tulle::kube {
namespace {

namespace json = boost::json;

struct Fixture {
  std::string kind;
  std::string body;
  json::value document;  // as Go writes it
};

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

// The directory of this test is the repository (tulle_layer sets it).
std::vector<Fixture> fixtures() {
  std::ifstream file("src/kube/testdata/protobuf.txt");
  std::vector<Fixture> result;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string kind;
    std::string hex;
    std::string text;
    words >> kind >> hex >> std::ws;
    std::getline(words, text);
    result.push_back({.kind = kind, .body = from_hex(hex), .document = json::parse(text)});
  }
  return result;
}

// Go prints zero times as null, which we drop.
void drop_nulls(json::value& value) {
  if (json::array* elements = value.if_array()) {
    for (json::value& element : *elements) drop_nulls(element);
  } else if (json::object* object = value.if_object()) {
    for (auto it = object->begin(); it != object->end();) {
      drop_nulls(it->value());
      it = it->value().is_null() && it->key() != "data" ? object->erase(it) : it + 1;
    }
  }
}

class Protobuf : public testing::Test {
 protected:
  void SetUp() override { scheme_ = make_builtin_scheme().value(); }

  // A body of a ConfigMap whose message is `raw`.
  static std::string config_map(std::string_view raw) {
    std::string body = from_hex("6b3873000a0f0a0276311209436f6e6669674d6170");
    body += "\x12";
    body += static_cast<char>(raw.size());
    return body.append(raw);
  }

  std::unique_ptr<Scheme> scheme_;
};

TEST_F(Protobuf, every_fixture_becomes_the_json_of_the_same_object) {
  std::vector<Fixture> all = fixtures();
  ASSERT_GT(all.size(), 10U);
  for (Fixture& fixture : all) {
    Result<json::value> decoded = decode_protobuf(*scheme_, fixture.body);
    ASSERT_TRUE(decoded) << fixture.kind << decoded.error().message;
    if (fixture.kind != "ControllerRevision") drop_nulls(fixture.document);
    EXPECT_EQ(*decoded, fixture.document) << json::serialize(*decoded) << '\n'
                                          << json::serialize(fixture.document);
  }
}

TEST_F(Protobuf, no_truncation_of_a_body_is_taken_for_more_than_it_is) {
  for (const Fixture& fixture : fixtures()) {
    for (std::size_t size = 0; size < fixture.body.size(); ++size) {
      Result<json::value> decoded =
          decode_protobuf(*scheme_, std::string_view(fixture.body).substr(0, size));
      if (!decoded) continue;
      EXPECT_TRUE(decoded->is_object());
    }
  }
}

TEST_F(Protobuf, malformed_bodies_are_refused_with_a_reason) {
  struct Row {
    std::string body;
    std::string_view message;
  };
  const Row rows[] = {
      {"", "does not start with"},
      {"{}", "does not start with"},
      {from_hex("6b387300"), "no kind \"\" is registered"},
      {from_hex("6b3873000a0b0a0276311205") + "Thing", "no kind \"Thing\" is registered"},
      {config_map(from_hex("ffffffffffffffffffff01")), "bad or truncated number"},
      {config_map(from_hex("80")), "bad or truncated number"},
      {config_map(from_hex("0a05") + "abc"), "a length goes beyond the end"},
      {config_map(from_hex("0affffffffffffffffff01")), "a length goes beyond the end"},
      {config_map(from_hex("0b")), "unknown wire type"},
      {config_map(from_hex("00")), "bad field number"},
      {config_map(from_hex("0801")), "metadata has the wrong wire type"},
      {config_map(from_hex("1001")), "data has the wrong wire type"},
      {config_map(from_hex("12030a01ff")), "data is not valid UTF-8"},
      {config_map(from_hex("0a0442020880")), "bad or truncated number"},
      {config_map(from_hex("0a0c420a08ffffffffffffffff7f")), "creationTimestamp is not a time"},
  };
  for (const Row& row : rows) {
    Result<json::value> decoded = decode_protobuf(*scheme_, row.body);
    ASSERT_FALSE(decoded) << row.message << json::serialize(*decoded);
    EXPECT_THAT(decoded.error().message, testing::HasSubstr(row.message));
  }
}

TEST_F(Protobuf, unknown_fields_are_skipped) {
  Result<json::value> decoded = decode_protobuf(
      *scheme_, config_map(from_hex("f83f07") + from_hex("fa3f0161") + from_hex("2001")));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(json::serialize(*decoded),
            R"({"kind":"ConfigMap","apiVersion":"v1","immutable":true})");
}

TEST(Utf8, is_told_from_other_bytes) {
  for (std::string_view good : {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (std::string_view bad : {"\x80", "\xc0\x80", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                               "\xff", "\xf0\x8f\xbf\xbf"}) {
    EXPECT_FALSE(is_utf8(bad)) << testing::PrintToString(bad);
  }
}

TEST(GoDuration, is_printed_as_go_does) {
  struct Row {
    std::int64_t nanoseconds;
    std::string_view text;
  };
  constexpr Row rows[] = {{0, "0s"},
                          {1, "1ns"},
                          {1'500'000, "1.5ms"},
                          {1'500'000'000, "1.5s"},
                          {90'000'000'000, "1m30s"},
                          {3'600'000'000'000, "1h0m0s"},
                          {-2'000'000'000, "-2s"}};
  for (const Row& row : rows) EXPECT_EQ(format_go_duration(row.nanoseconds), row.text);
}

}  // namespace
}  // namespace tulle::kube
