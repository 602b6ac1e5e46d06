#include "controllers/placement.h"

#include "codec/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>

namespace tulle::controllers {
namespace {

json::object pod(std::string_view spec) { return {{"spec", *codec::parse_json(spec)}}; }

json::object asks(std::string_view requests, std::string_view ports = "[]") {
  return pod(fmt::format(R"({{"containers":[{{"resources":{{"requests":{}}},"ports":{}}}]}})",
                         requests, ports));
}

ObjectPtr node(std::string_view name, std::string_view spec = "{}", bool ready = true) {
  json::object object{
      {"metadata", {{"name", name}, {"labels", {{"kubernetes.io/hostname", name}}}}},
      {"spec", *codec::parse_json(spec)},
      {"status",
       {{"allocatable", {{"cpu", "2"}, {"memory", "4Gi"}, {"pods", "3"}}},
        {"conditions", {{{"type", "Ready"}, {"status", ready ? "True" : "False"}}}}}}};
  return std::make_shared<const json::object>(std::move(object));
}

class PlacementTest : public testing::Test {
 protected:
  void run_on(const std::string& name, const json::object& pod) {
    occupancies[name].add(demand_of(pod));
  }
  std::string placed(const json::object& pod) {
    const auto found = place(pod, demand_of(pod), nodes, occupancies);
    return found ? *found : found.error();
  }

  std::vector<ObjectPtr> nodes{node("a"), node("b")};
  Occupancies occupancies;
};

TEST_F(PlacementTest, the_emptiest_node_is_taken_and_the_first_of_equals) {
  EXPECT_EQ(placed(asks(R"({"cpu":"1"})")), "a");
  run_on("a", asks(R"({"cpu":"100m"})"));
  EXPECT_EQ(placed(asks(R"({"cpu":"1"})")), "b");
  run_on("b", asks(R"({"memory":"3Gi"})"));
  EXPECT_EQ(placed(asks(R"({"cpu":"1"})")), "a");
}

TEST_F(PlacementTest, what_does_not_fit_is_said_for_every_node) {
  run_on("a", asks(R"({"cpu":"1500m"})"));
  nodes.push_back(node("c", R"({"unschedulable":true})"));
  nodes.push_back(node("d", R"({"taints":[{"key":"gpu","effect":"NoSchedule"}]})"));
  nodes.push_back(node("e", "{}", false));
  EXPECT_EQ(placed(asks(R"({"cpu":"3","memory":"8Gi"})")),
            "0/5 nodes are available: 2 Insufficient cpu, 2 Insufficient memory, 1 node(s) had "
            "untolerated taint(s), 1 node(s) were not ready, 1 node(s) were unschedulable.");
  EXPECT_EQ(placed(pod(R"({"nodeSelector":{"disk":"ssd"}})")),
            "0/5 nodes are available: 5 node(s) didn't match Pod's node affinity/selector.");
  nodes.clear();
  EXPECT_EQ(placed(pod("{}")), "no nodes available to schedule pods");
}

TEST_F(PlacementTest, a_node_takes_no_more_pods_than_it_may) {
  nodes = {node("a")};
  for (int i = 0; i < 3; ++i) run_on("a", asks("{}"));
  EXPECT_EQ(placed(asks("{}")), "0/1 nodes are available: 1 Too many pods.");
  occupancies["a"].remove(demand_of(asks("{}")));
  EXPECT_EQ(placed(asks("{}")), "a");
}

TEST_F(PlacementTest, a_host_port_is_given_once) {
  nodes = {node("a")};
  const json::object web = asks("{}", R"([{"containerPort":80,"hostPort":8080}])");
  run_on("a", web);
  EXPECT_EQ(placed(web),
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod "
            "ports.");
  EXPECT_EQ(placed(asks("{}", R"([{"hostPort":8080,"protocol":"UDP"}])")), "a");
  occupancies["a"].remove(demand_of(web));
  EXPECT_EQ(placed(web), "a");
}

TEST_F(PlacementTest, a_host_port_is_one_of_the_address_it_names) {
  nodes = {node("a")};
  const auto at = [](const char* address) {
    return asks("{}", fmt::format(R"([{{"hostPort":8080,"hostIP":"{}"}}])", address));
  };
  run_on("a", at("127.0.0.1"));
  EXPECT_EQ(placed(at("127.0.0.2")), "a");
  for (const char* taken : {"127.0.0.1", "0.0.0.0", ""}) {
    EXPECT_TRUE(placed(at(taken)).starts_with("0/1 nodes are available")) << taken;
  }
  occupancies["a"].remove(demand_of(at("127.0.0.1")));
  run_on("a", at("0.0.0.0"));
  EXPECT_TRUE(placed(at("127.0.0.2")).starts_with("0/1 nodes are available"));
}

}  // namespace
}  // namespace tulle::controllers
