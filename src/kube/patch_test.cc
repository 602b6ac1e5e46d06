#include "kube/patch.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::kube {
namespace {

namespace json = boost::json;

json::object parse(std::string_view text) { return json::parse(text).as_object(); }

TEST(JsonPatch, applies_operations_in_order) {
  struct Row {
    std::string_view live;
    std::string_view patch;
    std::string_view result;
  };
  constexpr Row rows[] = {
      {R"({"a": 1})", R"([])", R"({"a": 1})"},
      {R"({"a": 1})", R"([{"op": "add", "path": "/b", "value": {"c": null}}])",
       R"({"a": 1, "b": {"c": null}})"},
      {R"({"a": 1})", R"([{"op": "add", "path": "/a", "value": 2}])", R"({"a": 2})"},
      {R"({"l": [1, 3]})", R"([{"op": "add", "path": "/l/1", "value": 2}])", R"({"l": [1, 2, 3]})"},
      {R"({"l": [1]})", R"([{"op": "add", "path": "/l/-", "value": 2}])", R"({"l": [1, 2]})"},
      {R"({"l": [1, 2]})", R"([{"op": "remove", "path": "/l/0"}])", R"({"l": [2]})"},
      {R"({"a": 1, "b": 2})", R"([{"op": "remove", "path": "/a"}])", R"({"b": 2})"},
      {R"({"a": {"b": 1}})", R"([{"op": "replace", "path": "/a/b", "value": [2]}])",
       R"({"a": {"b": [2]}})"},
      {R"({"a/b": 1, "m~n": 2})",
       R"([{"op": "replace", "path": "/a~1b", "value": 3}, {"op": "remove", "path": "/m~0n"}])",
       R"({"a/b": 3})"},
      {R"({"a": {"b": 1}})", R"([{"op": "move", "from": "/a/b", "path": "/c"}])",
       R"({"a": {}, "c": 1})"},
      {R"({"l": [1, 2, 3]})", R"([{"op": "move", "from": "/l/0", "path": "/l/2"}])",
       R"({"l": [2, 3, 1]})"},
      {R"({"a": {"b": 1}})", R"([{"op": "copy", "from": "/a", "path": "/a/c"}])",
       R"({"a": {"b": 1, "c": {"b": 1}}})"},
      {R"({"a": 1})", R"([{"op": "test", "path": "/a", "value": 1},
                          {"op": "test", "path": "/gone", "value": null}])",
       R"({"a": 1})"},
      {R"({"a": 1})", R"([{"op": "replace", "path": "", "value": {"b": 2}}])", R"({"b": 2})"},
      {R"({"": {"": 1}})", R"([{"op": "replace", "path": "//", "value": 2}])", R"({"": {"": 2}})"},
  };
  for (const Row& row : rows) {
    const auto result = apply_json_patch(parse(row.live), json::parse(row.patch));
    ASSERT_TRUE(result) << row.patch << ": " << result.error().message;
    EXPECT_EQ(*result, parse(row.result)) << row.patch;
  }
}

TEST(JsonPatch, what_does_not_apply_is_422_and_what_is_no_patch_400) {
  struct Row {
    std::string_view patch;
    int code;
    std::string_view part;
  };
  constexpr Row rows[] = {
      {R"({})", 400, "must be an array"},
      {R"([1])", 400, "operation 0: must be an object"},
      {R"([{"op": "grow", "path": "/a"}])", 400, "unexpected kind: \"grow\""},
      {R"([{"op": "add", "value": 1}])", 400, "path must be given"},
      {R"([{"op": "add", "path": "a", "value": 1}])", 400, "not a JSON pointer"},
      {R"([{"op": "add", "path": "/~2", "value": 1}])", 400, "not a JSON pointer"},
      {R"([{"op": "add", "path": "/a"}])", 400, "value must be given"},
      {R"([{"op": "copy", "path": "/a"}])", 400, "from must be given"},
      {R"([{"op": "add", "path": "/x/y", "value": 1}])", 422,
       "add operation does not apply: doc is missing path: \"/x/y\": missing value"},
      {R"([{"op": "add", "path": "/l/9", "value": 1}])", 422, "Unable to access invalid index: 9"},
      {R"([{"op": "add", "path": "/l/01", "value": 1}])", 422, "invalid index"},
      {R"([{"op": "remove", "path": "/x"}])", 422, "Unable to remove nonexistent key: x"},
      {R"([{"op": "remove", "path": "/l/-"}])", 422, "Unable to remove nonexistent key: -"},
      {R"([{"op": "remove", "path": ""}])", 422, "cannot be removed"},
      {R"([{"op": "replace", "path": "/x", "value": 1}])", 422, "doc is missing key: /x"},
      {R"([{"op": "move", "from": "/l", "path": "/l/0"}])", 422, "cannot move into itself"},
      {R"([{"op": "copy", "from": "/x", "path": "/y"}])", 422, "missing from path"},
      {R"([{"op": "test", "path": "/a", "value": 2}])", 422,
       "testing value /a failed: test failed"},
      {R"([{"op": "replace", "path": "", "value": 1}])", 422, "is not an object"},
  };
  for (const Row& row : rows) {
    const auto result = apply_json_patch(parse(R"({"a": 1, "l": [1]})"), json::parse(row.patch));
    ASSERT_FALSE(result) << row.patch;
    EXPECT_EQ(result.error().code, row.code) << row.patch;
    EXPECT_TRUE(result.error().message.find(row.part) != std::string::npos)
        << result.error().message;
  }
}

TEST(JsonPatch, operations_copies_and_depth_are_limited) {
  const json::value test = {{"op", "test"}, {"path", "/gone"}, {"value", nullptr}};
  json::array many(json_patch_operations_max, test);
  EXPECT_TRUE(apply_json_patch({}, many));
  many.push_back(test);
  EXPECT_EQ(apply_json_patch({}, many).error().message,
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, "
            "got 10001");

  const json::array doubling(100, json::value{{"op", "copy"}, {"from", "/l"}, {"path", "/l/-"}});
  EXPECT_EQ(apply_json_patch(parse(R"({"l": ["x"]})"), doubling).error().code, 413);

  json::array deepening;
  std::string path = "/a";
  for (std::size_t i = 0; i < json_patch_depth_max; ++i, path += "/a")
    deepening.push_back({{"op", "add"}, {"path", path}, {"value", json::object()}});
  EXPECT_EQ(apply_json_patch({}, deepening).error().code, 413);
}

// The examples of RFC 7386, appendix A, that are objects.
TEST(MergePatch, does_what_the_rfc_shows) {
  struct Row {
    std::string_view live;
    std::string_view patch;
    std::string_view result;
  };
  constexpr Row rows[] = {
      {R"({"a": "b"})", R"({"a": "c"})", R"({"a": "c"})"},
      {R"({"a": "b"})", R"({"b": "c"})", R"({"a": "b", "b": "c"})"},
      {R"({"a": "b"})", R"({"a": null})", R"({})"},
      {R"({"a": "b", "b": "c"})", R"({"a": null})", R"({"b": "c"})"},
      {R"({"a": ["b"]})", R"({"a": "c"})", R"({"a": "c"})"},
      {R"({"a": "c"})", R"({"a": ["b"]})", R"({"a": ["b"]})"},
      {R"({"a": {"b": "c"}})", R"({"a": {"b": "d", "c": null}})", R"({"a": {"b": "d"}})"},
      {R"({"a": [{"b": "c"}]})", R"({"a": [1]})", R"({"a": [1]})"},
      {R"({"e": null})", R"({"a": 1})", R"({"e": null, "a": 1})"},
      {R"({})", R"({"a": {"bb": {"ccc": null}}})", R"({"a": {"bb": {}}})"},
      {R"({"a": 1})", R"({"a": {"b": null, "c": [null]}})", R"({"a": {"c": [null]}})"},
  };
  for (const Row& row : rows) {
    const auto result = apply_merge_patch(parse(row.live), json::parse(row.patch));
    ASSERT_TRUE(result);
    EXPECT_EQ(*result, parse(row.result)) << row.patch;
  }
  EXPECT_EQ(apply_merge_patch({}, json::parse("[]")).error().code, 400);
}

}  // namespace
}  // namespace tulle::kube
