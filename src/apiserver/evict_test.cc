#include "apiserver/test_server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tulle::apiserver {
namespace {

const std::string pods = "/api/v1/namespaces/default/pods";
const RequestOptions merge{.content_type = "application/merge-patch+json"};

// A pod that runs on a node, ready or not.
void run_pod(TestServer& server, const std::string& name, bool ready) {
  server.create(pods, R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
                          R"(","labels":{"app":"web"}},"spec":{"nodeName":"n1",
                          "containers":[{"name":"c","image":"i:1"}]}})");
  server.ask("PATCH " + pods + "/" + name + "/status",
             R"({"status":{"phase":"Running","conditions":[{"type":"Ready","status":")" +
                 std::string(ready ? "True" : "False") + R"("}]}})",
             merge);
}

const std::string budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

void set_budget(TestServer& server, int allowed, int healthy, int desired) {
  server.ask("PATCH " + budgets + "/web/status",
             fmt::format(R"({{"status":{{"observedGeneration":1,"disruptionsAllowed":{},
               "currentHealthy":{},"desiredHealthy":{},"expectedPods":3}}}})",
                         allowed, healthy, desired),
             merge);
}

TEST(ApiEvict, a_disruption_budget_has_a_say_in_evictions) {
  TestServer server;
  for (const char* name : {"a", "b", "c"}) run_pod(server, name, true);
  server.create(budgets, R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget",
    "metadata":{"name":"web"},"spec":{"minAvailable":2,
    "selector":{"matchLabels":{"app":"web"}}}})");
  const std::string nothing = "{}";
  // Nobody has counted its pods yet.
  server.check({{"POST " + pods + "/a/eviction", nothing, 429, R"({"reason":"TooManyRequests",
    "details":{"retryAfterSeconds":null,"causes":[{"reason":"DisruptionBudget",
    "message":"The disruption budget web is still being processed by the server."}]}})"}});
  set_budget(server, 1, 3, 2);
  server.check({
      {"POST " + pods + "/a/eviction?dryRun=All", nothing, 201, "{}"},
      {"POST " + pods + "/a/eviction", R"({"deleteOptions":{"dryRun":["All"]}})", 201, "{}"},
      {"POST " + pods + "/a/eviction", R"({"deleteOptions":{"preconditions":{"uid":"other"}}})",
       409, "{}"},
      {"GET " + budgets + "/web", "", 200, R"({"status":{"disruptionsAllowed":1}})"},
      {"POST " + pods + "/a/eviction", nothing, 201, R"({"status":"Success"})"},
      {"GET " + budgets + "/web", "", 200, R"({"status":{"disruptionsAllowed":0,
         "conditions":[{"type":"DisruptionAllowed","status":"False",
                        "reason":"InsufficientPods"}]}})"},
      // One that goes already is asked for in vain, but not refused.
      {"POST " + pods + "/a/eviction", nothing, 201, "{}"},
      {"POST " + pods + "/b/eviction", nothing, 429,
       R"({"message":"Cannot evict pod as it would violate the pod's disruption budget.",
           "details":{"causes":[{"reason":"DisruptionBudget","message":
             "The disruption budget web needs 2 healthy pods and has 3 currently"}]}})"},
      {"GET " + pods + "/b", "", 200, R"({"metadata":{"deletionTimestamp":null}})"},
  });
}

TEST(ApiEvict, a_pod_that_is_not_ready_takes_nothing_from_its_budget) {
  TestServer server;
  run_pod(server, "sick", false);
  server.create(budgets, R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget",
    "metadata":{"name":"web"},"spec":{"minAvailable":2,"selector":{}}})");
  // Too few are healthy: the sick one may be about to become so.
  set_budget(server, 0, 1, 2);
  server.check({{"POST " + pods + "/sick/eviction", "{}", 429, "{}"}});
  set_budget(server, 0, 2, 2);
  server.check({{"POST " + pods + "/sick/eviction", "{}", 201, "{}"}});
}

TEST(ApiEvict, a_budget_may_let_go_whatever_is_not_ready) {
  TestServer server;
  run_pod(server, "sick", false);
  server.create(budgets, R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget",
    "metadata":{"name":"web"},"spec":{"minAvailable":2,"selector":{},
    "unhealthyPodEvictionPolicy":"AlwaysAllow"}})");
  set_budget(server, 0, 0, 2);
  server.check({{"POST " + pods + "/sick/eviction", "{}", 201, "{}"}});
}

TEST(ApiEvict, two_budgets_for_one_pod_are_an_error) {
  TestServer server;
  run_pod(server, "a", true);
  for (const char* name : {"one", "two"}) {
    server.create(budgets, fmt::format(R"({{"apiVersion":"policy/v1","kind":"PodDisruptionBudget",
      "metadata":{{"name":"{}"}},"spec":{{"minAvailable":0,"selector":{{}}}}}})",
                                       name));
  }
  server.check({{"POST " + pods + "/a/eviction", "{}", 500, R"({"reason":"InternalError"})"}});
}

}  // namespace
}  // namespace tulle::apiserver
