#include "controllers/cron_policy.h"

#include "codec/json.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>
#include <vector>

namespace tulle::controllers {
namespace {

json::object cron_job_of(std::string_view spec, std::string_view last = {}) {
  json::object cron_job{{"apiVersion", "batch/v1"},
                        {"kind", "CronJob"},
                        {"metadata",
                         {{"name", "nightly"},
                          {"namespace", "default"},
                          {"uid", "cron-uid"},
                          {"creationTimestamp", "2030-01-01T00:00:30Z"}}},
                        {"spec", *codec::parse_json(spec)}};
  if (!last.empty()) kube::set_at(cron_job, "status.lastScheduleTime", json::value(last));
  return cron_job;
}

CronTiming timing_of(const json::object& cron_job) {
  return std::get<CronTiming>(read_cron_timing(cron_job));
}

TEST(CronDue, is_the_latest_time_that_was_not_started) {
  struct Row {
    std::string what, spec, last, now, due;
    bool many_missed = false;
  };
  const std::string minutely = R"({"schedule":"* * * * *"})";
  const std::string short_deadline = R"({"schedule":"0 * * * *","startingDeadlineSeconds":100})";
  const std::vector<Row> rows = {
      {"nothing yet", minutely, "", "2030-01-01T00:00:59Z", ""},
      {"the first", minutely, "", "2030-01-01T00:01:00Z", "2030-01-01T00:01:00Z"},
      {"started already", minutely, "2030-01-01T00:01:00Z", "2030-01-01T00:01:59Z", ""},
      {"the next", minutely, "2030-01-01T00:01:00Z", "2030-01-01T00:02:01Z",
       "2030-01-01T00:02:00Z"},
      {"a few were missed", minutely, "2030-01-01T00:01:00Z", "2030-01-01T00:09:30Z",
       "2030-01-01T00:09:00Z"},
      {"not too many", minutely, "2030-01-01T00:00:00Z", "2030-01-01T01:40:00Z",
       "2030-01-01T01:40:00Z"},
      {"too many, and still the latest", minutely, "2030-01-01T00:00:00Z", "2030-01-01T01:41:00Z",
       "2030-01-01T01:41:00Z", true},
      {"within the deadline", short_deadline, "", "2030-01-01T05:01:39Z", "2030-01-01T05:00:00Z"},
      {"after the deadline", short_deadline, "", "2030-01-01T05:01:41Z", ""},
      {"the deadline leaves few", R"({"schedule":"* * * * *","startingDeadlineSeconds":90})", "",
       "2030-01-05T00:00:00Z", "2030-01-05T00:00:00Z"},
      {"in its zone", R"({"schedule":"30 9 * * *","timeZone":"Asia/Tokyo"})", "",
       "2030-01-01T00:30:00Z", "2030-01-01T00:30:00Z"},
      {"never", R"({"schedule":"0 0 30 2 *"})", "", "2034-01-01T00:00:00Z", ""},
  };
  for (const Row& row : rows) {
    const json::object cron_job = cron_job_of(row.spec, row.last);
    const CronDue due = find_cron_due(cron_job, timing_of(cron_job), *kube::parse_time(row.now));
    EXPECT_EQ(due.time ? kube::format_time(*due.time) : "", row.due) << row.what;
    EXPECT_EQ(due.many_missed, row.many_missed) << row.what;
  }
}

TEST(CronTiming, says_what_it_cannot_follow) {
  const auto complaint = [](std::string_view spec) {
    return std::get<kubeclient::EventText>(read_cron_timing(cron_job_of(spec)));
  };
  EXPECT_EQ(complaint(R"({"schedule":"* * *"})").message,
            "unparseable schedule: \"* * *\" : expected exactly 5 fields, found 3: [* * *]");
  EXPECT_EQ(complaint(R"({"schedule":"* * * * *","timeZone":"Mars"})").message,
            "invalid timeZone: \"Mars\": unknown time zone Mars");
}

TEST(CronRun, is_named_after_its_time_and_made_from_the_template) {
  const json::object cron_job = cron_job_of(R"({"schedule":"* * * * *","timeZone":"Asia/Tokyo",
      "jobTemplate":{"metadata":{"labels":{"a":"b"},"annotations":{"c":"d"}},
                     "spec":{"backoffLimit":2}}})");
  const json::object job =
      make_cron_run(cron_job, timing_of(cron_job), *kube::parse_time("2030-01-01T00:07:00Z"));
  EXPECT_EQ(kube::name_of(job), "nightly-31557607");
  EXPECT_EQ(kube::label_of(job, "a"), "b");
  EXPECT_EQ(kube::annotation_of(job, "c"), "d");
  EXPECT_EQ(kube::annotation_of(job, "batch.kubernetes.io/cronjob-scheduled-timestamp"),
            "2030-01-01T09:07:00+09:00");
  EXPECT_TRUE(kube::is_controlled_by(job, "cron-uid"));
  EXPECT_EQ(kube::integer_at(job, "spec.backoffLimit"), 2);
}

}  // namespace
}  // namespace tulle::controllers
