#include "node/pull_report.h"

#include <gtest/gtest.h>

namespace tulle::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Step = PullProgress::Step;

TEST(PullReport, says_how_far_a_pull_is) {
  const Instant start{seconds(100)};
  const PullReport report("app:1", start);
  const std::string begin = "Pulling image \"app:1\": ";
  PullProgress progress;
  EXPECT_EQ(report.text(progress, start), begin + "waits for other pulls");
  progress.step = Step::asking;
  EXPECT_EQ(report.text(progress, start), begin + "asking the registry");
  progress = {
      .step = Step::fetching, .bytes = 1'400'000, .bytes_total = 20'000'000, .grown_at = start};
  EXPECT_EQ(report.text(progress, start + seconds(4)), begin + "1.4 MB of 20.0 MB fetched");
  EXPECT_EQ(report.text(progress, start + seconds(9)),
            begin + "1.4 MB of 20.0 MB fetched, nothing for 9s");
  progress.step = Step::unpacking;
  EXPECT_EQ(report.text(progress, start + seconds(60)), begin + "unpacking");
}

TEST(PullReport, makes_an_event_after_longer_and_longer) {
  const Instant start{seconds(100)};
  PullReport report("app:1", start);
  std::vector<int> events;
  for (int second = 0; second <= 400; ++second) {
    if (report.is_event_due(start + seconds(second))) events.push_back(second);
  }
  EXPECT_EQ(events, (std::vector<int>{10, 30, 70, 150, 310}));
}

TEST(PullReport, writes_times_as_upstream_does) {
  const std::pair<Duration, const char*> rows[] = {
      {milliseconds(0), "0s"}, {milliseconds(850), "850ms"},           {milliseconds(1500), "1.5s"},
      {seconds(10), "10s"},    {milliseconds(12345), "12.345s"},       {seconds(160), "2m40s"},
      {seconds(300), "5m0s"},  {milliseconds(3'661'250), "1h1m1.25s"},
  };
  for (const auto& [duration, text] : rows) EXPECT_EQ(go_duration(duration), text);
}

}  // namespace
}  // namespace tulle::node
