// Lists, tables, discovery and who may ask.
#include "apiserver/test_server.h"

#include "net/tls.h"

#include <gtest/gtest.h>

namespace tulle::apiserver {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* config_maps = "GET /api/v1/namespaces/default/configmaps";

std::vector<std::string> names(const Answer& answer) {
  std::vector<std::string> found;
  json::object list = answer.object();
  for (const json::value& item : kube::array_at(list, "items")) {
    found.emplace_back(kube::name_of(item.as_object()));
  }
  return found;
}

std::string continue_of(const Answer& answer) {
  return std::string(kube::string_at(answer.object(), "metadata.continue"));
}

class ApiList : public testing::Test {
 protected:
  ApiList() {
    server.config_map("a", R"({"app":"x"})");
    server.config_map("b", R"({"app":"y"})");
    server.config_map("c", R"({"app":"x"})");
    server.config_map("d");
  }
  Answer list(const std::string& query) { return server.ask(config_maps + query); }

  TestServer server;
};

TEST_F(ApiList, selectors_choose) {
  EXPECT_THAT(names(list("")), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(names(list("?labelSelector=app%3Dx")), ElementsAre("a", "c"));
  EXPECT_THAT(names(list("?labelSelector=!app")), ElementsAre("d"));
  EXPECT_THAT(names(list("?fieldSelector=metadata.name%3Db")), ElementsAre("b"));
  EXPECT_THAT(names(list("?fieldSelector=metadata.name!%3Db,metadata.namespace%3Ddefault")),
              ElementsAre("a", "c", "d"));
  EXPECT_THAT(names(server.ask("GET /api/v1/configmaps")), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(names(server.ask("GET /api/v1/namespaces/kube-system/configmaps")), ElementsAre());
}

TEST_F(ApiList, pages_are_of_one_moment) {
  Answer first = list("?limit=2");
  EXPECT_THAT(names(first), ElementsAre("a", "b"));
  EXPECT_TRUE(
      holds(json::value(first.object()), parse(R"({"metadata":{"remainingItemCount":2}})")));
  server.ask("DELETE /api/v1/namespaces/default/configmaps/c");
  server.config_map("bb");
  Answer second = list("?limit=1&continue=" + continue_of(first));
  EXPECT_THAT(names(second), ElementsAre("c"));
  EXPECT_EQ(kube::resource_version_of(second.object()), kube::resource_version_of(first.object()));
  Answer third = list("?limit=1&continue=" + continue_of(second));
  EXPECT_THAT(names(third), ElementsAre("d"));
  EXPECT_EQ(continue_of(third), "");
  EXPECT_THAT(names(list("?labelSelector=app%3Dx&limit=1")), ElementsAre("a"));
  EXPECT_EQ(list("?continue=nonsense").status, 400);
}

TEST_F(ApiList, an_old_page_is_gone_and_says_how_to_go_on) {
  std::string token = continue_of(list("?limit=2"));
  std::string version(kube::resource_version_of(list("").object()));
  for (std::size_t i = 0; i <= store::log_events_max; ++i) {
    server.ask("PUT /api/v1/namespaces/default/configmaps/a",
               R"({"metadata":{"name":"a"},"data":{"n":")" + std::to_string(i) + "\"}}");
  }
  Answer gone = list("?limit=2&continue=" + token);
  EXPECT_EQ(gone.status, 410);
  EXPECT_THAT(gone.text, HasSubstr("\"reason\":\"Expired\""));
  EXPECT_THAT(names(list("?limit=2&continue=" + continue_of(gone))), ElementsAre("c", "d"));
  EXPECT_EQ(list("?resourceVersionMatch=Exact&resourceVersion=" + version).status, 410);
}

TEST_F(ApiList, versions_are_honoured) {
  std::string version(kube::resource_version_of(list("").object()));
  server.ask("DELETE /api/v1/namespaces/default/configmaps/a");
  std::string match = "&resourceVersionMatch=";
  EXPECT_THAT(names(list("?resourceVersion=" + version + match + "Exact")),
              ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(names(list("?resourceVersion=" + version + match + "NotOlderThan")),
              ElementsAre("b", "c", "d"));
  EXPECT_THAT(names(list("?resourceVersion=0")), ElementsAre("b", "c", "d"));
  Answer future = list("?resourceVersion=999999");
  EXPECT_EQ(future.status, 504);
  EXPECT_THAT(future.text, HasSubstr("ResourceVersionTooLarge"));
  for (std::string bad : {"?resourceVersionMatch=Exact", "?resourceVersionMatch=Newest",
                          "?resourceVersionMatch=Exact&resourceVersion=0",
                          "?sendInitialEvents=true", "?watch=1&sendInitialEvents=true",
                          "?watch=1&resourceVersion=1&resourceVersionMatch=Exact"}) {
    EXPECT_EQ(list(bad).status, 422) << bad;
  }
}

TEST_F(ApiList, tables_and_metadata_are_shown_on_demand) {
  const char* table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
  Answer shown = server.ask(config_maps, "", {.accept = table});
  EXPECT_TRUE(holds(parse(shown.text), parse(R"({"kind":"Table","apiVersion":"meta.k8s.io/v1"})")))
      << shown.text;
  const json::object document = shown.object();
  const json::array& rows = kube::array_at(document, "rows");
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_TRUE(holds(rows[0], parse(R"({"object":{"kind":"PartialObjectMetadata",
                                       "metadata":{"name":"a"}}})")));
  EXPECT_EQ(kube::string_or(rows[0].at("cells").at(0)), "a");
  Answer one = server.ask(std::string(config_maps) + "/a", "", {.accept = table});
  EXPECT_THAT(one.text, HasSubstr("columnDefinitions"));
  Answer partial = server.ask(
      config_maps, "",
      {.accept = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;"
                 "v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"});
  EXPECT_THAT(partial.text, HasSubstr("\"kind\":\"PartialObjectMetadataList\""));
}

TEST_F(ApiList, a_collection_is_deleted_by_selector) {
  Answer deleted = server.ask("DELETE /api/v1/namespaces/default/configmaps?labelSelector=app%3Dx");
  EXPECT_EQ(deleted.status, 200);
  EXPECT_THAT(names(deleted), ElementsAre("a", "c"));
  EXPECT_THAT(names(list("")), ElementsAre("b", "d"));
}

TEST(ApiDocuments, the_server_describes_itself) {
  TestServer server;
  const char* aggregated =
      "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
  Answer groups = server.ask("GET /apis", "", {.accept = aggregated});
  EXPECT_EQ(groups.content_type,
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  EXPECT_THAT(groups.text, HasSubstr("APIGroupDiscoveryList"));
  std::string etag = groups.header("ETag");
  EXPECT_THAT(etag, StartsWith("\""));
  Answer same = server.ask("GET /apis", "", {.accept = aggregated, .if_none_match = etag});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.text, "");
  server.check({
      {"GET /api", "", 200, R"({"kind":"APIVersions","versions":["v1"]})"},
      {"GET /apis", "", 200, R"({"kind":"APIGroupList"})"},
      {"GET /apis/apps", "", 200, R"({"kind":"APIGroup","name":"apps"})"},
      {"GET /apis/apps/v1", "", 200, R"({"kind":"APIResourceList","groupVersion":"apps/v1"})"},
      {"GET /api/v1", "", 200, R"({"kind":"APIResourceList","groupVersion":"v1"})"},
      {"GET /apis/none", "", 404, "{}"},
      {"GET /version", "", 200, R"({"major":"1","minor":"35","gitVersion":"v1.35.0+tulle"})"},
      {"GET /openapi/v3/apis/none/v1", "", 404, "{}"},
      {"GET /openapi/v2", "", 404, "{}"},
  });
  json::object index = server.ask("GET /openapi/v3").object();
  std::string url(kube::string_at(*index["paths"].as_object()["apis/apps/v1"].if_object(),
                                  "serverRelativeURL"));
  Answer apps = server.ask("GET " + url);
  EXPECT_EQ(apps.status, 200);
  EXPECT_THAT(apps.text, HasSubstr("fieldValidation"));
  EXPECT_THAT(apps.header("Cache-Control"), HasSubstr("immutable"));
  EXPECT_EQ(server.ask("GET " + url, "", {.if_none_match = apps.header("ETag")}).status, 304);
}

TEST(ApiDocuments, health_needs_no_name_and_readiness_needs_the_bootstrap) {
  bool ready = false;
  auto options = TestServer::default_options();
  options.authentication = {};
  options.ready = [&]() -> Result<void> {
    if (ready) return {};
    return fail(Code::unavailable, "the node is not there yet");
  };
  TestServer server(options);
  TestConnection connection(server);
  connection.say("GET /livez");
  EXPECT_THAT(connection.wire.hear(), testing::AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("ok")));
  connection.say("GET /readyz");
  EXPECT_THAT(connection.wire.hear(), HasSubstr("[-]not ready: the node is not there yet"));
  ready = true;
  connection.say("GET /readyz");
  EXPECT_THAT(connection.wire.hear(), StartsWith("HTTP/1.1 200"));
}

TEST(ApiAuthentication, who_shows_nothing_is_refused) {
  auto options = TestServer::default_options();
  options.authentication.trust_without_tls = false;
  TestServer server(options);
  TestConnection connection(server);
  connection.say("GET /api/v1/pods");
  EXPECT_THAT(connection.wire.hear(),
              testing::AllOf(StartsWith("HTTP/1.1 401"), HasSubstr("\"reason\":\"Unauthorized\"")));
  connection.say("GET /api/v1/pods", "Authorization: Bearer wrong\r\n");
  EXPECT_THAT(connection.wire.hear(), StartsWith("HTTP/1.1 401"));
  connection.say("GET /api/v1/pods", "Authorization: Bearer secret\r\n");
  EXPECT_THAT(connection.wire.hear(), StartsWith("HTTP/1.1 200"));
  connection.say("GET /api/v1/pods", "Authorization: Bearer secret\r\nImpersonate-User: admin\r\n");
  EXPECT_THAT(connection.wire.hear(), StartsWith("HTTP/1.1 403"));
}

TEST(ApiAuthentication, a_certificate_names_user_and_groups) {
  const net::TlsPeer peer{.common_name = "joe", .organizations = {"system:masters"}};
  http::Sim sim;
  http::StringBody body("");
  http::Request request{.head = {}, .body = body, .local = {}, .peer = {}, .tls_peer = &peer};
  Authenticator authenticator({});
  auto user = authenticator.authenticate(request);
  ASSERT_TRUE(user);
  EXPECT_EQ(user->name, "joe");
  EXPECT_THAT(user->groups, ElementsAre("system:masters", "system:authenticated"));
  request.head.headers.append("Impersonate-User", "ann");
  request.head.headers.append("Impersonate-Group", "dev");
  user = authenticator.authenticate(request);
  ASSERT_TRUE(user);
  EXPECT_EQ(user->name, "ann");
  EXPECT_THAT(user->groups, ElementsAre("dev", "system:authenticated"));
}

TEST(ApiHttp, a_body_beyond_the_limit_is_413_and_pods_need_an_agent) {
  TestServer server;
  server.create("/api/v1/namespaces/default/pods",
                R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}})");
  TestConnection connection(server);
  connection.say("GET /api/v1/namespaces/default/pods/p/log");
  EXPECT_THAT(connection.wire.hear(), StartsWith("HTTP/1.1 503"));
  connection.say("GET /api/v1/namespaces/default/pods/q/log");
  EXPECT_THAT(connection.wire.hear(), StartsWith("HTTP/1.1 404"));
  connection.say("POST /api/v1/namespaces/default/pods",
                 "Content-Length: " + std::to_string(body_bytes_max + 1) + "\r\n");
  EXPECT_THAT(connection.wire.hear(), StartsWith("HTTP/1.1 413"));
}

}  // namespace
}  // namespace tulle::apiserver
