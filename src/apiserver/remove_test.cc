// Deletion: finalizers, grace, preconditions, propagation, namespaces.
#include "apiserver/test_server.h"

#include <gtest/gtest.h>

namespace tulle::apiserver {
namespace {

const std::string pods = "/api/v1/namespaces/default/pods";
const std::string config_maps = "/api/v1/namespaces/default/configmaps";
const RequestOptions merge{.content_type = "application/merge-patch+json"};

std::string pod(std::string_view name, std::string_view node) {
  return R"({"metadata":{"name":")" + std::string(name) + R"("},"spec":{"nodeName":")" +
         std::string(node) + R"(","containers":[{"name":"c","image":"i"}]}})";
}

TEST(ApiRemove, a_pod_on_a_node_goes_when_the_node_says_so) {
  TestServer server;
  server.create(pods, pod("p", "node"));
  server.check({
      {"DELETE " + pods + "/p", "", 200,
       R"({"kind":"Pod","metadata":{"deletionTimestamp":"2030-01-01T00:00:30Z",
           "deletionGracePeriodSeconds":30}})"},
      {"DELETE " + pods + "/p", R"({"gracePeriodSeconds":60})", 200,
       R"({"metadata":{"deletionGracePeriodSeconds":30}})"},
      {"DELETE " + pods + "/p", R"({"gracePeriodSeconds":5})", 200,
       R"({"metadata":{"deletionTimestamp":"2030-01-01T00:00:05Z"}})"},
      {"GET " + pods + "/p", "", 200, "{}"},
      {"DELETE " + pods + "/p?gracePeriodSeconds=0", "", 200, R"({"kind":"Pod"})"},
      {"GET " + pods + "/p", "", 404, "{}"},
  });
}

TEST(ApiRemove, a_pod_without_a_node_or_at_its_end_goes_at_once) {
  TestServer server;
  server.create(pods, pod("waiting", ""));
  server.create(pods, pod("done", "node"));
  server.ask("PATCH " + pods + "/done/status", R"({"status":{"phase":"Succeeded"}})", merge);
  for (std::string name : {"/waiting", "/done"}) {
    server.check({{"DELETE " + pods + name, "", 200, R"({"kind":"Pod"})"},
                  {"GET " + pods + name, "", 404, "{}"}});
  }
}

TEST(ApiRemove, a_finalizer_holds_an_object_until_it_is_taken_away) {
  TestServer server;
  server.create(config_maps, R"({"metadata":{"name":"a","finalizers":["x.io/hold"]}})");
  server.check(
      {
          {"DELETE " + config_maps + "/a", "", 200,
           R"({"kind":"ConfigMap","metadata":{"deletionTimestamp":"2030-01-01T00:00:00Z",
               "deletionGracePeriodSeconds":0}})"},
          {"GET " + config_maps + "/a", "", 200, "{}"},
          {"PATCH " + config_maps + "/a",
           R"({"metadata":{"finalizers":["x.io/hold","x.io/more"]}})", 422,
           R"({"reason":"Invalid"})"},
          {"PATCH " + config_maps + "/a", R"({"metadata":{"finalizers":null}})", 200, "{}"},
          {"GET " + config_maps + "/a", "", 404, "{}"},
      },
      merge);
}

TEST(ApiRemove, preconditions_are_checked) {
  TestServer server;
  server.config_map("a");
  server.check({
      {"DELETE " + config_maps + "/a", R"({"preconditions":{"uid":"other"}})", 409,
       R"({"reason":"Conflict"})"},
      {"DELETE " + config_maps + "/a", R"({"preconditions":{"resourceVersion":"1"}})", 409, "{}"},
      {"DELETE " + config_maps + "/none", "", 404, "{}"},
      {"DELETE " + config_maps + "/a", R"({"propagationPolicy":"Never"})", 422, "{}"},
      {"DELETE " + config_maps + "/a", R"({"propagationPolicy":"Background"})", 200,
       R"({"status":"Success"})"},
  });
}

TEST(ApiRemove, propagation_policies_leave_finalizers_to_the_collector) {
  TestServer server;
  server.config_map("f");
  server.config_map("o");
  server.check({
      {"DELETE " + config_maps + "/f", R"({"propagationPolicy":"Foreground"})", 200,
       R"({"metadata":{"finalizers":["foregroundDeletion"]}})"},
      {"DELETE " + config_maps + "/o?propagationPolicy=Orphan", "", 200,
       R"({"metadata":{"finalizers":["orphan"]}})"},
      {"DELETE " + config_maps + "/f", R"({"propagationPolicy":"Background"})", 200, "{}"},
      {"GET " + config_maps + "/f", "", 404, "{}"},
  });
}

TEST(ApiRemove, a_namespace_terminates_before_it_goes) {
  TestServer server;
  server.create("/api/v1/namespaces", R"({"metadata":{"name":"n"}})");
  server.check({
      {"GET /api/v1/namespaces/n", "", 200,
       R"({"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"},
           "metadata":{"labels":{"kubernetes.io/metadata.name":"n"}}})"},
      {"POST /api/v1/namespaces/n/configmaps", R"({"metadata":{"name":"a"}})", 201, "{}"},
      {"DELETE /api/v1/namespaces/n", "", 200,
       R"({"kind":"Namespace","status":{"phase":"Terminating"}})"},
      {"POST /api/v1/namespaces/n/configmaps", R"({"metadata":{"name":"b"}})", 403,
       R"({"reason":"Forbidden","details":{"causes":[{"reason":"NamespaceTerminating"}]}})"},
      {"PUT /api/v1/namespaces/n", R"({"metadata":{"name":"n"},"spec":{"finalizers":[]}})", 200,
       R"({"spec":{"finalizers":["kubernetes"]}})"},
      {"PUT /api/v1/namespaces/n/finalize", R"({"metadata":{"name":"n"},"spec":{"finalizers":[]}})",
       200, "{}"},
      {"GET /api/v1/namespaces/n", "", 404, "{}"},
      {"DELETE /api/v1/namespaces/default", "", 403, R"({"reason":"Forbidden"})"},
  });
}

TEST(ApiRemove, pods_are_bound_once_and_evicted) {
  TestServer server;
  server.create(pods, pod("p", ""));
  std::string binding = R"({"apiVersion":"v1","kind":"Binding","metadata":{"name":"p"},
                            "target":{"kind":"Node","name":"n1"}})";
  server.check({
      {"POST " + pods + "/p/binding", binding, 201, R"({"status":"Success"})"},
      {"GET " + pods + "/p", "", 200,
       R"({"spec":{"nodeName":"n1"},"status":{"conditions":[
           {"type":"PodScheduled","status":"True"}]}})"},
      {"POST " + pods + "/p/binding", binding, 409, "{}"},
      {"POST " + pods + "/p/eviction",
       R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p"},
           "deleteOptions":{"gracePeriodSeconds":7}})",
       201, R"({"status":"Success"})"},
      {"GET " + pods + "/p", "", 200, R"({"metadata":{"deletionGracePeriodSeconds":7}})"},
  });
}

}  // namespace
}  // namespace tulle::apiserver
