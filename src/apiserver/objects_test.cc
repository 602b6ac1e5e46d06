// Reading and writing objects: requests and what they must answer.
#include "apiserver/test_server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tulle::apiserver {
namespace {

using testing::HasSubstr;

constexpr const char* config_maps = "/api/v1/namespaces/default/configmaps";
constexpr const char* deployments = "/apis/apps/v1/namespaces/default/deployments";

const std::string web = R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},
  "spec":{"replicas":3,"selector":{"matchLabels":{"app":"web"}},
  "template":{"metadata":{"labels":{"app":"web"}},
  "spec":{"containers":[{"name":"c","image":"web:1","ports":[{"containerPort":80}]}]}}}})";

std::string at(std::string_view method, std::string_view collection, std::string_view rest = "") {
  return std::string(method) + " " + std::string(collection) + std::string(rest);
}

TEST(ApiObjects, an_object_lives_from_post_to_delete) {
  TestServer server;
  server.check({
      {at("POST", config_maps), R"({"metadata":{"name":"a"},"data":{"k":"v"}})", 201,
       R"({"kind":"ConfigMap","apiVersion":"v1","data":{"k":"v"},
           "metadata":{"name":"a","namespace":"default","generation":null,
                       "creationTimestamp":"2030-01-01T00:00:00Z"}})"},
      {at("POST", config_maps), R"({"metadata":{"name":"a"}})", 409,
       R"({"kind":"Status","status":"Failure","reason":"AlreadyExists",
           "message":"configmaps \"a\" already exists"})"},
      {at("GET", config_maps, "/a"), "", 200, R"({"data":{"k":"v"}})"},
      {at("PUT", config_maps, "/a"), R"({"metadata":{"name":"a"},"data":{"k":"w"}})", 200,
       R"({"data":{"k":"w"}})"},
      {at("PUT", config_maps, "/b"), R"({"metadata":{"name":"b"}})", 404, R"({"code":404})"},
      {at("DELETE", config_maps, "/a"), "", 200,
       R"({"kind":"Status","status":"Success","details":{"name":"a","kind":"configmaps"}})"},
      {at("GET", config_maps, "/a"), "", 404,
       R"({"reason":"NotFound","message":"configmaps \"a\" not found"})"},
  });
}

TEST(ApiObjects, a_request_that_makes_no_sense_is_refused_with_the_usual_reason) {
  TestServer server;
  server.check({
      {"GET /api/v1/nothings", "", 404, R"({"reason":"NotFound"})"},
      {"GET /apis/apps/v9/deployments", "", 404, "{}"},
      {"GET /api/v1/namespaces/default/nodes/x", "", 404, "{}"},
      {"GET /api/v1/namespaces/default/pods/a/b/c", "", 404, "{}"},
      {"GET /api/v1/namespaces/default/pods/a/nothing", "", 404, "{}"},
      {"BREW /api/v1/pods", "", 405, R"({"reason":"MethodNotAllowed"})"},
      {"POST /api/v1/namespaces/default/pods/a", "{}", 405, "{}"},
      {"PUT /api/v1/namespaces/default/pods", "{}", 405, "{}"},
      {at("POST", config_maps), "{", 400, R"({"reason":"BadRequest"})"},
      {at("POST", config_maps), "[]", 400, "{}"},
      {at("POST", config_maps), R"({"kind":"Secret"})", 400, "{}"},
      {at("POST", config_maps), R"({"apiVersion":"v2"})", 400, "{}"},
      {at("POST", config_maps), R"({"metadata":{"name":"a","namespace":"other"}})", 400, "{}"},
      {at("POST", config_maps), R"({"metadata":{"name":"A_B"}})", 422,
       R"({"reason":"Invalid","details":{"kind":"ConfigMap","name":"A_B"}})"},
      {at("POST", config_maps), R"({"metadata":{"name":"a","resourceVersion":"1"}})", 400, "{}"},
      {at("POST", config_maps), R"({"data":{"k":3},"metadata":{"name":"a"}})", 400, "{}"},
      {"POST /api/v1/namespaces/nowhere/configmaps", R"({"metadata":{"name":"a"}})", 404,
       R"({"message":"namespaces \"nowhere\" not found"})"},
      {at("GET", config_maps, "?labelSelector=%3D%3D"), "", 400, "{}"},
      {at("GET", config_maps, "?fieldSelector=data.x%3D1"), "", 400, "{}"},
      {at("GET", config_maps, "?resourceVersion=abc"), "", 400, "{}"},
      {at("POST", config_maps, "?dryRun=Some"), "{}", 422, "{}"},
      {at("POST", config_maps, "?fieldValidation=Maybe"), "{}", 422, "{}"},
  });
  EXPECT_EQ(server.ask(at("POST", config_maps), "x", {.content_type = "text/plain"}).status, 415);
  EXPECT_EQ(server.ask(at("GET", config_maps), "", {.accept = "text/html"}).status, 406);
}

TEST(ApiObjects, a_stale_version_conflicts_and_no_version_does_not) {
  TestServer server;
  server.config_map("a");
  std::string version(kube::resource_version_of(server.ask(at("GET", config_maps, "/a")).object()));
  std::string body =
      R"({"metadata":{"name":"a","resourceVersion":")" + version + R"("},"data":{"n":"1"}})";
  server.check({
      {at("PUT", config_maps, "/a"), body, 200, "{}"},
      {at("PUT", config_maps, "/a"), body, 409,
       R"({"reason":"Conflict","details":{"name":"a","kind":"configmaps"}})"},
      {at("PUT", config_maps, "/a"), R"({"metadata":{"name":"a","uid":"x"}})", 409, "{}"},
      {at("PUT", config_maps, "/a"), R"({"metadata":{"name":"a"},"data":{"n":"2"}})", 200, "{}"},
      {at("PUT", config_maps, "/a"), R"({"metadata":{"name":"b"}})", 400, "{}"},
  });
}

TEST(ApiObjects, a_write_that_changes_nothing_is_no_write) {
  TestServer server;
  server.create(deployments, web);
  store::Revision before = server.store.revision();
  EXPECT_EQ(server.ask(at("PUT", deployments, "/web"), web).status, 200);
  EXPECT_EQ(server
                .ask(at("PATCH", deployments, "/web"), R"({"spec":{"replicas":3}})",
                     {.content_type = "application/merge-patch+json"})
                .status,
            200);
  EXPECT_EQ(server.store.revision(), before);
}

TEST(ApiObjects, the_generation_counts_changes_of_the_spec_only) {
  TestServer server;
  server.create(deployments, web);
  RequestOptions merge{.content_type = "application/merge-patch+json"};
  server.check(
      {
          {at("PATCH", deployments, "/web"), R"({"metadata":{"labels":{"a":"b"}}})", 200,
           R"({"metadata":{"generation":1}})"},
          {at("PATCH", deployments, "/web"), R"({"spec":{"replicas":4}})", 200,
           R"({"metadata":{"generation":2},"spec":{"replicas":4}})"},
          {at("PATCH", deployments, "/web/status"),
           R"({"spec":{"replicas":9},"status":{"replicas":4}})", 200,
           R"({"metadata":{"generation":2},"spec":{"replicas":4},"status":{"replicas":4}})"},
          {at("PATCH", deployments, "/web"), R"({"status":{"replicas":7}})", 200,
           R"({"status":{"replicas":4}})"},
          {at("PATCH", deployments, "/web"),
           R"({"metadata":{"uid":null,"creationTimestamp":null,"generation":77}})", 200,
           R"({"metadata":{"generation":2,"creationTimestamp":"2030-01-01T00:00:00Z"}})"},
      },
      merge);
}

TEST(ApiObjects, defaults_are_filled_in_and_status_is_not_taken_from_a_creation) {
  TestServer server;
  server.check({
      {at("POST", deployments), web, 201,
       R"({"metadata":{"generation":1},"spec":{"revisionHistoryLimit":10,
           "strategy":{"type":"RollingUpdate"},
           "template":{"spec":{"restartPolicy":"Always","containers":[{"name":"c",
             "ports":[{"containerPort":80,"protocol":"TCP"}]}]}}}})"},
      {"POST /api/v1/namespaces/default/pods",
       R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]},
           "status":{"phase":"Running"}})",
       201, R"({"status":{"phase":"Pending"}})"},
      {"POST /api/v1/nodes", R"({"metadata":{"name":"n"},"status":{"capacity":{"cpu":"2"}}})", 201,
       R"({"status":{"capacity":{"cpu":"2"}}})"},
  });
}

TEST(ApiObjects, every_kind_of_patch_changes_the_object_in_its_way) {
  TestServer server;
  server.create(deployments, web);
  server.check(
      {{at("PATCH", deployments, "/web"),
        R"([{"op":"test","path":"/spec/replicas","value":3},
                     {"op":"replace","path":"/spec/replicas","value":5}])",
        200, R"({"spec":{"replicas":5}})"},
       {at("PATCH", deployments, "/web"), R"([{"op":"remove","path":"/nothing"}])", 422, "{}"}},
      {.content_type = "application/json-patch+json"});
  server.check({{at("PATCH", deployments, "/web"),
                 R"({"spec":{"template":{"spec":{"containers":[
                     {"name":"c","env":[{"name":"A","value":"1"}]},
                     {"name":"side","image":"s"}]}}}})",
                 200,
                 R"({"spec":{"template":{"spec":{"containers":[
                     {"name":"c","image":"web:1","env":[{"name":"A","value":"1"}]},
                     {"name":"side","image":"s"}]}}}})"}},
               {.content_type = "application/strategic-merge-patch+json"});
  server.check(
      {{at("PATCH", deployments, "/web"), R"({"metadata":{"resourceVersion":"1"}})", 409, "{}"},
       {at("PATCH", deployments, "/web"), R"({"metadata":{"name":"x"}})", 400, "{}"},
       {at("PATCH", deployments, "/none"), "{}", 404, "{}"}},
      {.content_type = "application/merge-patch+json"});
  server.check(
      {{at("PATCH", deployments, "/web"), "{}", 415, R"({"reason":"UnsupportedMediaType"})"}},
      {.content_type = "application/apply-patch+yaml"});
}

TEST(ApiObjects, unknown_and_duplicate_fields_are_treated_as_asked) {
  TestServer server;
  std::string body = R"({"metadata":{"name":"a"},"dat":{},"data":{"k":"1","k":"2"}})";
  Answer strict = server.ask(at("POST", config_maps, "?fieldValidation=Strict"), body);
  EXPECT_EQ(strict.status, 400);
  EXPECT_THAT(strict.text, HasSubstr(R"(strict decoding error: unknown field \"dat\", )"
                                     R"(duplicate field \"data.k\")"));
  Answer warned = server.ask(at("POST", config_maps, "?dryRun=All"), body);
  EXPECT_EQ(warned.status, 201);
  ASSERT_EQ(warned.headers.size(), 2u);
  EXPECT_EQ(warned.headers[0].second, R"(299 - "unknown field \"dat\"")");
  Answer ignored = server.ask(at("POST", config_maps, "?fieldValidation=Ignore"), body);
  EXPECT_EQ(ignored.status, 201);
  EXPECT_TRUE(ignored.headers.empty());
  EXPECT_EQ(server
                .ask(at("PATCH", config_maps, "/a?fieldValidation=Strict"), R"({"x":1})",
                     {.content_type = "application/merge-patch+json"})
                .status,
            400);
}

TEST(ApiObjects, a_dry_run_answers_and_keeps_nothing) {
  TestServer server;
  server.config_map("kept");
  store::Revision before = server.store.revision();
  server.check({
      {at("POST", config_maps, "?dryRun=All"), R"({"metadata":{"name":"a"}})", 201,
       R"({"metadata":{"name":"a"}})"},
      {at("PUT", config_maps, "/kept?dryRun=All"),
       R"({"metadata":{"name":"kept"},"data":{"a":"b"}})", 200, R"({"data":{"a":"b"}})"},
      {at("DELETE", config_maps, "/kept?dryRun=All"), "", 200, "{}"},
      {at("GET", config_maps, "/a"), "", 404, "{}"},
      {at("GET", config_maps, "/kept"), "", 200, R"({"data":null})"},
  });
  EXPECT_EQ(server.store.revision(), before);
}

TEST(ApiObjects, names_are_generated) {
  TestServer server;
  Answer answer = server.ask(at("POST", config_maps), R"({"metadata":{"generateName":"a-"}})");
  EXPECT_EQ(answer.status, 201);
  EXPECT_THAT(std::string(kube::name_of(answer.object())), testing::MatchesRegex("a-[a-z0-9]{5}"));
}

TEST(ApiObjects, yaml_and_protobuf_are_read) {
  TestServer server;
  EXPECT_EQ(server
                .ask(at("POST", config_maps), "metadata: {name: yaml}\ndata:\n  k: v\n",
                     {.content_type = "application/yaml"})
                .status,
            201);
  // ConfigMap {metadata {name "p", namespace "default"}, data {k: v}} as client-go sends it.
  std::string message(
      "\x0a\x14\x0a\x01p\x12\x00\x1a\x07"
      "default\"\x00*\x00\x32\x00\x12\x06\x0a"
      "\x01k\x12\x01v",
      30);
  std::string body = std::string("k8s\0", 4) +
                     "\x0a\x0f\x0a\x02v1\x12\x09"
                     "ConfigMap\x12" +
                     static_cast<char>(message.size()) + message + std::string("\x1a\x00\"\x00", 4);
  Answer answer = server.ask(at("POST", config_maps), body,
                             {.content_type = "application/vnd.kubernetes.protobuf"});
  EXPECT_EQ(answer.status, 201) << answer.text;
  server.check({{at("GET", config_maps, "/p"), "", 200, R"({"data":{"k":"v"}})"}});
}

TEST(ApiObjects, scale_shows_and_changes_the_replicas) {
  TestServer server;
  server.create(deployments, web);
  server.check({
      {at("GET", deployments, "/web/scale"), "", 200,
       R"({"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"web"},
           "spec":{"replicas":3},"status":{"replicas":0,"selector":"app=web"}})"},
      {at("PUT", deployments, "/web/scale"),
       R"({"metadata":{"name":"web"},"spec":{"replicas":-1}})", 422, "{}"},
      {at("PUT", deployments, "/web/scale"),
       R"({"metadata":{"name":"web","resourceVersion":"1"},"spec":{"replicas":2}})", 409, "{}"},
  });
  server.check({{at("PATCH", deployments, "/web/scale"), R"({"spec":{"replicas":2}})", 200,
                 R"({"spec":{"replicas":2}})"},
                {at("GET", deployments, "/web"), "", 200,
                 R"({"spec":{"replicas":2},"metadata":{"generation":2}})"}},
               {.content_type = "application/merge-patch+json"});
}

TEST(ApiObjects, both_groups_of_events_show_the_same_objects) {
  TestServer server;
  server.check({
      {"POST /apis/events.k8s.io/v1/namespaces/default/events",
       R"({"metadata":{"name":"e"},"eventTime":"2030-01-01T00:00:00.000000Z","type":"Normal",
           "reason":"Started","action":"Starting","note":"text","reportingController":"c",
           "reportingInstance":"i","regarding":{"kind":"Pod","name":"p","namespace":"default"}})",
       201, R"({"apiVersion":"events.k8s.io/v1","note":"text","regarding":{"name":"p"}})"},
      {"GET /api/v1/namespaces/default/events/e", "", 200,
       R"({"apiVersion":"v1","message":"text","reportingComponent":"c",
           "involvedObject":{"name":"p"},"note":null,"regarding":null})"},
      {"GET /api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dp", "", 200,
       R"({"items":[{"apiVersion":"v1"}]})"},
      {"GET /apis/events.k8s.io/v1/events", "", 200,
       R"({"kind":"EventList","items":[{"apiVersion":"events.k8s.io/v1","note":"text"}]})"},
  });
}

TEST(ApiObjects, old_events_are_removed) {
  TestServer server;
  const std::string events = "/api/v1/namespaces/default/events";
  server.create(events, R"({"metadata":{"name":"old"},"involvedObject":{"namespace":"default"}})");
  server.sim.advance(std::chrono::minutes(50));
  server.create(events, R"({"metadata":{"name":"new"},"involvedObject":{"namespace":"default"}})");
  server.sim.advance(std::chrono::minutes(20));
  server.check(
      {{"GET " + events + "/old", "", 404, "{}"}, {"GET " + events + "/new", "", 200, "{}"}});
}

TEST(ApiObjects, questions_are_answered_and_not_kept) {
  TestServer server;
  store::Revision before = server.store.revision();
  server.check({
      {"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
       R"({"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}})", 201,
       R"({"status":{"allowed":true}})"},
      {"POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
       R"({"spec":{"namespace":"default"}})", 201,
       R"({"status":{"resourceRules":[{"verbs":["*"]}]}})"},
      {"POST /apis/authentication.k8s.io/v1/selfsubjectreviews", "{}", 201,
       R"({"status":{"userInfo":{"username":"test","groups":["system:masters"]}}})"},
      {"GET /apis/authentication.k8s.io/v1/selfsubjectreviews", "", 405, "{}"},
  });
  EXPECT_EQ(server.store.revision(), before);
}

TEST(ApiObjects, a_pod_has_the_pull_secrets_of_its_service_account_unless_it_names_its_own) {
  TestServer server;
  const std::string core = "/api/v1/namespaces/default/";
  const auto pod = [](std::string_view name, std::string_view spec) {
    return fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{{}
                            "containers":[{{"name":"c","image":"i:1"}}]}}}})",
                       name, spec);
  };
  server.create(core + "serviceaccounts",
                R"({"metadata":{"name":"default"},"imagePullSecrets":[{"name":"of-all"}]})");
  server.create(core + "serviceaccounts",
                R"({"metadata":{"name":"robot"},"imagePullSecrets":[{"name":"of-robot"}]})");
  const auto secrets = [](std::string_view list) {
    return fmt::format(R"({{"spec":{{"imagePullSecrets":{}}}}})", list);
  };
  server.check({
      {"POST " + core + "pods", pod("plain", ""), 201, secrets(R"([{"name":"of-all"}])")},
      {"POST " + core + "pods", pod("robot", R"("serviceAccountName":"robot",)"), 201,
       secrets(R"([{"name":"of-robot"}])")},
      {"POST " + core + "pods", pod("own", R"("imagePullSecrets":[{"name":"own"}],)"), 201,
       secrets(R"([{"name":"own"}])")},
      {"POST " + core + "pods", pod("stranger", R"("serviceAccountName":"nobody",)"), 201,
       secrets("null")},
  });
}

}  // namespace
}  // namespace tulle::apiserver
