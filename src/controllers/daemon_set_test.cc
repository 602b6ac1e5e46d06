#include "controllers/daemon_set.h"

#include "codec/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>

namespace tulle::controllers {
namespace {

using namespace std::chrono_literals;

const kube::Time kNow = *kube::parse_time("2030-01-01T00:01:00Z");

ObjectPtr parsed(std::string_view text) {
  return std::make_shared<const json::object>(codec::parse_json(text)->as_object());
}

json::object set_with(std::string_view pod_spec) {
  return *parsed(fmt::format(R"({{"apiVersion":"apps/v1","kind":"DaemonSet",
    "metadata":{{"name":"agent","namespace":"shop","uid":"u","generation":3}},
    "spec":{{"template":{{"metadata":{{"labels":{{"app":"agent"}}}},"spec":{}}}}}}})",
                             pod_spec));
}

ObjectPtr node(std::string_view name, std::string_view more = R"({"spec":{}})") {
  json::object made = *parsed(more);
  kube::set_at(made, "metadata.name", json::string(name));
  return std::make_shared<const json::object>(std::move(made));
}

TEST(DaemonSet, a_pod_is_bound_to_its_node_and_tolerates_what_ails_it) {
  const json::object set = set_with(R"({"containers":[],"hostNetwork":true,"tolerations":[
    {"key":"gpu","operator":"Exists"},
    {"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute"}]})");
  const json::object pod = daemon_pod(set, kube::object_at(set, "spec.template"), "5d9f", "n1");
  EXPECT_EQ(kube::string_at(pod, "metadata.generateName"), "agent-");
  EXPECT_EQ(kube::label_of(pod, "app"), "agent");
  EXPECT_EQ(kube::label_of(pod, "controller-revision-hash"), "5d9f");
  EXPECT_TRUE(kube::is_controlled_by(pod, "u"));
  EXPECT_EQ(kube::string_at(pod, "spec.nodeName"), "n1");
  std::string tolerated;
  for (const auto& each : kube::array_at(pod, "spec.tolerations")) {
    tolerated += std::string(kube::string_at(kube::object_or_empty(each), "key")) + " ";
  }
  EXPECT_EQ(tolerated,
            "gpu node.kubernetes.io/not-ready node.kubernetes.io/unreachable "
            "node.kubernetes.io/disk-pressure node.kubernetes.io/memory-pressure "
            "node.kubernetes.io/pid-pressure node.kubernetes.io/unschedulable "
            "node.kubernetes.io/network-unavailable ");
}

TEST(DaemonSet, wants_a_pod_on_every_node_that_fits) {
  const std::string tainted = R"({"spec":{"taints":[{"key":"gpu","effect":"%"}]}})";
  const auto taint = [&tainted](std::string_view effect) {
    std::string text = tainted;
    return node("n1", text.replace(text.find('%'), 1, effect));
  };
  struct Row {
    std::string what;
    std::string pod_spec;
    ObjectPtr node;
    bool wanted, may_stay;
  };
  const std::vector<Row> rows = {
      {"any", "{}", node("n1"), true, true},
      {"another by name", R"({"nodeName":"n2"})", node("n1"), false, false},
      {"this one by name", R"({"nodeName":"n1"})", node("n1"), true, true},
      {"by label", R"({"nodeSelector":{"disk":"ssd"}})", node("n1"), false, false},
      {"cordoned", "{}", node("n1", R"({"spec":{"unschedulable":true}})"), true, true},
      {"tainted later", "{}", taint("NoSchedule"), false, true},
      {"emptied", "{}", taint("NoExecute"), false, false},
      {"tolerated", R"({"tolerations":[{"key":"gpu","operator":"Exists"}]})", taint("NoExecute"),
       true, true},
  };
  for (const Row& row : rows) {
    Duration again{};
    const auto view =
        daemon_view(set_with(row.pod_spec), {{.node = row.node}}, "5d9f", kNow, again);
    ASSERT_EQ(view.size(), 1U);
    EXPECT_EQ(view[0].wanted, row.wanted) << row.what;
    EXPECT_EQ(view[0].may_stay, row.may_stay) << row.what;
  }
}

TEST(DaemonSet, sees_its_pods_as_they_are) {
  json::object set = set_with("{}");
  kube::set_at(set, "spec.minReadySeconds", 90);
  const auto pod = [](std::string_view hash, std::string_view phase, std::string_view ready) {
    return parsed(fmt::format(
        R"({{"metadata":{{"labels":{{"controller-revision-hash":"{}"}}}},
             "status":{{"phase":"{}","conditions":[{{"type":"Ready","status":"{}",
                        "lastTransitionTime":"2030-01-01T00:00:00Z"}}]}}}})",
        hash, phase, ready));
  };
  json::object deleted = *pod("old", "Running", "True");
  kube::set_at(deleted, "metadata.deletionTimestamp", "2030-01-01T00:00:00Z");
  Duration again{};
  const auto view = daemon_view(
      set,
      {{.node = node("n1"),
        .pods = {pod("new", "Running", "True"), pod("old", "Pending", "False"),
                 pod("new", "Failed", "False"), std::make_shared<const json::object>(deleted)}}},
      "new", kNow, again);
  ASSERT_EQ(view[0].pods.size(), 4U);
  EXPECT_EQ(view[0].pods[0].state, DaemonState::unavailable);
  EXPECT_TRUE(view[0].pods[0].updated);
  EXPECT_EQ(view[0].pods[1].state, DaemonState::not_ready);
  EXPECT_FALSE(view[0].pods[1].updated);
  EXPECT_EQ(view[0].pods[2].state, DaemonState::ended);
  EXPECT_EQ(view[0].pods[3].state, DaemonState::ending);
  EXPECT_EQ(again, Duration(30s));
}

TEST(DaemonSet, counts_nodes_by_the_oldest_pod_on_each) {
  const DaemonPod good{.state = DaemonState::available, .updated = true};
  const DaemonPod old{.state = DaemonState::available};
  const DaemonPod young{.state = DaemonState::unavailable, .updated = true};
  const DaemonPod broken{.state = DaemonState::not_ready, .updated = true};
  const json::object status = daemon_status(set_with("{}"), {{.pods = {good}},
                                                             {.pods = {old, good}},
                                                             {.pods = {young}},
                                                             {.pods = {broken}},
                                                             {},
                                                             {.wanted = false, .pods = {old}},
                                                             {.wanted = false}});
  EXPECT_EQ(json::serialize(status),
            R"({"currentNumberScheduled":4,"numberMisscheduled":1,"desiredNumberScheduled":5,)"
            R"("numberReady":3,"updatedNumberScheduled":3,"numberAvailable":2,)"
            R"("numberUnavailable":3,"observedGeneration":3})");
}

}  // namespace
}  // namespace tulle::controllers
