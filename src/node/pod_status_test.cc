#include "node/pod_status.h"

#include "codec/json.h"
#include "kube/object.h"
#include "kube/pod.h"
#include "node/back_off.h"
#include "node/probe_state.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::node {
namespace {

namespace json = boost::json;
using Phase = ContainerView::Phase;

constexpr kube::Time kNow{std::chrono::seconds(1'800'000'000)};

json::object pod_with(std::string_view restart_policy) {
  return {{"metadata", {{"name", "p"}}}, {"spec", {{"restartPolicy", restart_policy}}}};
}

ContainerView waiting(std::string reason) {
  return {.name = "c", .waiting = {.reason = std::move(reason), .message = ""}};
}
ContainerView running(bool ready) {
  return {.name = "c", .phase = Phase::running, .ready = ready, .started = true};
}
ContainerView beside(ContainerView view) {
  view.sidecar = true;
  return view;
}
ContainerView ended(int code) {
  return {.name = "c",
          .phase = Phase::terminated,
          .end = ContainerEnd{.code = code,
                              .signal = 0,
                              .reason = code == 0 ? "Completed" : "Error",
                              .started_at = "",
                              .finished_at = ""}};
}
ContainerView crashed() {
  ContainerView view = waiting("CrashLoopBackOff");
  view.last = ended(1).end;
  return view;
}

TEST(PodStatus, phase_and_readiness_follow_the_containers) {
  struct Case {
    const char* policy;
    std::vector<ContainerView> init;
    std::vector<ContainerView> containers;
    const char* phase;
    const char* initialized;
    const char* ready;
  };
  const std::vector<Case> cases{
      {"Always", {}, {waiting("ContainerCreating")}, "Pending", "True", "False"},
      {"Always", {}, {running(false)}, "Running", "True", "False"},
      {"Always", {}, {running(true)}, "Running", "True", "True"},
      {"Always", {}, {running(true), running(false)}, "Running", "True", "False"},
      {"Always", {}, {running(true), waiting("ErrImagePull")}, "Pending", "True", "False"},
      {"Always", {}, {crashed()}, "Running", "True", "False"},
      {"Always", {}, {ended(1)}, "Running", "True", "False"},
      {"Never", {}, {ended(0)}, "Succeeded", "True", "False"},
      {"Never", {}, {ended(0), ended(3)}, "Failed", "True", "False"},
      {"OnFailure", {}, {ended(0)}, "Succeeded", "True", "False"},
      {"OnFailure", {}, {ended(3)}, "Running", "True", "False"},
      {"Always", {running(false)}, {waiting("PodInitializing")}, "Pending", "False", "False"},
      {"Always", {ended(0)}, {running(true)}, "Running", "True", "True"},
      {"Never", {ended(1)}, {waiting("PodInitializing")}, "Failed", "False", "False"},
      {"Always", {beside(waiting("x"))}, {waiting("PodInitializing")}, "Pending", "False", "False"},
      {"Always", {beside(running(true))}, {waiting("x")}, "Pending", "True", "False"},
      {"Always", {beside(running(true))}, {running(true)}, "Running", "True", "True"},
      {"Always", {beside(running(false))}, {running(true)}, "Running", "True", "False"},
      {"Always", {beside(crashed())}, {running(true)}, "Running", "True", "False"},
      {"Never", {beside(ended(137))}, {ended(0)}, "Succeeded", "True", "False"},
      {"Never", {beside(running(true))}, {ended(0)}, "Running", "True", "False"},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Case& each = cases[i];
    json::object pod = pod_with(each.policy);
    pod["status"] =
        make_pod_status(pod, {.init_containers = each.init, .containers = each.containers}, kNow);
    EXPECT_EQ(kube::string_at(pod, "status.phase"), each.phase) << i;
    const auto condition = [&pod](std::string_view type) {
      return kube::string_at(*kube::find_condition(pod, type), "status");
    };
    EXPECT_EQ(condition("Initialized"), each.initialized) << i;
    EXPECT_EQ(condition("Ready"), each.ready) << i;
    EXPECT_EQ(condition("ContainersReady"), each.ready) << i;
    EXPECT_EQ(condition("PodScheduled"), "True") << i;
  }
}

TEST(PodStatus, the_same_view_gives_the_same_status_at_another_time) {
  json::object pod = pod_with("Always");
  const PodView view{.address = "10.244.0.2",
                     .host_address = "127.0.0.1",
                     .started_at = "2026-01-02T03:04:05Z",
                     .init_containers = {},
                     .containers = {running(true)}};
  pod["status"] = make_pod_status(pod, view, kNow);
  EXPECT_EQ(make_pod_status(pod, view, kNow + std::chrono::hours(1)), pod["status"]);
}

TEST(PodStatus, a_pod_that_has_ended_has_a_final_phase_whatever_its_restart_policy) {
  struct Case {
    const char* policy;
    std::vector<ContainerView> init;
    std::vector<ContainerView> containers;
    const char* phase;
  };
  for (const Case& each : std::vector<Case>{
           {"Always", {}, {ended(0)}, "Succeeded"},
           {"Always", {}, {ended(0), ended(143)}, "Failed"},
           {"OnFailure", {}, {ended(143)}, "Failed"},
           {"OnFailure", {}, {crashed()}, "Failed"},
           {"Never", {ended(143)}, {waiting("PodInitializing")}, "Failed"},
           {"Never", {}, {waiting("ContainerCreating")}, "Failed"},
       }) {
    const json::object status = make_pod_status(
        pod_with(each.policy),
        {.init_containers = each.init, .containers = each.containers, .ended = true}, kNow);
    EXPECT_EQ(kube::string_at(status, "phase"), each.phase) << each.policy;
    EXPECT_TRUE(kube::is_final_phase(each.phase));
  }
}

TEST(PodStatus, a_pod_that_the_node_has_ended_says_why) {
  const PodView view{.containers = {ended(0)},
                     .failure = PodFailure{.reason = "DeadlineExceeded", .message = "too long"}};
  json::object pod = pod_with("Never");
  pod["status"] = make_pod_status(pod, view, kNow);
  EXPECT_EQ(kube::string_at(pod, "status.phase"), "Failed");
  EXPECT_EQ(kube::string_at(pod, "status.reason"), "DeadlineExceeded");
  EXPECT_EQ(kube::string_at(pod, "status.message"), "too long");
  EXPECT_EQ(kube::string_at(*kube::find_condition(pod, "Ready"), "reason"), "PodFailed");
}

TEST(PodStatus, a_readiness_gate_is_waited_for) {
  json::object pod = pod_with("Always");
  kube::ensure_array(pod, "spec.readinessGates")
      .push_back(json::object{{"conditionType", "example.com/gate"}});
  const PodView view{.containers = {running(true)}};
  pod["status"] = make_pod_status(pod, view, kNow);
  EXPECT_FALSE(kube::is_condition_true(pod, "Ready"));
  EXPECT_TRUE(kube::is_condition_true(pod, "ContainersReady"));
  kube::set_condition(pod, {.type = "example.com/gate", .status = "True"}, kNow);
  pod["status"] = make_pod_status(pod, view, kNow);
  EXPECT_TRUE(kube::is_condition_true(pod, "Ready"));
}

TEST(PodStatus, shows_ephemeral_containers_and_does_not_heed_them) {
  ContainerView debugger = ended(1);
  debugger.name = "debugger";
  const json::object status = make_pod_status(
      pod_with("Never"), {.containers = {running(true)}, .ephemeral_containers = {debugger}}, kNow);
  EXPECT_EQ(kube::string_at(status, "phase"), "Running");
  EXPECT_TRUE(kube::is_condition_true({{"status", status}}, "Ready"));
  const json::array& shown = kube::array_at(status, "ephemeralContainerStatuses");
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_EQ(kube::integer_at(shown[0].as_object(), "state.terminated.exitCode"), 1);
  EXPECT_FALSE(make_pod_status(pod_with("Never"), {}, kNow).contains("ephemeralContainerStatuses"));
}

TEST(BackOff, doubles_up_to_five_minutes_and_starts_over_after_health) {
  BackOff waits(1);
  const auto seconds = [&waits](Duration worked) {
    return std::chrono::duration_cast<std::chrono::seconds>(waits.failed(worked)).count();
  };
  for (const int expected : {0, 10, 20, 40, 80, 160, 300, 300}) EXPECT_EQ(seconds({}), expected);
  EXPECT_EQ(seconds(std::chrono::minutes(10)), 0);
  EXPECT_EQ(seconds({}), 10);
}

TEST(ProbeState, thresholds_decide) {
  struct Case {
    const char* results;  // + a success, - a failure
    bool good_at_first;
    const char* good;  // after each
  };
  for (const Case& each :
       {Case{"+", false, "-"}, Case{"++", false, "-+"}, Case{"+-++", false, "---+"},
        Case{"---", true, "++-"}, Case{"--+---", true, "+++++-"}, Case{"---++", true, "++--+"}}) {
    ProbeState state({.successes_needed = 2, .failures_needed = 3}, each.good_at_first);
    std::string seen;
    for (const char result : std::string_view(each.results)) {
      (void)state.add(result == '+');
      seen += state.good() ? '+' : '-';
    }
    EXPECT_EQ(seen, each.good) << each.results;
  }
}

}  // namespace
}  // namespace tulle::node
