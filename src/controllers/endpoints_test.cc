#include "controllers/endpoints.h"

#include "codec/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <numeric>
#include <string>

namespace tulle::controllers {
namespace {

struct PodText {
  std::string name = "a";
  std::string ip = "10.244.0.2";
  bool ready = true;
  std::int64_t http_port = 8080;  // 0: no port of that name
  bool deleting = false;
  std::string phase = "Running";
  std::string hostname = {};
  std::string app = "web";
};

ObjectPtr pod(const PodText& text) {
  json::object object{
      {"metadata",
       {{"name", text.name},
        {"namespace", "shop"},
        {"uid", "uid-" + text.name},
        {"labels", {{"app", text.app}}}}},
      {"spec", {{"nodeName", "n1"}, {"containers", json::array{json::object{}}}}},
      {"status",
       {{"phase", text.phase},
        {"podIP", text.ip},
        {"conditions", json::array{json::object{{"type", "Ready"},
                                                {"status", text.ready ? "True" : "False"}}}}}}};
  if (text.http_port != 0) {
    object["spec"].as_object()["containers"].as_array()[0].as_object()["ports"] =
        json::array{json::object{{"name", "http"}, {"containerPort", text.http_port}}};
  }
  if (text.deleting) kube::set_at(object, "metadata.deletionTimestamp", "2030-01-01T00:00:00Z");
  if (!text.hostname.empty()) {
    kube::set_at(object, "spec.hostname", json::value(text.hostname));
    kube::set_at(object, "spec.subdomain", "web");
  }
  return std::make_shared<const json::object>(std::move(object));
}

json::object service(std::string_view ports, bool publish_not_ready = false) {
  json::object object{
      {"metadata", {{"name", "web"}, {"namespace", "shop"}}},
      {"spec", {{"selector", {{"app", "web"}}}, {"ports", *codec::parse_json(ports)}}}};
  if (publish_not_ready) kube::set_at(object, "spec.publishNotReadyAddresses", true);
  return object;
}

std::vector<MemberPtr> members_of(const json::object& of, const std::vector<ObjectPtr>& pods,
                                  const Zones& zones = {}) {
  return Members().update(std::make_shared<const json::object>(of), pods, zones);
}

// Where there are no slices yet.
std::vector<json::object> slices_for(const json::object& of, const std::vector<ObjectPtr>& pods,
                                     const Zones& zones) {
  std::vector<json::object> slices;
  for (const PlannedSlice& slice : plan_slices(members_of(of, pods, zones), {}).slices) {
    slices.push_back(render_slice(slice.members));
  }
  return slices;
}

constexpr std::string_view kNamedPort = R"([{"name":"web","port":80,"targetPort":"http"}])";

// "8080: 10.244.0.2 10.244.0.3!" per slice: the ports, then the addresses with what marks them: !
// not ready, s serving, t terminating.
std::string short_form(const std::vector<json::object>& slices) {
  std::string text;
  for (const json::object& slice : slices) {
    if (!text.empty()) text += "; ";
    for (const auto& port : kube::array_at(slice, "ports")) {
      text += fmt::format("{} ", kube::integer_at(kube::object_or_empty(port), "port"));
    }
    text += ":";
    for (const auto& value : kube::array_at(slice, "endpoints")) {
      const auto& endpoint = kube::object_or_empty(value);
      text += " " + std::string(kube::string_or(kube::array_at(endpoint, "addresses")[0]));
      const bool ready = kube::bool_at(endpoint, "conditions.ready");
      const bool serving = kube::bool_at(endpoint, "conditions.serving");
      if (!ready) text += "!";
      if (ready != serving) text += serving ? "s" : "-";
      if (kube::bool_at(endpoint, "conditions.terminating")) text += "t";
    }
  }
  return text;
}

TEST(Slices, say_where_a_service_leads_and_how_the_pods_are) {
  struct Row {
    std::string what;
    std::string_view ports;
    std::vector<PodText> pods;
    std::string slices;
    bool publish_not_ready = false;
  };
  const std::vector<Row> rows = {
      {"none", kNamedPort, {}, ":"},
      {"in order of address, not of text",
       kNamedPort,
       {{.name = "b", .ip = "10.244.0.10"}, {.name = "a", .ip = "10.244.0.9"}},
       "8080 : 10.244.0.9 10.244.0.10"},
      {"of another app", kNamedPort, {{.app = "other"}}, ":"},
      {"not ready", kNamedPort, {{.ready = false}}, "8080 : 10.244.0.2!"},
      {"not ready, but to be published",
       kNamedPort,
       {{.ready = false}},
       "8080 : 10.244.0.2-",
       true},
      {"terminating and still serving", kNamedPort, {{.deleting = true}}, "8080 : 10.244.0.2!st"},
      {"terminating and not serving",
       kNamedPort,
       {{.ready = false, .deleting = true}},
       "8080 : 10.244.0.2!t"},
      {"without an address, or ended",
       kNamedPort,
       {{.ip = ""}, {.name = "b", .phase = "Succeeded"}, {.name = "c", .phase = "Failed"}},
       ":"},
      {"a named port that differs",
       kNamedPort,
       {{},
        {.name = "b", .ip = "10.244.0.3", .http_port = 9090},
        {.name = "c", .ip = "10.244.0.4"}},
       "8080 : 10.244.0.2 10.244.0.4; 9090 : 10.244.0.3"},
      {"a named port that a pod does not have", kNamedPort, {{.http_port = 0}}, ": 10.244.0.2"},
      {"numbers",
       R"([{"port":80},{"name":"b","port":81,"targetPort":8081}])",
       {{}},
       "80 8081 : 10.244.0.2"},
      {"another protocol's port of that name",
       R"([{"port":53,"targetPort":"http","protocol":"UDP"}])",
       {{}},
       ": 10.244.0.2"},
  };
  for (const Row& row : rows) {
    std::vector<ObjectPtr> pods;
    pods.reserve(row.pods.size());
    for (const PodText& text : row.pods) pods.push_back(pod(text));
    EXPECT_EQ(short_form(slices_for(service(row.ports, row.publish_not_ready), pods, {})),
              row.slices)
        << row.what;
  }
}

TEST(Slices, hold_a_hundred_endpoints_each) {
  std::vector<ObjectPtr> pods;
  pods.reserve(250);
  for (int i = 0; i < 250; ++i) {
    pods.push_back(pod({.name = fmt::format("p{}", i), .ip = fmt::format("10.244.1.{}", i)}));
  }
  const auto slices = slices_for(service(kNamedPort), pods, {});
  ASSERT_EQ(slices.size(), 3U);
  EXPECT_EQ(kube::array_at(slices[0], "endpoints").size(), 100U);
  EXPECT_EQ(kube::array_at(slices[1], "endpoints").size(), 100U);
  EXPECT_EQ(kube::array_at(slices[2], "endpoints").size(), 50U);
}

TEST(Slices, hint_the_ready_ones_to_where_they_are_if_the_service_prefers_near_ones) {
  const Zones zones{{"n1", "a"}};
  const std::vector<ObjectPtr> pods{pod({}),
                                    pod({.name = "b", .ip = "10.244.0.3", .ready = false})};
  struct Row {
    std::string_view preference;
    Zones zones;
    std::string_view hints;  // of the first endpoint
  };
  const std::vector<Row> rows = {
      {"", zones, "null"},
      {"PreferSameZone", zones, R"({"forZones":[{"name":"a"}]})"},
      {"PreferClose", zones, R"({"forZones":[{"name":"a"}]})"},
      {"PreferSameNode", zones, R"({"forZones":[{"name":"a"}],"forNodes":[{"name":"n1"}]})"},
      {"PreferSameNode", {}, R"({"forNodes":[{"name":"n1"}]})"},
      {"PreferSameZone", {{"n2", "a"}}, "null"},
  };
  for (const Row& row : rows) {
    json::object wanted = service(kNamedPort);
    if (!row.preference.empty()) {
      kube::set_at(wanted, "spec.trafficDistribution", json::string(row.preference));
    }
    const auto slices = slices_for(wanted, pods, row.zones);
    const auto& endpoints = kube::array_at(slices[0], "endpoints");
    const auto& first = kube::object_or_empty(endpoints[0]);
    const auto* hints = first.if_contains("hints");
    EXPECT_EQ(json::serialize(hints != nullptr ? *hints : json::value()), row.hints)
        << row.preference;
    const auto zone = row.zones.find("n1");
    EXPECT_EQ(kube::string_at(first, "zone"), zone != row.zones.end() ? zone->second : "");
    EXPECT_FALSE(kube::object_or_empty(endpoints[1]).contains("hints"));
  }
}

TEST(Slices, name_the_pod_its_node_and_its_hostname) {
  const auto slices = slices_for(service(kNamedPort), {pod({.hostname = "db-0"})}, {});
  const auto& endpoint = kube::object_or_empty(kube::array_at(slices[0], "endpoints")[0]);
  EXPECT_EQ(kube::string_at(endpoint, "targetRef.kind"), "Pod");
  EXPECT_EQ(kube::string_at(endpoint, "targetRef.namespace"), "shop");
  EXPECT_EQ(kube::string_at(endpoint, "targetRef.name"), "a");
  EXPECT_EQ(kube::string_at(endpoint, "targetRef.uid"), "uid-a");
  EXPECT_EQ(kube::string_at(endpoint, "nodeName"), "n1");
  EXPECT_EQ(kube::string_at(endpoint, "hostname"), "db-0");
}

// Plans slices over and over, each time with what the time before left.
class PlanTest : public testing::Test {
 protected:
  // "s0: 1 2; s1: 3": each slice with the last byte of its addresses, new ones as "+".
  std::string plan(const std::vector<int>& last_bytes, std::int64_t port = 8080) {
    std::vector<ObjectPtr> pods;
    pods.reserve(last_bytes.size());
    for (const int byte : last_bytes) {
      pods.push_back(
          pod({.name = fmt::format("p{}", byte), .ip = ip(byte).to_string(), .http_port = port}));
    }
    planned = plan_slices(members_of(service(kNamedPort), pods), existing).slices;
    std::string text;
    for (const PlannedSlice& slice : planned) {
      if (!text.empty()) text += "; ";
      text += slice.over ? std::string(kube::name_of(*slice.over)) : "+";
      text += ":";
      for (const MemberPtr& member : slice.members) {
        text += fmt::format(" {}", member->address.to_string().substr(7));
      }
    }
    return text;
  }
  static IpAddress ip(int byte) { return IpAddress::v4(10, 1, 1, static_cast<std::uint8_t>(byte)); }
  void exists(const std::string& name, std::int64_t port, const std::vector<int>& last_bytes) {
    ExistingSlice slice{
        .object =
            std::make_shared<const json::object>(json::object{{"metadata", {{"name", name}}}}),
        .ports_text = fmt::format(R"([{{"name":"web","port":{},"protocol":"TCP"}}])", port),
        .addresses = {}};
    slice.addresses.reserve(last_bytes.size());
    for (const int byte : last_bytes) slice.addresses.push_back(ip(byte));
    existing.push_back(std::move(slice));
  }

  std::vector<ExistingSlice> existing;
  std::vector<PlannedSlice> planned;
};

TEST_F(PlanTest, who_comes_or_goes_changes_one_slice) {
  EXPECT_EQ(plan({3, 1, 2}), "+: 1 2 3");
  exists("s0", 8080, {10, 11});
  exists("s1", 8080, {12, 13});
  EXPECT_EQ(plan({10, 11, 12, 13}), "s0: 10 11; s1: 12 13");
  EXPECT_EQ(plan({11, 12, 13}), "s0: 11; s1: 12 13");
  EXPECT_EQ(plan({5, 10, 11, 12, 13, 99}), "s0: 5 10 11 99; s1: 12 13");
}

TEST_F(PlanTest, a_slice_that_nobody_is_left_in_is_not_planned_and_the_last_one_stays) {
  exists("s0", 8080, {10});
  exists("s1", 8080, {12});
  EXPECT_EQ(plan({12}), "s1: 12");
  EXPECT_EQ(plan({}), "s1:");
}

TEST_F(PlanTest, other_ports_take_over_the_slices_that_are_free) {
  exists("s0", 8080, {10, 11});
  EXPECT_EQ(plan({10, 11}, 9090), "s0: 10 11");
  exists("s1", 9090, {12});
  EXPECT_EQ(plan({10, 12}, 9090), "s1: 10 12");
}

TEST_F(PlanTest, a_full_slice_takes_nobody_in) {
  std::vector<int> seated(EndpointsController::endpoints_per_slice_max);
  std::iota(seated.begin(), seated.end(), 100);
  exists("s0", 8080, seated);
  std::vector<int> all = seated;
  all.push_back(7);
  plan(all);
  ASSERT_EQ(planned.size(), 2U);
  EXPECT_EQ(planned[0].members.size(), seated.size());
  EXPECT_EQ(planned[1].over, nullptr);
  EXPECT_EQ(planned[1].members.front()->address, ip(7));
}

TEST(Members, are_made_anew_only_where_the_pod_its_zone_or_the_service_is_another) {
  Members members;
  auto web = std::make_shared<const json::object>(service(kNamedPort));
  const std::vector<ObjectPtr> pods{pod({}), pod({.name = "b", .ip = "10.244.0.3"})};
  const auto first = members.update(web, pods, {});
  EXPECT_EQ(members.update(web, pods, {}), first);
  const auto second = members.update(web, {pods[0], pod({.name = "b", .ip = "10.244.0.3"})}, {});
  EXPECT_EQ(second[0], first[0]);
  EXPECT_NE(second[1], first[1]);
  const auto moved = members.update(web, pods, {{"n1", "a"}});
  EXPECT_EQ(kube::string_at(moved[0]->endpoint, "zone"), "a");
  web = std::make_shared<const json::object>(service(kNamedPort, true));
  EXPECT_NE(members.update(web, pods, {{"n1", "a"}})[0], moved[0]);
}

// "ready/not ready ports" per subset.
std::string short_form(const json::object& endpoints) {
  std::string text;
  for (const auto& value : kube::array_at(endpoints, "subsets")) {
    const auto& subset = kube::object_or_empty(value);
    if (!text.empty()) text += "; ";
    const auto list = [&subset, &text](std::string_view field) {
      for (const auto& address : kube::array_at(subset, field)) {
        text += std::string(kube::string_at(kube::object_or_empty(address), "ip")) + " ";
      }
    };
    list("addresses");
    text += "/ ";
    list("notReadyAddresses");
    for (const auto& port : kube::array_at(subset, "ports")) {
      text += fmt::format("{}", kube::integer_at(kube::object_or_empty(port), "port"));
    }
  }
  return text;
}

TEST(Endpoints, list_ready_and_not_ready_addresses_by_port) {
  struct Row {
    std::vector<PodText> pods;
    std::string subsets;
    bool publish_not_ready = false;
  };
  const std::vector<Row> rows = {
      {{}, ""},
      {{{}}, "10.244.0.2 / 8080"},
      {{{}, {.name = "b", .ip = "10.244.0.3", .ready = false}}, "10.244.0.2 / 10.244.0.3 8080"},
      {{{.ready = false}}, "10.244.0.2 / 8080", true},
      {{{.deleting = true}}, ""},
      {{{}, {.name = "b", .ip = "10.244.0.3", .http_port = 9090}},
       "10.244.0.2 / 8080; 10.244.0.3 / 9090"},
  };
  for (const Row& row : rows) {
    std::vector<ObjectPtr> pods;
    pods.reserve(row.pods.size());
    for (const PodText& text : row.pods) pods.push_back(pod(text));
    const auto endpoints =
        render_endpoints(members_of(service(kNamedPort, row.publish_not_ready), pods));
    EXPECT_EQ(short_form(endpoints), row.subsets);
  }
}

TEST(Endpoints, hold_a_thousand_addresses_at_most) {
  std::vector<ObjectPtr> pods;
  pods.reserve(1100);
  for (int i = 0; i < 1100; ++i) {
    pods.push_back(
        pod({.name = fmt::format("p{}", i), .ip = fmt::format("10.244.{}.{}", i / 200, i % 200)}));
  }
  const auto endpoints = render_endpoints(members_of(service(kNamedPort), pods));
  const auto& subset = kube::object_or_empty(kube::array_at(endpoints, "subsets")[0]);
  EXPECT_EQ(kube::array_at(subset, "addresses").size(), LegacyEndpoints::addresses_max);
}

}  // namespace
}  // namespace tulle::controllers
