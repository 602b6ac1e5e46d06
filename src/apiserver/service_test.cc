// Cluster addresses and node ports of Services.
#include "apiserver/test_server.h"

#include <gtest/gtest.h>

#include <set>

namespace tulle::apiserver {
namespace {

using testing::HasSubstr;

const std::string services = "/api/v1/namespaces/default/services";
const RequestOptions merge{.content_type = "application/merge-patch+json"};

std::string service(std::string_view name, std::string_view more) {
  return R"({"metadata":{"name":")" + std::string(name) + R"("},"spec":{"ports":[{"port":80}])" +
         std::string(more) + "}}";
}

std::string address_of(const Answer& answer) {
  return std::string(kube::string_at(answer.object(), "spec.clusterIP"));
}
std::int64_t node_port_of(const Answer& answer) {
  json::object object = answer.object();
  const json::array& ports = kube::array_at(object, "spec.ports");
  EXPECT_EQ(ports.size(), 1u) << answer.text;
  return ports.empty() ? -1 : kube::integer_at(ports[0].as_object(), "nodePort");
}

TEST(ApiServices, the_api_itself_is_the_first_service) {
  TestServer server;
  server.check({{"GET " + services + "/kubernetes", "", 200,
                 R"({"spec":{"clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1"],
                     "ports":[{"name":"https","port":443,"protocol":"TCP",
                     "targetPort":6443}]}})"}});
}

TEST(ApiServices, the_answer_to_a_post_holds_the_address) {
  TestServer server;
  Answer made = server.ask("POST " + services, service("web", ""));
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_TRUE(Cidr::parse("10.96.0.0/12")->contains(*IpAddress::parse(address_of(made))));
  EXPECT_TRUE(holds(json::value(made.object()),
                    parse(R"({"spec":{"ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack",
                              "type":"ClusterIP","sessionAffinity":"None",
                              "clusterIPs":[")" +
                          address_of(made) + R"("],
                              "ports":[{"port":80,"targetPort":80,"nodePort":null}]}})")))
      << made.text;
  TestServer again;
  EXPECT_EQ(address_of(again.ask("POST " + services, service("web", ""))), address_of(made));
}

TEST(ApiServices, addresses_are_unique_checked_and_given_back) {
  auto options = TestServer::default_options();
  options.service_addresses = *Cidr::parse("10.96.0.0/28");  // 14 usable, two of them reserved
  TestServer server(options);
  std::set<std::string> given;
  for (int i = 0; i < 12; ++i) {
    Answer made = server.ask("POST " + services, service("s" + std::to_string(i), ""));
    ASSERT_EQ(made.status, 201) << made.text;
    EXPECT_TRUE(given.insert(address_of(made)).second);
  }
  EXPECT_FALSE(given.contains("10.96.0.1") || given.contains("10.96.0.10"));
  Answer full = server.ask("POST " + services, service("full", ""));
  EXPECT_EQ(full.status, 500);
  EXPECT_THAT(full.text, HasSubstr("range is full"));
  std::string taken = *given.begin();
  Answer refused = server.ask("POST " + services, service("x", R"(,"clusterIP":")" + taken + "\""));
  EXPECT_EQ(refused.status, 422);
  EXPECT_THAT(refused.text, HasSubstr("provided IP is already allocated"));
  refused = server.ask("POST " + services, service("x", R"(,"clusterIP":"10.97.0.1")"));
  EXPECT_EQ(refused.status, 422);
  EXPECT_THAT(refused.text, HasSubstr("is not in the valid range. The range of valid IPs is "
                                      "10.96.0.0/28"));
  server.check({
      {"POST " + services, service("dns", R"(,"clusterIP":"10.96.0.10")"), 201, "{}"},
      {"DELETE " + services + "/s3", "", 200, "{}"},
      {"POST " + services + "?dryRun=All", service("full", ""), 201, "{}"},
      {"POST " + services, service("full", ""), 201, "{}"},
      {"POST " + services, service("more", ""), 500, "{}"},
  });
}

TEST(ApiServices, an_address_stays_and_may_not_change) {
  TestServer server;
  std::string address = address_of(server.ask("POST " + services, service("web", "")));
  server.check({
      {"PUT " + services + "/web", service("web", R"(,"selector":{"a":"b"})"), 200,
       R"({"spec":{"clusterIP":")" + address + R"(","selector":{"a":"b"}}})"},
      {"PUT " + services + "/web", service("web", R"(,"clusterIP":"10.96.7.7")"), 422,
       R"({"reason":"Invalid"})"},
      {"POST " + services, service("headless", R"(,"clusterIP":"None")"), 201,
       R"({"spec":{"clusterIP":"None","clusterIPs":["None"]}})"},
      {"POST " + services, service("out", R"(,"type":"ExternalName","externalName":"x.example")"),
       201, R"({"spec":{"clusterIP":null,"clusterIPs":null}})"},
  });
}

TEST(ApiServices, node_ports_are_given_kept_and_taken_back) {
  TestServer server;
  Answer made = server.ask("POST " + services, service("web", R"(,"type":"NodePort")"));
  ASSERT_EQ(made.status, 201) << made.text;
  std::int64_t port = node_port_of(made);
  EXPECT_GE(port, node_port_first);
  EXPECT_LE(port, node_port_last);
  std::string taken = R"({"metadata":{"name":"x"},"spec":{"type":"NodePort",
                          "ports":[{"port":1,"nodePort":)" +
                      std::to_string(port) + "}]}}";
  Answer refused = server.ask("POST " + services, taken);
  EXPECT_EQ(refused.status, 422);
  EXPECT_THAT(refused.text, HasSubstr("provided port is already allocated"));
  refused = server.ask("POST " + services, R"({"metadata":{"name":"x"},"spec":{"type":"NodePort",
                                               "ports":[{"port":1,"nodePort":80}]}})");
  EXPECT_EQ(refused.status, 422);
  EXPECT_THAT(refused.text, HasSubstr("The range of valid ports is 30000-32767"));
  EXPECT_EQ(node_port_of(server.ask("PUT " + services + "/web",
                                    service("web", R"(,"type":"LoadBalancer")"))),
            port);
  EXPECT_EQ(node_port_of(server.ask("PATCH " + services + "/web",
                                    R"({"spec":{"type":"ClusterIP"}})", merge)),
            0);
  EXPECT_EQ(server.ask("POST " + services, taken).status, 201);
}

TEST(ApiServices, a_port_for_health_checks_is_given_where_the_policy_is_local) {
  TestServer server;
  const auto health_port_of = [](const Answer& answer) {
    return kube::integer_at(answer.object(), "spec.healthCheckNodePort");
  };
  const std::string local = R"(,"type":"LoadBalancer","externalTrafficPolicy":"Local")";
  const Answer made = server.ask("POST " + services, service("web", local));
  ASSERT_EQ(made.status, 201) << made.text;
  const std::int64_t port = health_port_of(made);
  EXPECT_GE(port, node_port_first);
  EXPECT_LE(port, node_port_last);
  EXPECT_NE(port, node_port_of(made));
  EXPECT_EQ(health_port_of(server.ask("PUT " + services + "/web", service("web", local))), port);

  const auto with_port = [&](std::int64_t number) {
    return local + R"(,"healthCheckNodePort":)" + std::to_string(number);
  };
  Answer refused = server.ask("PUT " + services + "/web", service("web", with_port(port + 1)));
  EXPECT_EQ(refused.status, 422);
  EXPECT_THAT(refused.text, HasSubstr("field is immutable"));
  refused = server.ask("POST " + services, service("other", with_port(port)));
  EXPECT_EQ(refused.status, 422);
  EXPECT_THAT(refused.text, HasSubstr("provided port is already allocated"));
  refused = server.ask("POST " + services, service("other", with_port(80)));
  EXPECT_THAT(refused.text, HasSubstr("The range of valid ports is 30000-32767"));
  refused = server.ask("POST " + services, service("other", R"(,"type":"NodePort",
      "externalTrafficPolicy":"Local","healthCheckNodePort":30123)"));
  EXPECT_EQ(refused.status, 422);
  EXPECT_THAT(refused.text, HasSubstr("may only be set when"));

  EXPECT_EQ(health_port_of(server.ask("PATCH " + services + "/web",
                                      R"({"spec":{"externalTrafficPolicy":"Cluster"}})", merge)),
            0);
  const Answer next = server.ask("POST " + services, service("other", with_port(port)));
  EXPECT_EQ(next.status, 201) << next.text;
  EXPECT_EQ(health_port_of(next), port);
}

TEST(ApiServices, a_new_server_knows_what_the_store_holds) {
  TestServer server;
  std::string address = address_of(server.ask("POST " + services, service("web", "")));
  ApiServer second(server.sim.loop, server.store, builtin_scheme(), Random(2),
                   TestServer::default_options());
  auto answer = server.sim.loop.run(second.call(TestServer::make_request(
      "POST " + services, service("x", R"(,"clusterIP":")" + address + "\""), {})));
  EXPECT_EQ(answer.status, 422);
}

}  // namespace
}  // namespace tulle::apiserver
