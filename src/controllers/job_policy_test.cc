#include "controllers/job_policy.h"

#include "codec/json.h"
#include "controllers/job_status.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>
#include <vector>

namespace tulle::controllers {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kStart = "2030-01-01T00:00:00Z";

kube::Time at(std::int64_t seconds) {
  return *kube::parse_time(kStart) + std::chrono::seconds(seconds);
}

json::object object_of(std::string_view text) { return codec::parse_json(text)->get_object(); }

// A Job with defaults, `spec` and `status` put on top.
json::object job_of(std::string_view spec, std::string_view status = "{}") {
  json::object job = object_of(R"({"apiVersion":"batch/v1","kind":"Job",
      "metadata":{"name":"sum","namespace":"default","uid":"job-uid"},
      "spec":{"parallelism":1,"backoffLimit":6,"completionMode":"NonIndexed","suspend":false,
              "podReplacementPolicy":"TerminatingOrFailed",
              "template":{"spec":{"restartPolicy":"Never","containers":[{"name":"main"}]}}},
      "status":{"startTime":"2030-01-01T00:00:00Z"}})");
  for (const auto& [key, value] : object_of(spec)) kube::ensure_object(job, "spec")[key] = value;
  for (const auto& [key, value] : object_of(status)) {
    kube::ensure_object(job, "status")[key] = value;
  }
  return job;
}

struct PodText {
  std::string uid;
  std::string phase = "Running";
  bool tracked = true;
  int index = -1;
  int failures = 0;
  int exit_code = 0;
  int ended = 0;  // seconds after the start
  int restarts = 0;
  std::string deleting = {};  // grace period
};

ObjectPtr pod_of(const PodText& text) {
  json::object pod{{"metadata", {{"name", text.uid}, {"namespace", "default"}, {"uid", text.uid}}},
                   {"status", {{"phase", text.phase}}}};
  if (text.tracked) kube::add_finalizer(pod, kJobTracking);
  if (text.index >= 0) {
    kube::set_annotation(pod, kJobIndex, std::to_string(text.index));
    kube::set_annotation(pod, kJobIndexFailures, std::to_string(text.failures));
  }
  json::object state;
  if (text.phase == "Failed" || text.phase == "Succeeded") {
    state["terminated"] = json::object{{"exitCode", text.exit_code},
                                       {"finishedAt", kube::format_time(at(text.ended))}};
  }
  kube::ensure_array(pod, "status.containerStatuses")
      .push_back(json::object{
          {"name", "main"}, {"state", std::move(state)}, {"restartCount", text.restarts}});
  if (!text.deleting.empty()) {
    kube::set_at(pod, "metadata.deletionTimestamp", json::value(kStart));
    kube::set_at(pod, "metadata.deletionGracePeriodSeconds", json::value(std::stoi(text.deleting)));
  }
  return std::make_shared<const json::object>(std::move(pod));
}

std::vector<ObjectPtr> pods_of(const std::vector<PodText>& texts) {
  std::vector<ObjectPtr> pods;
  pods.reserve(texts.size());
  for (const PodText& text : texts) pods.push_back(pod_of(text));
  return pods;
}

std::vector<std::string> uids(const std::vector<ObjectPtr>& pods) {
  std::vector<std::string> found;
  found.reserve(pods.size());
  for (const ObjectPtr& pod : pods) found.emplace_back(kube::uid_of(*pod));
  return found;
}

// "complete CompletionsReached", "" while it goes on.
std::string verdict_of(const json::object& job, const std::vector<PodText>& texts,
                       std::int64_t seconds = 0) {
  const JobVerdict verdict = judge_job(job, tally_job(job, pods_of(texts)), at(seconds));
  switch (verdict.outcome) {
    case JobOutcome::goes_on: return "";
    case JobOutcome::complete: return "complete " + verdict.reason;
    case JobOutcome::failed: return "failed " + verdict.reason;
  }
  return "?";
}

// "end a,b create 2 after 10s"; what is not is left out.
std::string plan_of(const json::object& job, const std::vector<PodText>& texts,
                    std::int64_t seconds = 0) {
  const auto pods = pods_of(texts);
  const JobPodPlan plan = plan_job_pods(job, tally_job(job, pods), pods, at(seconds));
  std::string text;
  for (const std::string& uid : uids(plan.end)) text += "-" + uid + " ";
  for (const json::object& pod : plan.create) {
    text += fmt::format("+{}({}) ", kube::annotation_of(pod, kJobIndex),
                        kube::annotation_of(pod, kJobIndexFailures));
  }
  const auto wait = std::chrono::duration_cast<std::chrono::seconds>(plan.again_after).count();
  if (wait > 0) text += fmt::format("after {}s ", wait);
  if (!text.empty()) text.pop_back();
  return text;
}

TEST(JobVerdict, follows_completions_and_limits) {
  struct Row {
    std::string what, spec, status;
    std::vector<PodText> pods;
    std::string verdict;
    std::int64_t seconds = 0;
  };
  const std::string indexed = R"({"completionMode":"Indexed","completions":4,"parallelism":4,
      "backoffLimit":2147483647,"backoffLimitPerIndex":1})";
  const std::string success = R"({"completionMode":"Indexed","completions":5,"parallelism":5,
      "successPolicy":{"rules":[{"succeededIndexes":"0,1","succeededCount":1},
                                {"succeededIndexes":"2-3"},{"succeededCount":3}]}})";
  const std::vector<Row> rows = {
      {"no pods", R"({"completions":1})", "{}", {}, ""},
      {"one of one",
       R"({"completions":1})",
       "{}",
       {{.uid = "a", .phase = "Succeeded"}},
       "complete CompletionsReached"},
      {"one of two", R"({"completions":2})", "{}", {{.uid = "a", .phase = "Succeeded"}}, ""},
      {"counted before and now",
       R"({"completions":2})",
       R"({"succeeded":1})",
       {{.uid = "a", .phase = "Succeeded"}},
       "complete CompletionsReached"},
      {"named and tracked still is one",
       R"({"completions":2})",
       R"({"uncountedTerminatedPods":{"succeeded":["a"]}})",
       {{.uid = "a", .phase = "Succeeded"}},
       ""},
      {"named and released is one",
       R"({"completions":2})",
       R"({"succeeded":1,"uncountedTerminatedPods":{"succeeded":["a"]}})",
       {{.uid = "a", .phase = "Succeeded", .tracked = false}},
       "complete CompletionsReached"},
      {"released is counted already",
       R"({"completions":1})",
       "{}",
       {{.uid = "a", .phase = "Succeeded", .tracked = false}},
       ""},
      {"nothing to complete", R"({"completions":0})", "{}", {}, "complete CompletionsReached"},
      {"work queue: others are at it",
       R"({"parallelism":2})",
       "{}",
       {{.uid = "a", .phase = "Succeeded"}, {.uid = "b"}},
       ""},
      {"work queue: all done",
       R"({"parallelism":2})",
       R"({"succeeded":1})",
       {{.uid = "b", .phase = "Failed"}},
       "complete CompletionsReached"},
      {"failures within the limit",
       R"({"completions":1,"backoffLimit":1})",
       "{}",
       {{.uid = "a", .phase = "Failed"}},
       ""},
      {"failures beyond the limit",
       R"({"completions":1,"backoffLimit":1})",
       R"({"failed":1})",
       {{.uid = "a", .phase = "Failed"}},
       "failed BackoffLimitExceeded"},
      {"told to end is a failure",
       R"({"completions":1,"backoffLimit":0})",
       "{}",
       {{.uid = "a", .deleting = "30"}},
       "failed BackoffLimitExceeded"},
      {"told to end is none until it failed",
       R"({"completions":1,"backoffLimit":0,"podReplacementPolicy":"Failed"})",
       "{}",
       {{.uid = "a", .deleting = "30"}},
       ""},
      {"nobody will say that it failed",
       R"({"completions":1,"backoffLimit":0,"podReplacementPolicy":"Failed"})",
       "{}",
       {{.uid = "a", .phase = "Pending", .deleting = "0"}},
       "failed BackoffLimitExceeded"},
      {"restarts in place count",
       R"({"completions":1,"backoffLimit":3,
          "template":{"spec":{"restartPolicy":"OnFailure"}}})",
       "{}",
       {{.uid = "a", .restarts = 3}},
       "failed BackoffLimitExceeded"},
      {"few restarts in place",
       R"({"completions":1,"backoffLimit":3,
          "template":{"spec":{"restartPolicy":"OnFailure"}}})",
       "{}",
       {{.uid = "a", .restarts = 2}},
       ""},
      {"in time", R"({"completions":1,"activeDeadlineSeconds":60})", "{}", {}, "", 59},
      {"too late",
       R"({"completions":1,"activeDeadlineSeconds":60})",
       "{}",
       {},
       "failed DeadlineExceeded",
       60},
      {"no time passes while suspended",
       R"({"completions":1,"activeDeadlineSeconds":60,"suspend":true})",
       "{}",
       {},
       "",
       60},
      {"a verdict stays",
       R"({"completions":1})",
       R"({"conditions":[{"type":"FailureTarget","status":"True","reason":"DeadlineExceeded"}]})",
       {{.uid = "a", .phase = "Succeeded"}},
       "failed DeadlineExceeded"},
      {"a success stays",
       R"({"completions":9})",
       R"({"conditions":[{"type":"SuccessCriteriaMet","status":"True","reason":"SuccessPolicy"}]})",
       {},
       "complete SuccessPolicy"},
      {"one index may fail once", indexed, "{}", {{.uid = "a", .phase = "Failed", .index = 0}}, ""},
      {"all indexes over, one failed",
       indexed,
       R"({"completedIndexes":"1-3"})",
       {{.uid = "a", .phase = "Failed", .index = 0, .failures = 1}},
       "failed FailedIndexes"},
      {"too many failed indexes",
       R"({"completionMode":"Indexed","completions":4,"backoffLimit":9,"backoffLimitPerIndex":0,
           "maxFailedIndexes":1})",
       R"({"failedIndexes":"2"})",
       {{.uid = "a", .phase = "Failed", .index = 0}},
       "failed MaxFailedIndexesExceeded"},
      {"all indexes succeeded",
       indexed,
       R"({"completedIndexes":"1-3"})",
       {{.uid = "a", .phase = "Succeeded", .index = 0}},
       "complete CompletionsReached"},
      {"an index twice is one",
       indexed,
       R"({"completedIndexes":"1,2"})",
       {{.uid = "a", .phase = "Succeeded", .index = 0},
        {.uid = "b", .phase = "Succeeded", .index = 0}},
       ""},
      {"success by number in a set",
       success,
       R"({"completedIndexes":"1"})",
       {},
       "complete SuccessPolicy"},
      {"success by all of a set",
       success,
       R"({"completedIndexes":"2,3"})",
       {},
       "complete SuccessPolicy"},
      {"success by number",
       success,
       R"({"completedIndexes":"2,4"})",
       {{.uid = "a", .phase = "Succeeded", .index = 0}},
       "complete SuccessPolicy"},
      {"no success yet", success, R"({"completedIndexes":"2,4"})", {}, ""},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(verdict_of(job_of(row.spec, row.status), row.pods, row.seconds), row.verdict)
        << row.what;
  }
}

TEST(JobFailures, are_judged_by_the_first_rule_that_fits) {
  const json::object job = job_of(R"({"completions":1,"backoffLimit":0,"podFailurePolicy":{"rules":[
      {"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget","status":"True"}]},
      {"action":"FailJob","onExitCodes":{"containerName":"main","operator":"In","values":[42]}},
      {"action":"Count","onExitCodes":{"operator":"NotIn","values":[1,2]}},
      {"action":"Ignore","onExitCodes":{"operator":"In","values":[1]}}]}})");
  const auto verdict = [&job](int code) {
    return judge_failure(job, *pod_of({.uid = "a", .phase = "Failed", .exit_code = code}));
  };
  EXPECT_EQ(verdict(42).action, FailureAction::fail_job);
  EXPECT_EQ(verdict(42).message,
            "Container main for pod default/a failed with exit code 42 matching FailJob rule at "
            "index 1");
  EXPECT_EQ(verdict(7).action, FailureAction::count);
  EXPECT_EQ(verdict(1).action, FailureAction::ignore);
  EXPECT_EQ(verdict(2).action, FailureAction::count);  // no rule
  json::object disrupted = *pod_of({.uid = "a", .phase = "Failed", .exit_code = 42});
  kube::set_condition(disrupted, {.type = "DisruptionTarget", .status = "True"}, at(0));
  EXPECT_EQ(judge_failure(job, disrupted).action, FailureAction::ignore);

  EXPECT_EQ(verdict_of(job, {{.uid = "a", .phase = "Failed", .exit_code = 42}}),
            "failed PodFailurePolicy");
  EXPECT_EQ(verdict_of(job, {{.uid = "a", .phase = "Failed", .exit_code = 1}}), "");
  EXPECT_EQ(verdict_of(job, {{.uid = "a", .phase = "Failed", .exit_code = 2}}),
            "failed BackoffLimitExceeded");
}

TEST(JobPlan, brings_as_many_pods_as_are_wanted) {
  struct Row {
    std::string what, spec, status;
    std::vector<PodText> pods;
    std::string plan;
    std::int64_t seconds = 0;
  };
  const std::string three = R"({"completions":3,"parallelism":2})";
  const std::string indexed = R"({"completionMode":"Indexed","completions":4,"parallelism":2})";
  const std::string per_index = R"({"completionMode":"Indexed","completions":3,"parallelism":3,
      "backoffLimit":2147483647,"backoffLimitPerIndex":1})";
  const std::vector<Row> rows = {
      {"at first", three, "{}", {}, "+() +()"},
      {"one is there", three, "{}", {{.uid = "a"}}, "+()"},
      {"enough", three, "{}", {{.uid = "a"}, {.uid = "b"}}, ""},
      {"no more than is left", three, R"({"succeeded":2})", {}, "+()"},
      {"less than there are",
       R"({"completions":3,"parallelism":1})",
       "{}",
       {{.uid = "a"}, {.uid = "b", .phase = "Pending"}},
       "-b"},
      {"suspended", R"({"completions":3,"suspend":true})", "{}", {{.uid = "a"}}, "-a"},
      {"not tracked", three, "{}", {{.uid = "a", .tracked = false}}, "-a +() +()"},
      {"a failure has to be waited for",
       three,
       "{}",
       {{.uid = "a", .phase = "Failed", .ended = 0}},
       "after 7s",
       3},
      {"not for ever", three, "{}", {{.uid = "a", .phase = "Failed", .ended = 0}}, "+() +()", 10},
      {"two take twice as long",
       three,
       "{}",
       {{.uid = "a", .phase = "Failed", .ended = 0}, {.uid = "b", .phase = "Failed", .ended = 4}},
       "after 20s",
       4},
      {"a success makes up for it",
       three,
       "{}",
       {{.uid = "a", .phase = "Failed", .ended = 0},
        {.uid = "b", .phase = "Succeeded", .ended = 1}},
       "+() +()",
       1},
      {"work queue", R"({"parallelism":3})", "{}", {{.uid = "a"}}, "+() +()"},
      {"work queue that is empty",
       R"({"parallelism":3})",
       R"({"succeeded":1})",
       {{.uid = "a"}},
       ""},
      {"one that ends is replaced at once",
       R"({"completions":1})",
       "{}",
       {{.uid = "a", .phase = "Running", .tracked = false, .deleting = "30"}},
       "+()"},
      {"one that ends is waited for",
       R"({"completions":1,"podReplacementPolicy":"Failed"})",
       "{}",
       {{.uid = "a", .deleting = "30"}},
       ""},
      {"the first indexes", indexed, "{}", {}, "+0() +1()"},
      {"the next indexes", indexed, R"({"completedIndexes":"0,2"})", {}, "+1() +3()"},
      {"the index that is missing",
       indexed,
       R"({"completedIndexes":"0"})",
       {{.uid = "a", .index = 2}},
       "+1()"},
      {"an index twice",
       indexed,
       "{}",
       {{.uid = "a", .index = 0}, {.uid = "b", .index = 0}},
       "-b +1()"},
      {"each index has a back-off of its own",
       per_index,
       "{}",
       {{.uid = "a", .phase = "Failed", .index = 1, .ended = 0}},
       "+0(0) +2(0) after 10s"},
      {"the failures are handed on",
       per_index,
       "{}",
       {{.uid = "a", .phase = "Failed", .index = 1, .ended = 0}},
       "+0(0) +1(1) +2(0)",
       10},
      {"a failed index is not tried again",
       per_index,
       "{}",
       {{.uid = "a", .phase = "Failed", .index = 1, .failures = 1, .ended = 0}},
       "+0(0) +2(0)",
       999},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(plan_of(job_of(row.spec, row.status), row.pods, row.seconds), row.plan) << row.what;
  }
}

TEST(JobPlan, tells_a_pod_of_its_index) {
  const json::object job = job_of(R"({"completionMode":"Indexed","completions":2,"parallelism":1,
      "template":{"metadata":{"labels":{"job-name":"sum"}},
                  "spec":{"containers":[{"name":"main"},
                    {"name":"other","env":[{"name":"JOB_COMPLETION_INDEX","value":"mine"}]}]}}})");
  const JobPodPlan plan = plan_job_pods(job, tally_job(job, {}), {}, at(0));
  ASSERT_EQ(plan.create.size(), 1U);
  const json::object& pod = plan.create.front();
  EXPECT_EQ(kube::string_at(pod, "metadata.generateName"), "sum-0-");
  EXPECT_EQ(kube::label_of(pod, kJobIndex), "0");
  EXPECT_EQ(kube::string_at(pod, "spec.hostname"), "sum-0");
  EXPECT_TRUE(kube::has_finalizer(pod, kJobTracking));
  EXPECT_TRUE(kube::is_controlled_by(pod, "job-uid"));
  EXPECT_EQ(pod.at("spec").at_pointer("/containers/0/env/0/valueFrom/fieldRef/fieldPath"),
            "metadata.labels['batch.kubernetes.io/job-completion-index']");
  EXPECT_EQ(pod.at("spec").at_pointer("/containers/1/env"),
            codec::parse_json(R"([{"name":"JOB_COMPLETION_INDEX","value":"mine"}])").value());
}

TEST(JobBackOff, doubles_up_to_ten_minutes) {
  const auto seconds = [](std::int64_t failures) {
    return std::chrono::duration_cast<std::chrono::seconds>(job_back_off(failures)).count();
  };
  EXPECT_EQ(seconds(0), 0);
  EXPECT_EQ(seconds(1), 10);
  EXPECT_EQ(seconds(2), 20);
  EXPECT_EQ(seconds(6), 320);
  EXPECT_EQ(seconds(7), 600);
  EXPECT_EQ(seconds(1'000'000'000), 600);
}

// The life of a Job of two whose first pod fails, from status to status.
TEST(JobStatus, counts_each_pod_once_in_three_steps) {
  json::object job = job_of(R"({"completions":2,"parallelism":2})");
  const auto step = [&job](const std::vector<PodText>& texts) {
    const JobTally tally = tally_job(job, pods_of(texts));
    JobStatusChange change = next_job_status(job, tally, judge_job(job, tally, at(5)), at(5));
    job = change.job;
    return change;
  };
  const auto status = [&job](std::string_view field) {
    return json::serialize(*kube::find(job, "status." + std::string(field)));
  };

  auto change =
      step({{.uid = "a", .phase = "Failed"}, {.uid = "b", .phase = "Succeeded"}, {.uid = "c"}});
  EXPECT_THAT(uids(change.release), ElementsAre("b", "a"));
  EXPECT_EQ(status("uncountedTerminatedPods"), R"({"succeeded":["b"],"failed":["a"]})");
  EXPECT_EQ(status("active"), "1");
  EXPECT_EQ(kube::find(job, "status.failed"), nullptr);

  // Releasing one has not worked: it stays named, and is released once more.
  change = step({{.uid = "a", .phase = "Failed"},
                 {.uid = "b", .phase = "Succeeded", .tracked = false},
                 {.uid = "c", .phase = "Succeeded"}});
  EXPECT_THAT(uids(change.release), ElementsAre("c", "a"));
  EXPECT_EQ(status("uncountedTerminatedPods"), R"({"succeeded":["c"],"failed":["a"]})");
  EXPECT_EQ(status("succeeded"), "1");
  EXPECT_TRUE(kube::is_condition_true(job, "SuccessCriteriaMet"));
  EXPECT_FALSE(change.finished);

  // Both gone altogether, which is as good as released.
  change = step({{.uid = "b", .phase = "Succeeded", .tracked = false}});
  EXPECT_THAT(uids(change.release), IsEmpty());
  EXPECT_EQ(status("succeeded"), "2");
  EXPECT_EQ(status("failed"), "1");
  EXPECT_EQ(status("uncountedTerminatedPods"), "{}");
  EXPECT_EQ(status("completionTime"), R"("2030-01-01T00:00:05Z")");
  EXPECT_TRUE(change.finished);
  EXPECT_TRUE(is_job_finished(job));
  EXPECT_EQ(job_finish_time(job), at(5));
}

TEST(JobStatus, does_not_end_before_its_pods_have) {
  const json::object job = job_of(R"({"completions":1,"activeDeadlineSeconds":5})");
  const auto change_with = [&job](const std::vector<PodText>& texts) {
    const JobTally tally = tally_job(job, pods_of(texts));
    return next_job_status(job, tally, judge_job(job, tally, at(9)), at(9));
  };
  EXPECT_FALSE(change_with({{.uid = "a"}}).finished);
  EXPECT_FALSE(change_with({{.uid = "a", .tracked = false, .deleting = "30"}}).finished);
  EXPECT_FALSE(change_with({{.uid = "a", .phase = "Failed"}}).finished);
  EXPECT_TRUE(change_with({{.uid = "a", .phase = "Failed", .tracked = false}}).finished);
  EXPECT_TRUE(kube::is_condition_true(change_with({}).job, "Failed"));
}

TEST(JobStatus, names_no_more_pods_than_its_limit) {
  const json::object job = job_of(R"({"completions":1000,"parallelism":1000})");
  std::vector<PodText> texts;
  texts.reserve(JobStatusChange::names_max + 1);
  for (std::size_t i = 0; i <= JobStatusChange::names_max; ++i) {
    texts.push_back({.uid = fmt::format("pod-{}", i), .phase = "Succeeded"});
  }
  const JobTally tally = tally_job(job, pods_of(texts));
  const auto change = next_job_status(job, tally, judge_job(job, tally, at(0)), at(0));
  EXPECT_EQ(kube::array_at(change.job, "status.uncountedTerminatedPods.succeeded").size(),
            JobStatusChange::names_max);
  EXPECT_EQ(change.release.size(), JobStatusChange::names_max);
}

TEST(JobStatus, keeps_the_latest_failure_of_an_index_until_it_is_replaced) {
  const json::object job = job_of(R"({"completionMode":"Indexed","completions":2,"parallelism":2,
      "backoffLimit":2147483647,"backoffLimitPerIndex":2})");
  const auto released = [&job](const std::vector<PodText>& texts) {
    const JobTally tally = tally_job(job, pods_of(texts));
    return uids(next_job_status(job, tally, judge_job(job, tally, at(0)), at(0)).release);
  };
  const PodText failure{.uid = "a", .phase = "Failed", .index = 0};
  EXPECT_THAT(released({failure}), IsEmpty());
  EXPECT_THAT(released({failure, {.uid = "b", .index = 0, .failures = 1}}), ElementsAre("a"));
  EXPECT_THAT(released({failure, {.uid = "b", .phase = "Failed", .index = 0, .failures = 1}}),
              ElementsAre("a"));
}

TEST(JobStatus, begins_anew_when_it_is_resumed) {
  const auto next = [](const json::object& job, std::int64_t seconds) {
    const JobTally tally = tally_job(job, {});
    return next_job_status(job, tally, judge_job(job, tally, at(seconds)), at(seconds));
  };
  json::object job = job_of(R"({"completions":1,"suspend":true})");
  JobStatusChange change = next(job, 1);
  EXPECT_TRUE(change.suspended);
  EXPECT_TRUE(kube::is_condition_true(change.job, "Suspended"));
  EXPECT_EQ(kube::find(change.job, "status.startTime"), nullptr);

  job = change.job;
  EXPECT_FALSE(next(job, 2).suspended);
  kube::set_at(job, "spec.suspend", false);
  change = next(job, 60);
  EXPECT_TRUE(change.resumed);
  EXPECT_EQ(kube::string_at(change.job, "status.startTime"), "2030-01-01T00:01:00Z");
  EXPECT_EQ(kube::string_at(*kube::find_condition(change.job, "Suspended"), "reason"),
            "JobResumed");
}

}  // namespace
}  // namespace tulle::controllers
