#include "controllers/replica_set.h"

#include "base/random.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>
#include <utility>

namespace tulle::controllers {
namespace {

struct PodText {
  std::string name;
  std::string node = "n1";
  std::string phase = "Running";
  bool ready = true;
  std::string cost = {};
  std::string ready_since = "2030-01-01T00:00:00Z";
  int restarts = 0;
  std::string created = "2030-01-01T00:00:00Z";
};

ObjectPtr pod(const PodText& text) {
  json::object object{
      {"metadata", {{"name", text.name}, {"creationTimestamp", text.created}}},
      {"spec", {{"nodeName", text.node}}},
      {"status",
       {{"phase", text.phase},
        {"containerStatuses", json::array{json::object{{"restartCount", text.restarts}}}},
        {"conditions", json::array{json::object{{"type", "Ready"},
                                                {"status", text.ready ? "True" : "False"},
                                                {"lastTransitionTime", text.ready_since}}}}}}};
  if (!text.cost.empty()) {
    kube::set_annotation(object, "controller.kubernetes.io/pod-deletion-cost", text.cost);
  }
  return std::make_shared<const json::object>(std::move(object));
}

TEST(Victims, those_that_serve_least_and_cost_least_go_first) {
  // In the order in which they have to go: each differs from the next in what counts most.
  const std::vector<PodText> order = {
      {.name = "unbound", .node = "", .phase = "Pending", .ready = false},
      {.name = "pending", .phase = "Pending", .ready = false},
      {.name = "unknown", .phase = "Unknown", .ready = false},
      {.name = "not-ready", .ready = false},
      {.name = "cheap", .cost = "-5"},
      {.name = "ready-lately", .ready_since = "2030-01-02T00:00:00Z"},
      {.name = "restarted", .restarts = 3},
      {.name = "made-lately", .created = "2030-01-02T00:00:00Z"},
      {.name = "plain"},
      {.name = "dear", .cost = "7"},
  };
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<ObjectPtr> pods;
    for (const PodText& text : order) pods.push_back(pod(text));
    Random random(seed);
    for (std::size_t i = pods.size(); i > 1; --i) std::swap(pods[i - 1], pods[random.below(i)]);
    sort_victims_first(pods);
    for (std::size_t i = 0; i < order.size(); ++i) {
      EXPECT_EQ(kube::name_of(*pods[i]), order[i].name) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace tulle::controllers
