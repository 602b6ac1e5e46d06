#include "codec/yaml.h"

#include "codec/json.h"

#include <gtest/gtest.h>

namespace tulle::codec {
namespace {

// Every document as JSON, one a line, or the error.
std::string json_of(std::string_view yaml, const YamlLimits& limits = {}) {
  const auto documents = parse_yaml(yaml, limits);
  if (!documents) return "error: " + documents.error().message;
  std::string out;
  for (const YamlDocument& document : *documents) {
    if (!out.empty()) out += "\n";
    out += to_json(document.value);
  }
  return out;
}

struct Row {
  std::string_view yaml;
  std::string_view json;
};

constexpr Row rows[] = {
    {"", ""},
    {"# only a comment\n---\n---\n~\n", ""},
    {"a: 1\n---\nb: 2\n...\n---\n{c: [3]}\n", "{\"a\":1}\n{\"b\":2}\n{\"c\":[3]}"},
    {"[yes, No, on, OFF, y, N, True, FALSE, yEs, tRUE]",
     "[true,false,true,false,true,false,true,false,\"yEs\",\"tRUE\"]"},
    {"['yes', \"on\", !!str no, !!bool yes]", "[\"yes\",\"on\",\"no\",true]"},
    {"[~, null, Null, NULL, nULL, ]", "[null,null,null,null,\"nULL\"]"},
    {"[0, -7, +7, 0x1F, 0o17, 017, 0b101, -0x10, 1_000]", "[0,-7,7,31,15,15,5,-16,1000]"},
    {"[9223372036854775807, 18446744073709551615, -9223372036854775808, 18446744073709551616]",
     "[9223372036854775807,18446744073709551615,-9223372036854775808,18446744073709551616]"},
    {"[1.5, .5, 5., 1e3, -1.5E-3, 08, 1.2.3, 1:30, 2001-01-01, 0x, -, +-1, ., 12e, 10Gi]",
     "[1.5,0.5,5,1000,-0.0015,8,\"1.2.3\",\"1:30\",\"2001-01-01\",\"0x\",\"-\",\"+-1\",\".\","
     "\"12e\",\"10Gi\"]"},
    {"{1: a, on: b, 1.5: c, 'x': d, ? e : f}",
     "{\"1\":\"a\",\"true\":\"b\",\"1.5\":\"c\",\"x\":\"d\",\"e\":\"f\"}"},
    {"a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}"},
    {"a: &x {b: 1}\nc: *x\n", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}"},
    {"d: &d {a: 1, b: 2}\nx: {a: 9, <<: *d}\nz: {<<: [{b: 7}, *d], c: 3}\n",
     "{\"d\":{\"a\":1,\"b\":2},\"x\":{\"a\":9,\"b\":2},\"z\":{\"c\":3,\"b\":7,\"a\":1}}"},
    {"a: {'<<': 1}", "{\"a\":{\"<<\":1}}"},
    {"{\"a\": [1, {\"b\": \"\\u00e9\"}]}", "{\"a\":[1,{\"b\":\"\xc3\xa9\"}]}"},
    {"a: !!binary aGk=", "{\"a\":\"hi\"}"},
    {"{x: 1, y: 2, \"y\": 3}", "{\"x\":1,\"true\":2,\"y\":3}"},
    {"a:\nb:\n  - \n  - 1", "{\"a\":null,\"b\":[null,1]}"},
};

constexpr Row bad[] = {
    {"a: b: c", "error: line 1 column 5: mapping values are not allowed in this context"},
    {"a:\n\t- b",
     "error: line 2 column 1: found character that cannot start any token, while "
     "scanning for the next token that begins on line 2"},
    {"a: 1\n b: 2\n", "error: line 2 column 3: mapping values are not allowed in this context"},
    {"- a\nb: 1",
     "error: line 2 column 1: did not find expected '-' indicator, while parsing a "
     "block collection that begins on line 1"},
    {"a: *x", "error: line 1 column 4: nothing was named &x before"},
    {"a: &x [*x]", "error: line 1 column 8: nothing was named &x before"},
    {"a: .inf", "error: line 1 column 4: JSON has no .inf"},
    {"a: !mine x", "error: line 1 column 4: \"x\" is nothing that the tag !mine stands for"},
    {"a: !mine {}", "error: line 1 column 4: the tag !mine is not supported here"},
    {"a: !!int x",
     "error: line 1 column 4: \"x\" is nothing that the tag tag:yaml.org,2002:int stands for"},
    {"{[a]: b}", "error: line 1 column 2: a key is a string, number or boolean"},
    {"~: b", "error: line 1 column 1: a key is a string, number or boolean"},
    {"a: {<<: 1}", "error: line 1 column 5: << takes a mapping or a list of mappings"},
    {"a: \xff", "error: offset 3: invalid leading UTF-8 octet"},
};

TEST(Yaml, becomes_the_json_that_kubernetes_clients_make_of_it) {
  for (const auto& [yaml, json] : rows) EXPECT_EQ(json_of(yaml), json) << yaml;
}

TEST(Yaml, errors_say_place_and_reason) {
  for (const auto& [yaml, error] : bad) EXPECT_EQ(json_of(yaml), error) << yaml;
}

TEST(Yaml, knows_the_line_of_every_field) {
  const auto documents = parse_yaml(
      "kind: A\n"
      "---\n"
      "\n"
      "metadata:\n"
      "  labels:\n"
      "    app.kubernetes.io/name: x\n"
      "spec:\n"
      "  ports:\n"
      "  - name: a\n"
      "  - port: 80\n"
      "    name: b\n");
  ASSERT_TRUE(documents);
  ASSERT_EQ(documents->size(), 2U);
  const YamlDocument& document = (*documents)[1];
  EXPECT_EQ(document.line, 4U);
  EXPECT_EQ(document.line_of("spec.ports[1].name"), 11U);
  EXPECT_EQ(document.line_of("spec.ports[1]"), 10U);
  EXPECT_EQ(document.line_of("spec.ports[1].targetPort"), 10U);
  EXPECT_EQ(document.line_of("spec.ports[7].x"), 8U);
  EXPECT_EQ(document.line_of("spec.selector.x.y"), 7U);
  EXPECT_EQ(document.line_of("metadata.labels[app.kubernetes.io/name]"), 6U);
  EXPECT_EQ(document.line_of("metadata.labels.app.kubernetes.io/name"), 6U);
  EXPECT_EQ(document.line_of("nowhere"), 4U);
  EXPECT_EQ(document.line_of(""), 4U);
}

TEST(Yaml, tells_duplicate_keys_by_path_and_keeps_the_last) {
  const auto documents = parse_yaml("a: 1\nb:\n- {c: 1, c: 2, c: 3}\na: {d: 4}\n");
  ASSERT_TRUE(documents);
  const YamlDocument& document = documents->front();
  EXPECT_EQ(document.duplicate_keys, (std::vector<std::string>{"b[0].c", "a"}));
  EXPECT_EQ(to_json(document.value), R"({"a":{"d":4},"b":[{"c":3}]})");
  EXPECT_EQ(document.line_of("a"), 4U);
}

TEST(Yaml, stops_at_its_limits) {
  EXPECT_EQ(json_of("[[1]]", {.depth_max = 2}), "[[1]]");
  EXPECT_EQ(json_of("[[[1]]]", {.depth_max = 2}), "error: line 1 column 3: nested too deeply");
  EXPECT_EQ(json_of("a: &a [1]\nb: [*a]", {.depth_max = 2}),
            "error: line 2 column 5: nested too deeply");
  EXPECT_EQ(json_of("--- a\n--- b\n", {.documents_max = 1}),
            "error: line 3 column 1: too many documents");
  EXPECT_EQ(json_of("[a, b]", {.values_max = 3}), "[\"a\",\"b\"]");
  EXPECT_FALSE(parse_yaml("[a, b]", {.values_max = 2}));
}

TEST(Yaml, does_not_let_aliases_multiply_without_bound) {
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1) + " ";
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) laughs += last + ", ";
    laughs += "]\n";
  }
  const auto documents = parse_yaml(laughs);
  ASSERT_FALSE(documents);
  EXPECT_EQ(documents.error().code, Code::exhausted);
}

}  // namespace
}  // namespace tulle::codec
