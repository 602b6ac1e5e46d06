#include "cli/status.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::cli {
namespace {

using namespace std::chrono_literals;

kubeclient::ObjectPtr object(std::string_view text) {
  return std::make_shared<const boost::json::object>(boost::json::parse(text).as_object());
}

Samples samples(std::string_view text) { return *Samples::parse(text); }

StatusFacts empty() {
  return {.api_address = "https://127.0.0.1:6443",
          .data_dir = "/var/lib/tulle",
          .now = *kube::parse_time("2026-01-01T00:10:00Z"),
          .traffic = Traffic{}};
}

TEST(Status, shows_services_pods_and_ingresses_on_one_screen) {
  StatusFacts facts = empty();
  facts.started = *kube::parse_time("2026-01-01T00:06:30Z");
  facts.services = {object(R"({"metadata": {"namespace": "default", "name": "hello"},
                 "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.7",
                          "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}})"),
                    object(R"({"metadata": {"namespace": "default", "name": "none"},
                 "spec": {"type": "ExternalName", "externalName": "example.org"}})")};
  facts.endpoint_slices = {object(R"({"metadata": {"namespace": "default", "name": "hello-1",
                              "labels": {"kubernetes.io/service-name": "hello"}},
                 "endpoints": [{"addresses": ["10.244.0.2"], "conditions": {"ready": true}},
                               {"addresses": ["10.244.0.3"], "conditions": {"ready": false}}]})"),
                           object(R"({"metadata": {"namespace": "default", "name": "hello-2",
                              "labels": {"kubernetes.io/service-name": "hello"}},
                 "endpoints": [{"addresses": ["10.244.0.2"]}]})")};
  facts.pods = {object(
      R"({"metadata": {"namespace": "default", "name": "hello-x",
                       "creationTimestamp": "2026-01-01T00:05:00Z"},
          "spec": {"containers": [{"name": "hello"}]},
          "status": {"phase": "Running", "podIP": "10.244.0.2", "containerStatuses": [
              {"name": "hello", "ready": true, "restartCount": 2, "state": {"running": {}}}]}})")};
  facts.ingresses = {object(
      R"({"metadata": {"namespace": "default", "name": "front"},
          "spec": {"defaultBackend": {"service": {"name": "web", "port": {"name": "http"}}},
                   "rules": [{"host": "hello.localhost", "http": {"paths": [
              {"path": "/a",
               "backend": {"service": {"name": "hello", "port": {"number": 80}}}}]}}]},
          "status": {"loadBalancer": {"ingress": [
              {"ip": "127.0.0.1", "ports": [{"port": 8080}]}]}}})")};
  facts.traffic = Traffic{
      .before = samples("tulle_requests_total{service=\"default/hello\",status=\"2xx\"} 10\n"),
      .now = samples("tulle_requests_total{service=\"default/hello\",status=\"2xx\"} 20\n"
                     "tulle_requests_total{service=\"default/hello\",status=\"5xx\"} 3\n"
                     "tulle_requests_total{service=\"default/hello\",status=\"none\"} 1\n"
                     "tulle_requests_total{service=\"other/hello\",status=\"2xx\"} 99\n"
                     "tulle_connections_total{service=\"default/hello\",outcome=\"ok\"} 4\n"
                     "tulle_connections_total{service=\"default/hello\",outcome=\"error\"} 2\n"
                     "tulle_retries_total{service=\"default/hello\"} 5\n"
                     "tulle_snapshot_generation 17\ntulle_attached_pods 6\n"
                     "tulle_fast_path 1\n"),
      .between = 2s};
  EXPECT_EQ(describe_status(facts),
            "API https://127.0.0.1:6443   data /var/lib/tulle   up 3m30s   snapshot 17   "
            "pods attached 6   fast path on\n"
            "\n"
            "NAMESPACE   SERVICE   ADDRESS       PORTS       ENDPOINTS   REQUESTS/S   ERRORS/S   "
            "RETRIES\n"
            "default     hello     10.96.0.7     80,53/UDP   1/2         10.0         3.0        "
            "5\n"
            "default     none      example.org   -           0/0         0.0          0.0        "
            "0\n"
            "\n"
            "NAMESPACE   POD       READY   STATUS    RESTARTS   ADDRESS      AGE\n"
            "default     hello-x   1/1     Running   2          10.244.0.2   5m\n"
            "\n"
            "NAMESPACE   INGRESS   URL                             SERVICE\n"
            "default     front     http://127.0.0.1:8080/          web:http\n"
            "default     front     http://hello.localhost:8080/a   hello:80\n");
}

TEST(Status, counts_anew_when_the_proxy_started_again) {
  StatusFacts facts = empty();
  facts.services = {object(R"({"metadata": {"namespace": "a", "name": "b"},
                               "spec": {"clusterIP": "None"}})")};
  facts.traffic = Traffic{.before = samples("tulle_requests_total{service=\"a/b\"} 5000\n"),
                          .now = samples("tulle_requests_total{service=\"a/b\"} 300\n"),
                          .between = 1s};
  EXPECT_TRUE(describe_status(facts).ends_with(
      "NAMESPACE   SERVICE   ADDRESS   PORTS   ENDPOINTS   REQUESTS/S   ERRORS/S   RETRIES\n"
      "a           b         None      -       0/0         300          0.0        0\n"))
      << describe_status(facts);
}

TEST(Status, says_what_is_wrong_and_what_to_do) {
  const struct {
    std::string_view pod;  // its status
    std::string_view problems;
  } rows[] = {
      {R"({"phase": "Pending", "containerStatuses": [
           {"name": "c", "state": {"waiting": {"reason": "ErrImageNeverPull",
                                               "message": "there is no image x"}}}]})",
       "  pod default/p, container c: ErrImageNeverPull: there is no image x\n"
       "    load its image: tulle image load ARCHIVE, or tulle image import REF PATH\n"},
      {R"({"phase": "Pending", "containerStatuses": [
           {"name": "c", "state": {"waiting": {"reason": "ErrImageNeverPull",
                                               "message": "no x; use `tulle image load`"}}}]})",
       "  pod default/p, container c: ErrImageNeverPull: no x; use `tulle image load`\n"},
      {R"({"phase": "Running", "containerStatuses": [
           {"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})",
       "  pod default/p, container c: CrashLoopBackOff\n"
       "    see: kubectl logs -n default p -c c --previous\n"},
      {R"({"phase": "Pending",
           "containerStatuses": [
               {"name": "c", "state": {"waiting": {"reason": "PodInitializing"}}}],
           "initContainerStatuses": [
               {"name": "i", "state": {"waiting": {"reason": "CreateContainerError"}}}]})",
       "  pod default/p, container i: CreateContainerError\n"
       "    see: kubectl describe pod -n default p\n"},
      {R"({"phase": "Pending", "conditions": [
           {"type": "PodScheduled", "status": "False", "message": "no room",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]})",
       "  pod default/p has no node: no room\n    see: kubectl describe pod -n default p\n"},
      {R"({"phase": "Running", "conditions": [
           {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}]})",
       "  pod default/p is not ready\n    see: kubectl describe pod -n default p\n"},
      {R"({"phase": "Pending",
           "containerStatuses": [{"name": "c", "state": {"waiting": {
               "reason": "ContainerCreating", "message": "Pulling image: 1 of 2 MB fetched"}}}],
           "conditions": [{"type": "Ready", "status": "False",
                           "lastTransitionTime": "2026-01-01T00:00:00Z"}]})",
       "  pod default/p is not ready: Pulling image: 1 of 2 MB fetched\n"
       "    see: kubectl describe pod -n default p\n"},
      {R"({"phase": "Failed", "reason": "Evicted"})",
       "  pod default/p failed: Evicted\n    see: kubectl describe pod -n default p\n"},
      // Still starting, ready a moment ago, done: no problem.
      {R"({"phase": "Pending", "containerStatuses": [
           {"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]})",
       ""},
      {R"({"phase": "Running", "conditions": [
           {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:09:55Z"}]})",
       ""},
      {R"({"phase": "Succeeded", "conditions": [
           {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}]})",
       ""},
  };
  for (const auto& row : rows) {
    StatusFacts facts = empty();
    boost::json::object pod{{"metadata", {{"namespace", "default"}, {"name", "p"}}}};
    pod["status"] = boost::json::parse(row.pod);
    facts.pods = {std::make_shared<const boost::json::object>(pod)};
    const std::string text = describe_status(facts);
    const std::size_t start = text.find("\nProblems:\n");
    const std::string problems = start == std::string::npos ? "" : text.substr(start + 11);
    EXPECT_EQ(problems, row.problems) << row.pod;
  }
}

TEST(Status, shows_dashes_and_the_reason_when_the_proxy_is_silent) {
  StatusFacts facts = empty();
  facts.services = {object(R"({"metadata": {"namespace": "a", "name": "b"}})")};
  facts.traffic = fail(Code::refused, "refused");
  const std::string text = describe_status(facts);
  EXPECT_NE(text.find("0/0         -            -          -\n"), std::string::npos) << text;
  EXPECT_NE(text.find("Problems:\n  the proxy tells no metrics: refused\n"), std::string::npos);
}

TEST(Status, tells_where_nothing_runs_and_how_to_start) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_status("/nonexistent/tulle"), 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "tulle status: no tulle runs on /nonexistent/tulle; start one with tulle up "
            "--data-dir /nonexistent/tulle\n");
}

}  // namespace
}  // namespace tulle::cli
