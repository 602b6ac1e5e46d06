#include "apiserver/test_server.h"

#include "rt/combine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tulle::apiserver {
namespace {

const std::string core = "/api/v1/namespaces/default/";
const std::string pods = core + "pods";

std::string pod(std::string_view name, std::string_view resources = "{}",
                std::string_view more = "") {
  return fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{{}"containers":[
                        {{"name":"c","image":"i:1","resources":{}}}]}}}})",
                     name, more, resources);
}

// A fragment of the answer that says this.
std::string said(std::string_view message) {
  return codec::to_json(json::object{{"message", message}});
}

TEST(ApiLimits, a_limit_range_fills_in_what_containers_do_not_say) {
  TestServer server;
  server.create(core + "limitranges", R"({"metadata":{"name":"l"},"spec":{"limits":[
    {"type":"Container","default":{"cpu":"500m"},"defaultRequest":{"cpu":"100m"}}]}})");
  server.check({
      {"POST " + pods, pod("silent"), 201,
       R"({"spec":{"containers":[{"name":"c","image":"i:1","imagePullPolicy":"IfNotPresent",
            "terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File",
            "resources":{"limits":{"cpu":"500m"},"requests":{"cpu":"100m"}}}]},
           "status":{"qosClass":"Burstable"}})"},
      {"POST " + pods, pod("frank", R"({"requests":{"cpu":"1"},"limits":{"cpu":"2"}})"), 201, "{}"},
  });
  const json::object frank = server.ask("GET " + pods + "/frank").object();
  EXPECT_EQ(kube::object_at(frank, "spec").at("containers").at(0).at("resources"),
            parse(R"({"requests":{"cpu":"1"},"limits":{"cpu":"2"}})"));
}

TEST(ApiLimits, what_breaks_a_limit_range_is_refused_with_its_numbers) {
  TestServer server;
  server.create(core + "limitranges", R"({"metadata":{"name":"l"},"spec":{"limits":[
    {"type":"Container","min":{"memory":"1Mi"},"max":{"memory":"1Gi"},
     "maxLimitRequestRatio":{"memory":"2"}},
    {"type":"Pod","max":{"cpu":"2"}},
    {"type":"PersistentVolumeClaim","max":{"storage":"5Gi"}}]}})");
  server.check({
      {"POST " + pods,
       pod("big", R"({"requests":{"memory":"4Gi","cpu":"1"},"limits":{"memory":"4Gi","cpu":"1"}})"),
       403,
       said("pods \"big\" is forbidden: maximum memory usage per Container is 1Gi, but limit "
            "is 4Gi")},
      {"POST " + pods,
       pod("wide",
           R"({"requests":{"memory":"1Mi","cpu":"1"},"limits":{"memory":"4Mi","cpu":"3"}})"),
       403,
       said("pods \"wide\" is forbidden: [memory max limit to request ratio per Container is "
            "2, but provided ratio is 4.000000, maximum cpu usage per Pod is 2, but limit is "
            "3]")},
      {"POST " + core + "persistentvolumeclaims",
       R"({"metadata":{"name":"c"},"spec":{"accessModes":["ReadWriteOnce"],
           "resources":{"requests":{"storage":"10Gi"}}}})",
       403,
       said("persistentvolumeclaims \"c\" is forbidden: maximum storage usage per "
            "PersistentVolumeClaim is 5Gi, but request is 10Gi")},
  });
}

TEST(ApiLimits, a_claim_that_breaks_a_later_limit_range_may_still_go) {
  TestServer server;
  const std::string claims = core + "persistentvolumeclaims";
  server.create(claims, R"({"metadata":{"name":"c","finalizers":["x.test/held"]},"spec":{
    "accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"10Gi"}}}})");
  server.create(core + "limitranges", R"({"metadata":{"name":"l"},"spec":{"limits":[
    {"type":"PersistentVolumeClaim","max":{"storage":"5Gi"}}]}})");
  const RequestOptions merge{.content_type = "application/merge-patch+json"};
  server.check({{"PATCH " + claims + "/c",
                 R"({"spec":{"resources":{"requests":{"storage":"20Gi"}}}})", 403, "{}"},
                {"PATCH " + claims + "/c", R"({"metadata":{"finalizers":null}})", 200, "{}"}},
               merge);
}

TEST(ApiLimits, a_quota_is_never_exceeded_and_says_by_what_it_would_be) {
  TestServer server;
  server.create(core + "resourcequotas", R"({"metadata":{"name":"q"},"spec":{"hard":{
    "pods":"2","requests.cpu":"1","services.nodeports":"1","count/configmaps":"1"}}})");
  const std::string half = R"({"requests":{"cpu":"600m"}})";
  server.check({
      {"POST " + pods, pod("silent"), 403,
       said("pods \"silent\" is forbidden: failed quota: q: must specify requests.cpu for: c")},
      {"POST " + pods, pod("a", half), 201, "{}"},
      {"POST " + pods, pod("b", half), 403,
       said("pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: "
            "requests.cpu=600m, limited: requests.cpu=1")},
      {"POST " + core + "configmaps", R"({"metadata":{"name":"one"}})", 201, "{}"},
      {"POST " + core + "configmaps", R"({"metadata":{"name":"two"}})", 403, "{}"},
      {"PUT " + core + "configmaps/one", R"({"metadata":{"name":"one"},"data":{"a":"1"}})", 200,
       "{}"},
      {"POST " + core + "services",
       R"({"metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[
           {"name":"a","port":1},{"name":"b","port":2}]}})",
       403, "{}"},
      // Its ports were given back.
      {"POST " + core + "services",
       R"({"metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[
           {"name":"a","port":1,"nodePort":30000}]}})",
       201, "{}"},
      {"DELETE " + pods + "/a", "", 200, "{}"},
      {"POST " + pods, pod("b", half), 201, "{}"},
  });
}

TEST(ApiLimits, requests_at_once_do_not_exceed_a_quota_together) {
  TestServer server;
  server.create(core + "resourcequotas",
                R"({"metadata":{"name":"q"},"spec":{"hard":{"pods":"3"}}})");
  std::vector<rt::Task<ApiResponse>> calls;
  calls.reserve(10);
  for (int i = 0; i < 10; ++i) {
    calls.push_back(server.server.call(
        TestServer::make_request("POST " + pods, pod(fmt::format("p{}", i)), {})));
  }
  const auto answers = server.sim.loop.run(rt::all(server.sim.loop, std::move(calls)));
  EXPECT_EQ(std::ranges::count(answers, 201, &ApiResponse::status), 3);
  EXPECT_EQ(std::ranges::count(answers, 403, &ApiResponse::status), 7);
}

TEST(ApiLimits, a_pods_priority_is_that_of_its_class) {
  TestServer server;
  server.create("/apis/scheduling.k8s.io/v1/priorityclasses",
                R"({"metadata":{"name":"urgent"},"value":1000,"preemptionPolicy":"Never"})");
  server.check({
      {"POST " + pods, pod("plain"), 201, R"({"spec":{"priority":0}})"},
      {"POST " + pods, pod("soon", "{}", R"("priorityClassName":"urgent",)"), 201,
       R"({"spec":{"priority":1000,"preemptionPolicy":"Never"}})"},
      {"POST " + pods, pod("sly", "{}", R"("priority":2000000000,)"), 403, "{}"},
      {"POST " + pods, pod("never", "{}", R"("priorityClassName":"none",)"), 403,
       said("pods \"never\" is forbidden: no PriorityClass with name none was found")},
  });
}

}  // namespace
}  // namespace tulle::apiserver
