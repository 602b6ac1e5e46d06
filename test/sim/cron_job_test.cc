// CronJobs over hours of simulated time.
#include "cluster.h"
#include "seeds.h"

#include "kubeclient/resources.h"
#include "rt/combine.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tulle::sim {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

// Simulated clocks on the wall begin at 2030-01-01T00:00:00Z, which is this many minutes.
constexpr std::int64_t kFirstMinute = 31557600;

std::string run_of(const std::string& cron_job, int minute) {
  return fmt::format("{}-{}", cron_job, kFirstMinute + minute);
}

class CronJobs : public testing::Test {
 protected:
  CronJobs() { cluster.run(cluster.start()); }
  ~CronJobs() override {
    for (const std::string& failure : cluster.failures) ADD_FAILURE() << failure;
  }

  // `job` is the spec of its Jobs.
  void create(const std::string& name, json::object spec, json::object job = {}) {
    job["template"] = json::object{
        {"spec",
         {{"restartPolicy", "Never"},
          {"containers", json::array{json::object{{"name", "main"}, {"image", "main:1"}}}}}}};
    spec["jobTemplate"] = json::object{{"spec", std::move(job)}};
    json::object cron_job{{"apiVersion", "batch/v1"},
                          {"kind", "CronJob"},
                          {"metadata", {{"name", name}, {"namespace", Cluster::kNamespace}}},
                          {"spec", std::move(spec)}};
    const auto made = cluster.run(cluster.local.create(kubeclient::kCronJobs, std::move(cron_job)));
    ASSERT_TRUE(made) << made.error().message;
  }

  void patch(const std::string& name, json::object spec) {
    json::object change{{"spec", std::move(spec)}};
    ASSERT_TRUE(cluster.run(cluster.local.patch(
        kubeclient::kCronJobs, {.namespace_ = std::string(Cluster::kNamespace), .name = name},
        kubeclient::PatchType::merge, std::move(change), {})));
  }

  // Until so long after the simulation's begin.
  void run_until(Duration time) { cluster.run(rt::until(cluster.loop, Instant(time))); }

  std::vector<std::string> names_of(const kubeclient::Resource& resource) {
    const auto list =
        cluster.run(cluster.local.list(resource, {.namespace_ = std::string(Cluster::kNamespace)}));
    std::vector<std::string> names;
    for (const auto& object : list->items) names.emplace_back(kube::name_of(*object));
    return names;
  }
  std::vector<std::string> jobs() { return names_of(kubeclient::kJobs); }

  // How often the event was told.
  std::int64_t events(std::string_view reason) {
    const auto list = cluster.run(
        cluster.local.list(kubeclient::kEvents, {.namespace_ = std::string(Cluster::kNamespace)}));
    std::int64_t count = 0;
    for (const auto& event : list->items) {
      if (kube::string_at(*event, "reason") != reason) continue;
      count += std::max<std::int64_t>(1, kube::integer_at(*event, "count"));
    }
    return count;
  }

  json::object status_of(const std::string& name) {
    const auto read = cluster.run(cluster.local.get(
        kubeclient::kCronJobs, {.namespace_ = std::string(Cluster::kNamespace), .name = name}));
    return kube::object_at(**read, "status");
  }

  Cluster cluster{1};
};

TEST_F(CronJobs, start_on_time_and_keep_a_short_history) {
  create("tick", {{"schedule", "*/10 * * * *"}});
  run_until(9min + 59s);
  EXPECT_THAT(jobs(), ElementsAre());
  run_until(10min + 1s);
  EXPECT_THAT(jobs(), ElementsAre(run_of("tick", 10)));
  EXPECT_EQ(kube::array_at({{"status", status_of("tick")}}, "status.active").size(), 1U);
  run_until(65min);
  EXPECT_THAT(jobs(), ElementsAre(run_of("tick", 40), run_of("tick", 50), run_of("tick", 60)));
  const json::object status = status_of("tick");
  EXPECT_EQ(kube::string_at(status, "lastScheduleTime"), "2030-01-01T01:00:00Z");
  EXPECT_TRUE(kube::string_at(status, "lastSuccessfulTime").starts_with("2030-01-01T01:00:"));
  EXPECT_FALSE(status.contains("active"));
  EXPECT_EQ(events("SawCompletedJob"), 6);
  EXPECT_EQ(events("TooManyMissedTimes"), 0);
}

TEST_F(CronJobs, overlap_or_wait_or_give_way_as_their_policy_says) {
  // Each takes until its deadline.
  cluster.kubelet.set_hanging(true);
  const json::object long_one{{"activeDeadlineSeconds", 150}};
  create("allow", {{"schedule", "* * * * *"}}, long_one);
  create("forbid", {{"schedule", "* * * * *"}, {"concurrencyPolicy", "Forbid"}}, long_one);
  create("replace", {{"schedule", "* * * * *"}, {"concurrencyPolicy", "Replace"}}, long_one);
  run_until(3min + 20s);
  EXPECT_THAT(jobs(), ElementsAre(run_of("allow", 1), run_of("allow", 2), run_of("allow", 3),
                                  run_of("forbid", 1), run_of("replace", 3)));
  EXPECT_GT(events("JobAlreadyActive"), 0);
  // The first has ended: what it was in the way of starts late.
  run_until(3min + 50s);
  const auto now = jobs();
  EXPECT_EQ(std::ranges::count(now, run_of("forbid", 3)), 1);
  EXPECT_EQ(std::ranges::count(now, run_of("forbid", 2)), 0);
}

TEST_F(CronJobs, make_up_for_what_they_missed_while_suspended_within_their_deadline) {
  create("patient", {{"schedule", "0 * * * *"}, {"suspend", true}});
  create("hurried",
         {{"schedule", "0 * * * *"}, {"suspend", true}, {"startingDeadlineSeconds", 60}});
  create("frequent", {{"schedule", "* * * * *"}, {"suspend", true}});
  run_until(150min);
  EXPECT_THAT(jobs(), ElementsAre());
  for (const std::string name : {"patient", "hurried", "frequent"}) {
    patch(name, {{"suspend", false}});
  }
  run_until(150min + 30s);
  EXPECT_THAT(jobs(), UnorderedElementsAre(run_of("patient", 120), run_of("frequent", 150)));
  EXPECT_EQ(events("TooManyMissedTimes"), 1);
}

// As one is that was wrong, or that of a machine that slept: timers know nothing of it.
TEST_F(CronJobs, follow_a_clock_that_is_set_forward_within_a_minute_and_make_up_for_it_once) {
  create("hourly", {{"schedule", "0 * * * *"}});
  run_until(5min);
  cluster.driver.step_wall(2h + 57min);
  run_until(6min + 5s);
  EXPECT_THAT(jobs(), ElementsAre(run_of("hourly", 180)));
  run_until(64min);
  EXPECT_THAT(jobs(), ElementsAre(run_of("hourly", 180), run_of("hourly", 240)));
  EXPECT_EQ(events("TooManyMissedTimes"), 0);
}

TEST_F(CronJobs, start_nothing_twice_when_the_clock_is_set_back) {
  create("tick", {{"schedule", "*/10 * * * *"}});
  run_until(21min);
  cluster.driver.step_wall(-15min);  // to six minutes past the hour
  run_until(32min);
  EXPECT_THAT(jobs(), ElementsAre(run_of("tick", 10), run_of("tick", 20)));
  run_until(46min);
  EXPECT_THAT(jobs(), ElementsAre(run_of("tick", 10), run_of("tick", 20), run_of("tick", 30)));
}

TEST_F(CronJobs, leave_jobs_that_expire_by_the_clock_on_the_wall) {
  create("brief", {{"schedule", "*/10 * * * *"}}, {{"ttlSecondsAfterFinished", 7200}});
  run_until(11min);
  EXPECT_THAT(jobs(), ElementsAre(run_of("brief", 10)));
  patch("brief", {{"suspend", true}});
  cluster.driver.step_wall(-3h);
  run_until(13min);
  EXPECT_THAT(jobs(), ElementsAre(run_of("brief", 10)));
  cluster.driver.step_wall(6h);
  run_until(14min + 5s);
  EXPECT_THAT(jobs(), ElementsAre());
}

// Whatever is lost on the way: no time is left out, and none has two Jobs.
rt::Task<void> twenty_minutes_of_a_cron_job(Cluster& all) {
  co_await all.start();
  all.controllers_client.set_options({.latency_max = 10ms,
                                      .unavailable = 10,
                                      .lost_answers = 10,
                                      .conflicts = 10,
                                      .lost_watches = 5});
  json::object cron_job = json::parse(R"({"apiVersion":"batch/v1","kind":"CronJob",
      "metadata":{"name":"tick","namespace":"shop"},
      "spec":{"schedule":"* * * * *","successfulJobsHistoryLimit":1000,"jobTemplate":{
        "spec":{"template":{"spec":{"restartPolicy":"Never",
          "containers":[{"name":"main","image":"main:1"}]}}}}}})")
                              .as_object();
  (void)co_await all.local.create(kubeclient::kCronJobs, std::move(cron_job));
  co_await rt::sleep_until(all.loop, Instant(20min + 50s));
  const auto list = co_await all.local.list(kubeclient::kJobs, {});
  EXPECT_EQ(list->items.size(), 20U);
  for (const auto& job : list->items) {
    EXPECT_TRUE(kube::is_condition_true(*job, "Complete")) << kube::name_of(*job);
  }
}

TEST(CronJobsOverAnUnreliableClient, start_once_each_time) {
  tell({.count = 2}, twenty_minutes_of_a_cron_job);
}

}  // namespace
}  // namespace tulle::sim
