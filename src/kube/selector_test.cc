#include "kube/selector.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::kube {
namespace {

using boost::json::object;

object parse(std::string_view text) { return boost::json::parse(text).as_object(); }

TEST(Selector, matches_labels) {
  struct Row {
    std::string_view selector;
    std::string_view labels;
    bool matches;
  };
  constexpr Row rows[] = {
      {"", R"({})", true},
      {"", R"({"a": "b"})", true},
      {"a=b", R"({"a": "b", "c": "d"})", true},
      {"a==b", R"({"a": "c"})", false},
      {"a=", R"({"a": ""})", true},
      {"a=", R"({})", false},
      {"a!=b", R"({})", true},
      {"a!=b", R"({"a": "b"})", false},
      {"e in (x,y)", R"({"e": "y"})", true},
      {"e in (x,y)", R"({"e": "z"})", false},
      {"e in (x,y)", R"({})", false},
      {"f notin (z)", R"({})", true},
      {"f notin (z)", R"({"f": "z"})", false},
      {"g", R"({"g": ""})", true},
      {"g", R"({})", false},
      {"!h", R"({})", true},
      {"!h", R"({"h": "1"})", false},
      {"n>3", R"({"n": "4"})", true},
      {"n>3", R"({"n": "x"})", false},
      {"n<3", R"({})", false},
      {"in in (in,notin)", R"({"in": "notin"})", true},
      {" a = b , !c ", R"({"a": "b"})", true},
      {"a=b,c!=d,e in (x,y),f notin (z),g,!h", R"({"a": "b", "e": "x", "g": "1"})", true},
      {"a=b,c!=d,e in (x,y),f notin (z),g,!h", R"({"a": "b", "e": "x", "g": "1", "c": "d"})",
       false},
      {"x in (,a)", R"({"x": ""})", true},
      {"x in (,)", R"({"x": ""})", true},
      {"kubernetes.io/name=a", R"({"kubernetes.io/name": "a"})", true},
  };
  for (const Row& row : rows) {
    const auto selector = Selector::parse(row.selector);
    ASSERT_TRUE(selector) << row.selector << ": " << selector.error().message;
    EXPECT_EQ(selector->matches(parse(row.labels)), row.matches)
        << row.selector << " over " << row.labels;
    EXPECT_EQ(*Selector::parse(selector->to_string()), *selector) << selector->to_string();
  }
}

TEST(Selector, errors_are_in_upstreams_words) {
  struct Row {
    std::string_view selector;
    std::string_view error;
  };
  constexpr Row rows[] = {
      {"a=b c", "found 'c', expected: ',' or 'end of string'"},
      {"a,", "found '', expected: identifier after ','"},
      {",a", "found ',', expected: !, identifier, or 'end of string'"},
      {"a like b",
       "unable to parse requirement: found 'like', expected: in, notin, =, ==, !=, gt, lt"},
      {"a in x", "unable to parse requirement: found 'x', expected: '('"},
      {"a in (x", "unable to parse requirement: found '', expected: ',' or ')'"},
      {"a in ()",
       "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, "
       "values set can't be empty"},
      {"!", "unable to parse requirement: found '', expected: identifier"},
      {"a>x",
       "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, "
       "the value must be an integer"},
  };
  for (const Row& row : rows) {
    const auto selector = Selector::parse(row.selector);
    ASSERT_FALSE(selector) << row.selector;
    EXPECT_EQ(selector.error().message, row.error);
  }
  EXPECT_TRUE(Selector::parse("-a=b").error().message.starts_with(
      "unable to parse requirement: key: Invalid value: \"-a\": name part must consist of"));
  EXPECT_TRUE(Selector::parse("a=-b").error().message.starts_with(
      "unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must"));
}

TEST(Selector, the_object_form_means_the_same_as_the_text) {
  const auto selector = Selector::from_label_selector(parse(R"({
    "matchLabels": {"z": "1", "app": "web"},
    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["b", "a"]},
                         {"key": "env", "operator": "NotIn", "values": ["dev"]},
                         {"key": "old", "operator": "DoesNotExist"},
                         {"key": "new", "operator": "Exists"}]})"));
  ASSERT_TRUE(selector);
  EXPECT_EQ(selector->to_string(), "app=web,env notin (dev),new,!old,tier in (a,b),z=1");
  EXPECT_EQ(*Selector::parse(selector->to_string()), *selector);
  EXPECT_TRUE(Selector::from_label_selector({})->matches_everything());
  EXPECT_FALSE(Selector::nothing().matches({}));
  EXPECT_EQ(Selector::from_map(parse(R"({"b": "2", "a": "1"})")).to_string(), "a=1,b=2");
}

TEST(Selector, a_bad_object_form_says_why) {
  struct Row {
    std::string_view selector;
    std::string_view error;
  };
  constexpr Row rows[] = {
      {R"({"matchExpressions": [{"key": "a", "operator": "Like"}]})",
       "\"Like\" is not a valid label selector operator"},
      {R"({"matchExpressions": [{"key": "a", "operator": "In"}]})",
       "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"},
      {R"({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]})",
       "values: Invalid value: values set must be empty for exists and does not exist"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(Selector::from_label_selector(parse(row.selector)).error().message, row.error);
}

TEST(FieldSelector, matches_fields_of_the_object) {
  const object pod = parse(R"({"metadata": {"name": "x", "namespace": "n"},
      "spec": {"nodeName": "node-1", "hostNetwork": true, "odd": "a,b=c\\d"},
      "status": {"phase": "Running", "replicas": 3}})");
  struct Row {
    std::string_view selector;
    bool matches;
  };
  constexpr Row rows[] = {
      {"", true},
      {"metadata.name=x", true},
      {"metadata.name==x,metadata.namespace=n", true},
      {"metadata.name!=x", false},
      {"spec.nodeName!=y", true},
      {"status.phase=Running,spec.nodeName=node-1", true},
      {"status.phase=Running,spec.nodeName=node-2", false},
      {"spec.hostNetwork=true", true},
      {"spec.unschedulable=false", true},
      {"spec.unschedulable=true", false},
      {"spec.absent=", true},
      {"status.replicas=3", true},
      {"spec.odd=a\\,b\\=c\\\\d", true},
  };
  for (const Row& row : rows) {
    const auto selector = FieldSelector::parse(row.selector);
    ASSERT_TRUE(selector) << row.selector << ": " << selector.error().message;
    EXPECT_EQ(selector->matches(pod), row.matches) << row.selector;
    EXPECT_EQ(*FieldSelector::parse(selector->to_string()), *selector);
  }
}

TEST(FieldSelector, knows_lookups_and_refuses_unsupported_fields) {
  const auto selector = *FieldSelector::parse("metadata.name=x,spec.nodeName!=y");
  EXPECT_EQ(selector.exact_value("metadata.name"), "x");
  EXPECT_EQ(selector.exact_value("spec.nodeName"), std::nullopt);
  const std::string supported[] = {"spec.nodeName"};
  EXPECT_TRUE(selector.check_supported(supported));
  EXPECT_EQ(selector.check_supported({}).error().message,
            "field label not supported: spec.nodeName");
  EXPECT_EQ(FieldSelector::parse("a=b,c").error().message,
            "invalid selector: 'a=b,c'; can't understand 'c'");
  EXPECT_EQ(FieldSelector::parse("a=b=c").error().message,
            "invalid field selector: unescaped character in value: =");
  EXPECT_EQ(FieldSelector::parse("a=b\\c").error().message,
            "invalid field selector: invalid escape sequence: \\c");
}

}  // namespace
}  // namespace tulle::kube
