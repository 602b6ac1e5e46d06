#include "cli/status_metrics.h"

#include "obs/metrics.h"

#include <gtest/gtest.h>

#include <limits>

namespace tulle::cli {
namespace {

TEST(StatusMetrics, reads_names_labels_and_values) {
  const struct {
    std::string_view text;
    std::vector<Sample> samples;
  } rows[] = {
      {"", {}},
      {"\n \n# HELP a what a is\n# TYPE a counter\n", {}},
      {"a 1", {{.name = "a", .value = 1}}},
      {"a 1\r\nb:c_9 -2.5e3\n", {{.name = "a", .value = 1}, {.name = "b:c_9", .value = -2500}}},
      {"a{} 1\n", {{.name = "a", .value = 1}}},
      {"a{x=\"1\",y=\"\"} 3 1700000000000\n",
       {{.name = "a", .labels = {{"x", "1"}, {"y", ""}}, .value = 3}}},
      {" a { x = \"1\" , } 3\n", {{.name = "a", .labels = {{"x", "1"}}, .value = 3}}},
      {R"(a{x="\"}\\\n"} 1)", {{.name = "a", .labels = {{"x", "\"}\\\n"}}, .value = 1}}},
      {"a{le=\"+Inf\"} +Inf\n",
       {{.name = "a",
         .labels = {{"le", "+Inf"}},
         .value = std::numeric_limits<double>::infinity()}}},
  };
  for (const auto& row : rows) {
    const auto samples = Samples::parse(row.text);
    ASSERT_TRUE(samples) << row.text << samples.error().message;
    EXPECT_EQ(samples->all(), row.samples) << row.text;
  }
}

TEST(StatusMetrics, says_which_line_it_cannot_read) {
  const struct {
    std::string_view text;
    std::string_view message;
  } rows[] = {
      {"a 1\n{x=\"1\"} 1\n", "metrics line 2: a name is missing"},
      {"a", "metrics line 1: '' is no number"},
      {"a one", "metrics line 1: 'one' is no number"},
      {"a 1x", "metrics line 1: '1x' is no number"},
      {"a{x} 1", "metrics line 1: label x has no value"},
      {"a{x=1} 1", "metrics line 1: label x has no value"},
      {"a{x=\"1} 1", "metrics line 1: a label's value has no end"},
      {"a{x=\"1\" 1", "metrics line 1: label 1 has no value"},
      {"a{x=\"1\"", "metrics line 1: a name is missing"},
  };
  for (const auto& row : rows) {
    const auto samples = Samples::parse(row.text);
    ASSERT_FALSE(samples) << row.text;
    EXPECT_EQ(samples.error().message, row.message) << row.text;
  }
}

TEST(StatusMetrics, sums_what_has_the_labels) {
  const auto samples = Samples::parse(
      "a{s=\"x\",p=\"1\"} 1\na{s=\"x\",p=\"2\"} 2\na{s=\"y\",p=\"1\"} 4\nab{s=\"x\"} 8\n");
  ASSERT_TRUE(samples);
  EXPECT_EQ(samples->sum("a"), 7);
  EXPECT_EQ(samples->sum("a", {{"s", "x"}}), 3);
  EXPECT_EQ(samples->sum("a", {{"s", "x"}, {"p", "2"}}), 2);
  EXPECT_EQ(samples->sum("a", {{"t", ""}}), 0);
  EXPECT_EQ(samples->value("ab"), 8);
  EXPECT_EQ(samples->value("c"), std::nullopt);
}

TEST(StatusMetrics, reads_what_our_registry_writes) {
  obs::Registry registry;
  registry.counter({.name = "requests_total", .help = "R.", .labels = {"service"}})
      .with({"a\"\\\nb"})
      .add(3);
  registry.histogram({.name = "duration_seconds", .help = "D."}).with().observe(0.2);
  const auto samples = Samples::parse(registry.exposition());
  ASSERT_TRUE(samples) << samples.error().message;
  EXPECT_EQ(samples->sum("requests_total", {{"service", "a\"\\\nb"}}), 3);
  EXPECT_EQ(samples->sum("duration_seconds_bucket", {{"le", "+Inf"}}), 1);
  EXPECT_EQ(samples->sum("duration_seconds_bucket", {{"le", "0.1"}}), 0);
}

}  // namespace
}  // namespace tulle::cli
