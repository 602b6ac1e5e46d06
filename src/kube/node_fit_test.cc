#include "kube/node_fit.h"

#include "codec/json.h"
#include "kube/object.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>
#include <vector>

namespace tulle::kube {
namespace {

json::object parsed(std::string_view text) { return codec::parse_json(text)->as_object(); }

json::object node_with(std::string_view spec) {
  return {{"metadata", {{"name", "n1"}, {"labels", {{"disk", "ssd"}, {"cores", "16"}}}}},
          {"spec", parsed(spec)}};
}

TEST(NodeFit, a_node_is_selected_by_its_labels_and_its_name) {
  const auto affinity = [](std::string_view terms) {
    return fmt::format(R"({{"affinity":{{"nodeAffinity":{{
      "requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[{}]}}}}}}}})",
                       terms);
  };
  const auto label = [&affinity](std::string_view requirement) {
    return affinity(fmt::format(R"({{"matchExpressions":[{}]}})", requirement));
  };
  struct Row {
    std::string spec;
    bool selects;
  };
  const std::vector<Row> rows = {
      {"{}", true},
      {R"({"nodeSelector":{"disk":"ssd"}})", true},
      {R"({"nodeSelector":{"disk":"ssd","zone":"a"}})", false},
      {R"({"nodeSelector":{"disk":"hdd"}})", false},
      {label(R"({"key":"disk","operator":"In","values":["hdd","ssd"]})"), true},
      {label(R"({"key":"disk","operator":"In","values":["hdd"]})"), false},
      {label(R"({"key":"zone","operator":"In","values":["a"]})"), false},
      {label(R"({"key":"disk","operator":"NotIn","values":["hdd"]})"), true},
      {label(R"({"key":"disk","operator":"NotIn","values":["ssd"]})"), false},
      {label(R"({"key":"zone","operator":"NotIn","values":["a"]})"), true},
      {label(R"({"key":"disk","operator":"Exists"})"), true},
      {label(R"({"key":"zone","operator":"Exists"})"), false},
      {label(R"({"key":"zone","operator":"DoesNotExist"})"), true},
      {label(R"({"key":"disk","operator":"DoesNotExist"})"), false},
      {label(R"({"key":"cores","operator":"Gt","values":["8"]})"), true},
      {label(R"({"key":"cores","operator":"Gt","values":["16"]})"), false},
      {label(R"({"key":"cores","operator":"Lt","values":["17"]})"), true},
      {label(R"({"key":"disk","operator":"Lt","values":["17"]})"), false},
      {label(R"({"key":"disk","operator":"Exists"},{"key":"zone","operator":"Exists"})"), false},
      // Terms are alternatives; an empty one is none.
      {affinity(R"({"matchExpressions":[{"key":"zone","operator":"Exists"}]},
                   {"matchExpressions":[{"key":"disk","operator":"Exists"}]})"),
       true},
      {affinity("{}"), false},
      {affinity(R"({"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]})"),
       true},
      {affinity(R"({"matchFields":[{"key":"metadata.name","operator":"In","values":["n2"]}]})"),
       false},
      // And what is asked for in both ways must hold in both.
      {R"({"nodeSelector":{"disk":"hdd"},"affinity":{"nodeAffinity":{}}})", false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(selects_node(parsed(row.spec), node_with("{}")), row.selects) << row.spec;
  }
}

TEST(NodeFit, taints_repel_who_does_not_tolerate_them) {
  const std::string one = R"({"taints":[{"key":"gpu","value":"yes","effect":"NoSchedule"}]})";
  const std::string hard = R"({"taints":[{"key":"gpu","effect":"NoExecute"}]})";
  const std::string soft = R"({"taints":[{"key":"gpu","effect":"PreferNoSchedule"}]})";
  struct Row {
    std::string node;
    std::string tolerations;
    bool may_come;
    bool may_stay;
  };
  const std::vector<Row> rows = {
      {"{}", "", true, true},
      {soft, "", true, true},
      {one, "", false, true},
      {hard, "", false, false},
      {one, R"({"operator":"Exists"})", true, true},
      {one, R"({"key":"gpu","operator":"Exists"})", true, true},
      {one, R"({"key":"gpu","operator":"Exists","effect":"NoSchedule"})", true, true},
      {one, R"({"key":"gpu","operator":"Exists","effect":"NoExecute"})", false, true},
      {one, R"({"key":"gpu","value":"yes"})", true, true},
      {one, R"({"key":"gpu","operator":"Equal","value":"no"})", false, true},
      {one, R"({"key":"tpu","operator":"Exists"})", false, true},
      {one, R"({"key":"tpu","operator":"Exists"},{"key":"gpu","value":"yes"})", true, true},
      {hard, R"({"key":"gpu"})", true, true},
      {hard, R"({"value":""})", false, false},
      {R"({"unschedulable":true})", "", false, true},
      {R"({"unschedulable":true})",
       R"({"key":"node.kubernetes.io/unschedulable","operator":"Exists","effect":"NoSchedule"})",
       true, true},
  };
  for (const Row& row : rows) {
    const json::object spec = parsed(fmt::format(R"({{"tolerations":[{}]}})", row.tolerations));
    const json::object node = node_with(row.node);
    EXPECT_EQ(tolerates_node(spec, node, TaintEffect::no_schedule), row.may_come)
        << row.node << " " << row.tolerations;
    EXPECT_EQ(tolerates_node(spec, node, TaintEffect::no_execute), row.may_stay)
        << row.node << " " << row.tolerations;
  }
}

}  // namespace
}  // namespace tulle::kube
