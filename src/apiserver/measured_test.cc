// metrics.k8s.io: answered from what is measured.
#include "apiserver/test_server.h"

namespace tulle::apiserver {
namespace {

class Fixed final : public ResourceMetrics {
 public:
  Documents pods() const override {
    return {pod("default", "web", R"({"app":"web"})"), pod("default", "db", R"({"app":"db"})"),
            pod("other", "web", "{}")};
  }
  Documents nodes() const override {
    return {document(R"({"kind":"NodeMetrics","apiVersion":"metrics.k8s.io/v1beta1","metadata":
                        {"name":"here"},"usage":{"cpu":"1n","memory":"2Ki"}})")};
  }

 private:
  static std::shared_ptr<const json::object> document(const std::string& text) {
    return std::make_shared<const json::object>(parse(text).as_object());
  }
  static std::shared_ptr<const json::object> pod(const std::string& space, const std::string& name,
                                                 const std::string& labels) {
    return document(R"({"kind":"PodMetrics","apiVersion":"metrics.k8s.io/v1beta1","metadata":
                       {"name":")" +
                    name + R"(","namespace":")" + space + R"(","labels":)" + labels +
                    R"(},"containers":[{"name":"c","usage":{"cpu":"5m"}}]})");
  }
};

class Measured : public testing::Test {
 protected:
  static ApiServer::Options with(const ResourceMetrics& metrics) {
    ApiServer::Options options = TestServer::default_options();
    options.metrics = &metrics;
    return options;
  }
  Fixed metrics;
  TestServer server{with(metrics)};
};

TEST_F(Measured, kinds_are_listed_and_got) {
  const std::string group = "GET /apis/metrics.k8s.io/v1beta1";
  server.check({
      {group + "/pods", "", 200,
       R"({"kind":"PodMetricsList","items":[{"metadata":{"name":"web"}},
           {"metadata":{"name":"db"}},{"metadata":{"namespace":"other"}}]})"},
      {group + "/namespaces/default/pods?labelSelector=app%3Ddb", "", 200,
       R"({"items":[{"metadata":{"name":"db"}}]})"},
      {group + "/namespaces/other/pods/web", "", 200,
       R"({"kind":"PodMetrics","metadata":{"namespace":"other"}})"},
      {group + "/namespaces/other/pods/db", "", 404, R"({"reason":"NotFound"})"},
      {group + "/nodes", "", 200, R"({"items":[{"usage":{"memory":"2Ki"}}]})"},
      {group + "/nodes/here", "", 200, R"({"usage":{"cpu":"1n"}})"},
  });
}

TEST_F(Measured, kinds_are_shown_as_tables) {
  const Answer answer = server.ask("GET /apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web",
                                   "", {.accept = "application/json;as=Table;v=v1;g=meta.k8s.io"});
  EXPECT_TRUE(holds(answer.object(), parse(R"({"kind":"Table","rows":[{}]})"))) << answer.text;
}

TEST_F(Measured, kinds_cannot_be_changed_or_watched) {
  const std::string web = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web";
  server.check({
      {"PUT " + web, "{}", 405, "{}"},
      {"DELETE " + web, "", 405, "{}"},
      {"POST /apis/metrics.k8s.io/v1beta1/namespaces/default/pods", "{}", 405, "{}"},
      {"GET /apis/metrics.k8s.io/v1beta1/pods?watch=true", "", 405, "{}"},
  });
}

TEST(Unmeasured, kinds_are_unavailable) {
  TestServer server;
  server.check({{"GET /apis/metrics.k8s.io/v1beta1/nodes", "", 503, "{}"}});
}

}  // namespace
}  // namespace tulle::apiserver
