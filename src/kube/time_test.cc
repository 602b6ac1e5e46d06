#include "kube/time.h"

#include <gtest/gtest.h>

namespace tulle::kube {
namespace {

using namespace std::chrono_literals;

TEST(Time, reads_rfc_3339_and_writes_it_in_utc) {
  struct Row {
    std::string_view text;
    std::string_view seconds;
    std::string_view micros;
  };
  constexpr Row rows[] = {
      {"2026-01-02T15:04:05Z", "2026-01-02T15:04:05Z", "2026-01-02T15:04:05.000000Z"},
      {"2026-01-02T15:04:05.5Z", "2026-01-02T15:04:05Z", "2026-01-02T15:04:05.500000Z"},
      {"2026-01-02T15:04:05.123456789Z", "2026-01-02T15:04:05Z", "2026-01-02T15:04:05.123456Z"},
      {"2026-01-01T00:30:00+02:00", "2025-12-31T22:30:00Z", "2025-12-31T22:30:00.000000Z"},
      {"2024-02-29T00:00:00-00:30", "2024-02-29T00:30:00Z", "2024-02-29T00:30:00.000000Z"},
      {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"},
  };
  for (const Row& row : rows) {
    const auto time = parse_time(row.text);
    ASSERT_TRUE(time) << row.text;
    EXPECT_EQ(format_time(*time), row.seconds);
    EXPECT_EQ(format_micro_time(*time), row.micros);
  }
}

TEST(Time, refuses_what_is_not_rfc_3339) {
  for (const std::string_view text :
       {"", "2026-01-02", "2026-01-02T15:04:05", "2026-13-02T15:04:05Z", "2025-02-29T00:00:00Z",
        "2026-01-02T24:00:00Z", "2026-01-02T15:04:60Z", "2026-01-02T15:04:05.Z",
        "2026-01-02T15:04:05Zx", "2026-01-02 15:04:05Z", "2026-01-02T15:04:05+25:00",
        "2026-1-2T15:04:05Z"})
    EXPECT_FALSE(parse_time(text)) << text;
}

TEST(Time, durations_read_as_kubectl_shows_them) {
  struct Row {
    std::chrono::microseconds duration;
    std::string_view text;
  };
  constexpr auto day = 24h;
  constexpr Row rows[] = {
      {-5s, "<invalid>"},  {-1s, "0s"},       {0s, "0s"},           {1500ms, "1s"},
      {119s, "119s"},      {120s, "2m"},      {182s, "3m2s"},       {10min, "10m"},
      {179min, "179m"},    {180min, "3h"},    {185min, "3h5m"},     {8h, "8h"},
      {47h, "47h"},        {48h, "2d"},       {76h, "3d4h"},        {8 * day, "8d"},
      {729 * day, "729d"}, {730 * day, "2y"}, {760 * day, "2y30d"}, {8 * 365 * day, "8y"},
      {4000 * day, "10y"},
  };
  for (const Row& row : rows) EXPECT_EQ(human_duration(row.duration), row.text);
}

TEST(Time, durations_of_policies_are_those_of_the_gateway_api) {
  struct Row {
    std::string_view text;
    std::chrono::milliseconds duration;
  };
  constexpr Row good[] = {
      {"10s", 10s}, {"1h30m", 90min},   {"250ms", 250ms},        {"1m1ms", 60001ms},
      {"0s", 0ms},  {"99999h", 99999h}, {"1h2m3s4ms", 3723004ms}};
  for (const Row& row : good) EXPECT_EQ(parse_duration(row.text).value(), row.duration) << row.text;
  for (const std::string_view text :
       {"", "10", "s", "-1s", "1.5s", "100000s", "1d", "1s ", "1 s", "1h1m1s1ms1s", "1S"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Time, an_age_without_a_timestamp_is_unknown) {
  const Time now = *parse_time("2026-01-02T15:04:05Z");
  EXPECT_EQ(age("2026-01-02T15:04:00Z", now), "5s");
  EXPECT_EQ(age("", now), "<unknown>");
}

}  // namespace
}  // namespace tulle::kube
