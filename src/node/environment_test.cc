#include "node/environment.h"

#include "codec/json.h"
#include "kube/object.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::node {
namespace {

namespace json = boost::json;

json::object parse(std::string_view text) { return codec::parse_json(text).value().as_object(); }

kubeclient::ObjectPtr share(std::string_view text) {
  return std::make_shared<const json::object>(parse(text));
}

TEST(Environment, variables_expand_as_upstream_does_it) {
  Environment variables;
  variables.set("A", "one");
  variables.set("EMPTY", "");
  struct Case {
    const char* text;
    const char* expanded;
  };
  for (const Case& each :
       {Case{"$(A)", "one"}, Case{"x$(A)y$(A)", "xoneyone"}, Case{"$(EMPTY)", ""},
        Case{"$(NONE)", "$(NONE)"}, Case{"$$(A)", "$(A)"}, Case{"$$$(A)", "$one"}, Case{"$A", "$A"},
        Case{"$(A", "$(A"}, Case{"a$", "a$"}, Case{"$$", "$"}, Case{"", ""}}) {
    EXPECT_EQ(expand(each.text, variables), each.expanded) << each.text;
  }
}

TEST(Environment, services_give_the_variables_of_docker_links) {
  Environment variables;
  add_service_variables(
      {share(R"({"metadata":{"name":"hello-web"},"spec":{"clusterIP":"10.96.0.7","ports":[
          {"name":"http","port":80,"protocol":"TCP"},{"port":53,"protocol":"UDP"}]}})"),
       share(R"({"metadata":{"name":"headless"},"spec":{"clusterIP":"None",
          "ports":[{"port":1}]}})"),
       share(R"({"metadata":{"name":"external"},"spec":{"type":"ExternalName"}})")},
      variables);
  const std::vector<std::string> expected{"HELLO_WEB_SERVICE_HOST=10.96.0.7",
                                          "HELLO_WEB_SERVICE_PORT=80",
                                          "HELLO_WEB_SERVICE_PORT_HTTP=80",
                                          "HELLO_WEB_PORT=tcp://10.96.0.7:80",
                                          "HELLO_WEB_PORT_80_TCP=tcp://10.96.0.7:80",
                                          "HELLO_WEB_PORT_80_TCP_PROTO=tcp",
                                          "HELLO_WEB_PORT_80_TCP_PORT=80",
                                          "HELLO_WEB_PORT_80_TCP_ADDR=10.96.0.7",
                                          "HELLO_WEB_PORT_53_UDP=udp://10.96.0.7:53",
                                          "HELLO_WEB_PORT_53_UDP_PROTO=udp",
                                          "HELLO_WEB_PORT_53_UDP_PORT=53",
                                          "HELLO_WEB_PORT_53_UDP_ADDR=10.96.0.7"};
  EXPECT_EQ(variables.assignments(), expected);
}

class Container : public testing::Test {
 protected:
  Result<Environment> of(std::string_view container) {
    return make_environment(parse(container), {"PATH=/image", "FROM_IMAGE=1"},
                            {.pod = pod,
                             .pod_address = IpAddress::v4(10, 244, 0, 9),
                             .host_address = IpAddress::v4(127, 0, 0, 1),
                             .references = references,
                             .services = {}});
  }

  json::object pod = parse(R"({"metadata":{"name":"p","namespace":"n","uid":"u",
      "labels":{"app.io/name":"web"}},"spec":{"nodeName":"here"}})");
  References references{
      .config_maps = {{"conf", share(R"({"kind":"ConfigMap","metadata":{"name":"conf",
          "namespace":"n"},"data":{"a":"1","b":"2"}})")}},
      .secrets = {{"hidden", share(R"({"kind":"Secret","metadata":{"name":"hidden",
          "namespace":"n"},"data":{"key":"c2VjcmV0"}})")}}};
};

TEST_F(Container, sources_come_in_order_and_the_last_wins) {
  const auto environment = of(R"j({"env":[
      {"name":"A","value":"x"},{"name":"B","value":"$(A)-$(C)-$(P_a)"},{"name":"C","value":"y"},
      {"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
      {"name":"LABEL","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['app.io/name']"}}},
      {"name":"NODE","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}},
      {"name":"KEY","valueFrom":{"secretKeyRef":{"name":"hidden","key":"key"}}},
      {"name":"CPU","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}},
      {"name":"NONE","valueFrom":{"configMapKeyRef":{"name":"no","key":"k","optional":true}}}],
      "envFrom":[{"prefix":"P_","configMapRef":{"name":"conf"}}],
      "resources":{"limits":{"cpu":"2"}}})j");
  ASSERT_TRUE(environment) << environment.error().message;
  const std::vector<std::string> expected{
      "PATH=/image", "HOSTNAME=p", "FROM_IMAGE=1", "P_a=1",         "P_b=2",
      "A=x",         "B=x-$(C)-1", "C=y",          "IP=10.244.0.9", "LABEL=web",
      "NODE=here",   "KEY=secret", "CPU=2"};
  EXPECT_EQ(environment->assignments(), expected);
}

TEST_F(Container, what_is_missing_is_named) {
  struct Case {
    const char* container;
    const char* message;
  };
  for (const Case& each :
       {Case{R"({"envFrom":[{"configMapRef":{"name":"no"}}]})", "configmap \"no\" not found"},
        Case{R"({"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"no","key":"k"}}}]})",
             "secret \"no\" not found"},
        Case{R"({"env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"conf","key":"k"}}}]})",
             "couldn't find key k in ConfigMap n/conf"}}) {
    const auto environment = of(each.container);
    ASSERT_FALSE(environment);
    EXPECT_EQ(environment.error().message, each.message);
    EXPECT_EQ(environment.error().code, Code::not_found);
  }
}

}  // namespace
}  // namespace tulle::node
