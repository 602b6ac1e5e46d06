#include "controllers/disruption.h"

#include "codec/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>

namespace tulle::controllers {
namespace {

constexpr std::string_view noon = "2026-01-02T12:00:00Z";

json::object budget(std::string_view spec, std::string_view disrupted) {
  return {{"metadata", {{"name", "web"}, {"namespace", "shop"}, {"generation", 1}}},
          {"spec", *codec::parse_json(spec)},
          {"status", {{"disruptedPods", *codec::parse_json(disrupted)}}}};
}

ObjectPtr pod(std::string_view name, bool ready, bool deleting) {
  json::object object{
      {"metadata", {{"name", name}, {"namespace", "shop"}}},
      {"status", {{"conditions", {{{"type", "Ready"}, {"status", ready ? "True" : "False"}}}}}}};
  if (deleting) kube::set_at(object, "metadata.deletionTimestamp", json::value(noon));
  return std::make_shared<const json::object>(std::move(object));
}

TEST(Disruption, a_budget_allows_what_more_is_healthy_than_must_be) {
  struct Row {
    std::string spec;
    std::string pods;  // a letter each: + ready, - not, x going
    std::int64_t scale;
    std::string said;  // expected desired healthy allowed
    std::string disrupted = "{}";
  };
  const std::vector<Row> rows = {
      {R"({"minAvailable":2})", "+++", 3, "3 2 3 1"},
      {R"({"minAvailable":2})", "++-", 3, "3 2 2 0"},
      {R"({"minAvailable":2})", "+", 3, "1 2 1 0"},
      {R"({"minAvailable":0})", "", 0, "0 0 0 0"},
      {R"({"minAvailable":"50%"})", "+++", 3, "3 2 3 1"},
      {R"({"minAvailable":"50%"})", "+++++", 4, "4 2 5 3"},  // surge
      {R"({"maxUnavailable":1})", "+++", 3, "3 2 3 1"},
      {R"({"maxUnavailable":"25%"})", "++++", 4, "4 3 4 1"},
      {R"({"maxUnavailable":"10%"})", "++++", 4, "4 3 4 1"},  // rounded up
      {R"({"maxUnavailable":9})", "+++", 3, "3 0 3 3"},
      {R"({"maxUnavailable":1})", "++x", 3, "3 2 2 0"},
      // An eviction that was granted counts until its deletion shows, for two minutes.
      {R"({"minAvailable":1})", "+++", 3, "3 1 2 1", R"({"0":"2026-01-02T11:59:00Z"})"},
      {R"({"minAvailable":1})", "+++", 3, "3 1 3 2", R"({"0":"2026-01-02T11:58:00Z"})"},
  };
  for (const Row& row : rows) {
    std::vector<ObjectPtr> pods;
    pods.reserve(row.pods.size());
    for (const char letter : row.pods) {
      pods.push_back(pod(std::to_string(pods.size()), letter != '-', letter == 'x'));
    }
    const Budgeting weighed =
        weigh_budget(budget(row.spec, row.disrupted), pods, row.scale, *kube::parse_time(noon));
    EXPECT_EQ(fmt::format("{} {} {} {}", weighed.expected, weighed.desired, weighed.healthy,
                          weighed.allowed),
              row.said)
        << row.spec << " " << row.pods << " " << row.disrupted;
  }
}

}  // namespace
}  // namespace tulle::controllers
