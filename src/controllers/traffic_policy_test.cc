#include "controllers/traffic_policy.h"

#include "codec/json.h"
#include "compile/facts.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <set>
#include <string>

namespace tulle::controllers {
namespace {

ObjectPtr policy(std::string_view name, std::string_view spec, std::string_view created = "") {
  json::object object{{"apiVersion", "tulle.dev/v1alpha1"},
                      {"kind", "TrafficPolicy"},
                      {"metadata", {{"name", name}, {"namespace", "shop"}}},
                      {"spec", *codec::parse_json(spec)}};
  if (!created.empty()) kube::set_at(object, "metadata.creationTimestamp", json::value(created));
  return std::make_shared<const json::object>(std::move(object));
}

constexpr std::string_view for_world = R"({"targetRefs": [{"kind": "Service", "name": "world"}]})";
constexpr std::string_view early = "2026-01-01T00:00:00Z";
constexpr std::string_view late = "2026-01-02T00:00:00Z";

TEST(TrafficPolicyStatus, says_whether_the_policy_is_followed_and_why_not) {
  struct Row {
    std::string what;
    ObjectPtr own;
    std::vector<ObjectPtr> others;
    std::string said;  // status, reason, message
  };
  const std::vector<Row> rows = {
      {"alone", policy("a", for_world), {}, "True Accepted in force for all of its targets"},
      {"the older one",
       policy("b", for_world, early),
       {policy("a", for_world, late)},
       "True Accepted in force for all of its targets"},
      {"the younger one",
       policy("a", for_world, late),
       {policy("b", for_world, early)},
       "False Conflicted TrafficPolicy b is older and holds for Service world"},
      {"of the same second",
       policy("b", for_world, early),
       {policy("a", for_world, early)},
       "False Conflicted TrafficPolicy a is older and holds for Service world"},
      {"an older one that cannot be followed",
       policy("a", for_world, late),
       {policy("b", R"({"targetRefs": [{"kind": "Service", "name": "world"}], "retry": 3})",
               early)},
       "True Accepted in force for all of its targets"},
      {"no such service",
       policy("a", R"({"targetRefs": [{"kind": "Service", "name": "world"},
                                      {"kind": "Service", "name": "moon"}]})"),
       {},
       "False TargetNotFound there is no Service moon in this namespace"},
      {"a bad field",
       policy("a", R"({"targetRefs": [{"kind": "Service", "name": "world"}],
                       "timeouts": {"request": "soon"}})"),
       {},
       "False Invalid spec.timeouts.request: Invalid value: \"soon\": \"soon\" is not a duration: "
       "write numbers with units h, m, s or ms, as in 1m30s"},
  };
  const kube::KindRef kind = compile::policy_kind();
  const std::set<std::string, std::less<>> services{"world", "hello"};
  for (const Row& row : rows) {
    std::vector<ObjectPtr> all = row.others;
    all.push_back(row.own);
    const kube::Condition condition = accepted_condition(
        *row.own, all, [&](std::string_view name) { return services.contains(name); }, *kind);
    EXPECT_EQ(condition.type, "Accepted");
    EXPECT_EQ(condition.status + " " + condition.reason + " " + condition.message, row.said)
        << row.what;
  }
}

}  // namespace
}  // namespace tulle::controllers
