#include "controllers/pod_metrics.h"

#include "codec/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>

namespace tulle::controllers {
namespace {

constexpr std::string_view noon = "2026-01-02T12:00:00Z";

// Ten requests per second at every address that ends in an even number.
class Rates final : public RequestRates {
 public:
  std::optional<double> per_second(const IpAddress& pod) override {
    const std::string text = pod.to_string();
    if ((text.back() - '0') % 2 == 1) return std::nullopt;
    return 10;
  }
};

struct PodText {
  std::string requests = R"({"cpu":"100m"})";
  std::string usage = R"({"cpu":"50m"})";  // "": not measured
  std::string more = {};                   // of its status
};

class PodMetricsTest : public testing::Test {
 protected:
  void add(const PodText& text) {
    const std::string name = fmt::format("p{}", metrics.pods.size());
    const std::string status = fmt::format(
        R"({{"phase":"Running","startTime":"2026-01-02T11:00:00Z","podIP":"10.244.0.{}",
             "conditions":[{{"type":"Ready","status":"True",
                             "lastTransitionTime":"2026-01-02T11:00:05Z"}}]}})",
        metrics.pods.size());
    json::object pod{
        {"metadata", {{"name", name}, {"namespace", "shop"}}},
        {"spec",
         {{"containers",
           {{{"name", "c"}, {"resources", {{"requests", *codec::parse_json(text.requests)}}}}}}}},
        {"status", *codec::parse_json(status)}};
    if (!text.more.empty()) {
      const auto more = codec::parse_json(text.more);
      for (const auto& [key, value] : more->get_object()) pod["status"].get_object()[key] = value;
    }
    metrics.pods.push_back(std::make_shared<const json::object>(std::move(pod)));
    if (text.usage.empty()) return;
    const json::object usage{
        {"timestamp", noon},
        {"containers", {{{"name", "c"}, {"usage", *codec::parse_json(text.usage)}}}}};
    metrics.usage.emplace(name, std::make_shared<const json::object>(usage));
  }

  // "replicas current description" or "reason: message".
  std::string weigh(std::string_view metric) {
    const auto parsed = codec::parse_json(metric);
    const auto count = static_cast<std::int64_t>(metrics.pods.size());
    const auto weighed = weigh_metric(parsed->get_object(), metrics, count, {});
    if (!weighed) return weighed.error().reason + ": " + weighed.error().message;
    return fmt::format("{} {} {}", weighed->replicas, codec::to_json(weighed->status),
                       weighed->description);
  }

  Rates rates;
  PodMetrics metrics{.pods = {}, .usage = {}, .rates = &rates, .now = *kube::parse_time(noon)};
};

constexpr std::string_view cpu_half =
    R"({"type":"Resource","resource":{"name":"cpu",
        "target":{"type":"Utilization","averageUtilization":50}}})";

TEST_F(PodMetricsTest, utilization_is_a_share_of_what_the_pods_request) {
  add({.usage = R"({"cpu":"100m"})"});
  add({.usage = R"({"cpu":"100m"})"});
  EXPECT_EQ(weigh(cpu_half), R"(4 {"type":"Resource","resource":{"name":"cpu","current":)"
                             R"({"averageValue":"100m","averageUtilization":100}}} )"
                             "cpu resource utilization (percentage of request)");
}

TEST_F(PodMetricsTest, a_container_that_requests_nothing_is_named) {
  add({.requests = "{}"});
  EXPECT_EQ(weigh(cpu_half),
            "FailedGetResourceMetric: missing request for cpu in container c of Pod p0: set "
            "resources.requests.cpu, or use a target of type AverageValue");
}

TEST_F(PodMetricsTest, values_need_no_requests) {
  add({.requests = "{}", .usage = R"({"memory":"300Mi"})"});
  EXPECT_EQ(weigh(R"({"type":"Resource","resource":{"name":"memory",
                      "target":{"type":"AverageValue","averageValue":"100Mi"}}})"),
            R"(3 {"type":"Resource","resource":{"name":"memory","current":)"
            R"({"averageValue":"314572800"}}} memory resource average value)");
}

TEST_F(PodMetricsTest, a_pod_that_starts_is_not_judged_by_its_cpu) {
  add({.usage = R"({"cpu":"50m"})"});
  add({.usage = R"({"cpu":"900m"})", .more = R"({"startTime":"2026-01-02T11:58:00Z",
       "conditions":[{"type":"Ready","status":"False"}]})"});
  add({.usage = R"({"cpu":"900m"})", .more = R"({"phase":"Pending"})"});
  EXPECT_TRUE(weigh(cpu_half).starts_with("3 ")) << weigh(cpu_half);
}

TEST_F(PodMetricsTest, pods_that_end_are_left_out) {
  add({.usage = R"({"cpu":"50m"})"});
  add({.usage = R"({"cpu":"900m"})", .more = R"({"phase":"Failed"})"});
  EXPECT_TRUE(weigh(cpu_half).starts_with("2 ")) << weigh(cpu_half);
}

TEST_F(PodMetricsTest, the_mesh_knows_requests_per_second) {
  for (int i = 0; i < 3; ++i) add({});  // 10, unknown, 10
  constexpr std::string_view five =
      R"({"type":"Pods","pods":{"metric":{"name":"requests_per_second"},
          "target":{"type":"AverageValue","averageValue":"5"}}})";
  EXPECT_EQ(weigh(five), R"(4 {"type":"Pods","pods":{"metric":{"name":"requests_per_second"},)"
                         R"("current":{"averageValue":"10"}}} pods metric requests_per_second)");
  metrics.rates = nullptr;
  EXPECT_EQ(weigh(five), "FailedGetPodsMetric: no proxy runs that would count requests");
}

TEST_F(PodMetricsTest, what_cannot_be_measured_says_so) {
  add({.usage = ""});
  EXPECT_EQ(weigh(cpu_half),
            "FailedGetResourceMetric: no metrics of ready pods are known yet: they are measured "
            "every few seconds");
  EXPECT_EQ(weigh(R"({"type":"Pods","pods":{"metric":{"name":"luck"},"target":{}}})"),
            "FailedGetPodsMetric: the metric luck is not known: the mesh measures "
            "requests_per_second");
  EXPECT_EQ(weigh(R"({"type":"External","external":{}})"),
            "FailedGetExternalMetric: metrics of type External are not served here; there are "
            "Resource, ContainerResource and Pods");
}

}  // namespace
}  // namespace tulle::controllers
