#include "obs/access_record.h"
#include "obs/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace tulle::obs {
namespace {

using ::testing::HasSubstr;

TEST(MetricsTest, writes_the_prometheus_text_form) {
  Registry registry;
  auto& requests = registry.counter({.name = "tulle_requests_total",
                                     .help = "Requests that ended.\nBy service \\ status",
                                     .labels = {"service", "status"}});
  requests.with({"default/world", "200"}).add(3);
  requests.with({"a\"b\\c\nd", "503"}).add();
  registry.gauge({.name = "tulle_generation", .help = "Of the snapshot"}).with().set(7);
  registry.counter({.name = "tulle_unused_total", .help = "Never touched"});
  const double bounds[] = {0.5, 1};
  auto& seconds =
      registry.histogram({.name = "tulle_seconds", .help = "Time", .labels = {"to"}}, bounds);
  for (double value : {0.1, 0.5, 0.75, 4.0}) seconds.with({"w"}).observe(value);

  EXPECT_EQ(registry.exposition(),
            "# HELP tulle_requests_total Requests that ended.\\nBy service \\\\ status\n"
            "# TYPE tulle_requests_total counter\n"
            "tulle_requests_total{service=\"a\\\"b\\\\c\\nd\",status=\"503\"} 1\n"
            "tulle_requests_total{service=\"default/world\",status=\"200\"} 3\n"
            "# HELP tulle_generation Of the snapshot\n"
            "# TYPE tulle_generation gauge\n"
            "tulle_generation 7\n"
            "# HELP tulle_seconds Time\n"
            "# TYPE tulle_seconds histogram\n"
            "tulle_seconds_bucket{to=\"w\",le=\"0.5\"} 2\n"
            "tulle_seconds_bucket{to=\"w\",le=\"1\"} 3\n"
            "tulle_seconds_bucket{to=\"w\",le=\"+Inf\"} 4\n"
            "tulle_seconds_sum{to=\"w\"} 5.35\n"
            "tulle_seconds_count{to=\"w\"} 4\n");
}

TEST(MetricsTest, counts_exactly_from_many_threads) {
  Registry registry;
  auto& family = registry.counter({.name = "n_total", .help = "", .labels = {"of"}});
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) family.with({i % 2 ? "odd" : "even"}).add();
      });
    }
  }
  EXPECT_EQ(family.with({"odd"}).value(), 2000U);
  EXPECT_EQ(family.with({"even"}).value(), 2000U);
}

TEST(MetricsTest, past_its_limit_a_family_counts_under_other) {
  Registry registry;
  auto& family = registry.counter({.name = "n_total", .help = "", .labels = {"path"}});
  for (std::size_t i = 0; i < Family<Counter>::series_max + 10; ++i) {
    family.with({std::to_string(i)}).add();
  }
  EXPECT_EQ(family.with({"other"}).value(), 10U);
  EXPECT_EQ(family.with({"0"}).value(), 1U);
}

TEST(AccessRecordTest, is_one_line_whatever_the_peer_sent) {
  AccessRecord record{.downstream_workload = "default/hello-1",
                      .destination = {IpAddress::v4(10, 96, 0, 7), 80},
                      .method = "GET",
                      .path = "/a\nstatus=200 \"\x1b[2J",
                      .attempts = 2,
                      .status = 503,
                      .total = std::chrono::microseconds(1500)};
  std::string line = to_line(record);
  EXPECT_THAT(line, HasSubstr("from=default/hello-1 destination=10.96.0.7:80 method=GET "
                              "path=\"/a\\x0astatus=200 \\\"\\x1b[2J\" attempts=2 status=503"));
  EXPECT_THAT(line, HasSubstr("total_ms=1.500"));
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace tulle::obs
