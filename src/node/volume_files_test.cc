#include "node/volume_files.h"

#include "codec/json.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::node {
namespace {

namespace json = boost::json;

json::object parse(std::string_view text) { return codec::parse_json(text).value().as_object(); }

kubeclient::ObjectPtr share(std::string_view text) {
  return std::make_shared<const json::object>(parse(text));
}

class VolumeFilesTest : public testing::Test {
 protected:
  // A line "PATH MODE TEXT" for each file, or the error's message.
  std::string of(std::string_view volume) {
    const auto files = volume_files(parse(volume), {.pod = pod,
                                                    .pod_address = IpAddress::v4(10, 244, 0, 9),
                                                    .host_address = IpAddress::v4(127, 0, 0, 1),
                                                    .references = references,
                                                    .services = {},
                                                    .allocatable = {{"cpu", "4"}}});
    if (!files) return files.error().message;
    std::string out;
    for (const auto& [path, file] : *files) {
      char mode[8];
      std::snprintf(mode, sizeof mode, "%03o", file.mode);
      out += path + " " + mode + " " + file.text + "\n";
    }
    return out;
  }

  json::object pod = parse(R"({"metadata":{"name":"p","namespace":"n","uid":"u",
      "labels":{"b":"two \"2\"","a":"1"}},"spec":{"containers":[{"name":"c","resources":
      {"limits":{"memory":"65Mi"},"requests":{"cpu":"250m"}}}]}})");
  References references{
      .config_maps = {{"conf", share(R"({"kind":"ConfigMap","metadata":{"name":"conf",
          "namespace":"n"},"data":{"a":"1","b":"2"}})")}},
      .secrets = {{"hidden", share(R"({"kind":"Secret","metadata":{"name":"hidden",
          "namespace":"n"},"data":{"key":"c2VjcmV0"}})")}}};
};

TEST_F(VolumeFilesTest, every_source_gives_its_files) {
  struct Case {
    const char* volume;
    const char* files;
  };
  for (const Case& each :
       {Case{R"({"configMap":{"name":"conf"}})", "a 644 1\nb 644 2\n"},
        Case{R"({"configMap":{"name":"conf","defaultMode":256,"items":[{"key":"b","path":"d/x"},
             {"key":"a","path":"y","mode":511}]}})",
             "d/x 400 2\ny 777 1\n"},
        Case{R"({"secret":{"secretName":"hidden","defaultMode":384}})", "key 600 secret\n"},
        Case{R"({"configMap":{"name":"no","optional":true}})", ""},
        Case{R"({"configMap":{"name":"conf","optional":true,"items":[{"key":"no","path":"x"},
             {"key":"a","path":"y"}]}})",
             "y 644 1\n"},
        Case{R"({"downwardAPI":{"items":[
             {"path":"labels","fieldRef":{"fieldPath":"metadata.labels"}},
             {"path":"name","mode":256,"fieldRef":{"fieldPath":"metadata.name"}},
             {"path":"one","fieldRef":{"fieldPath":"metadata.labels['a']"}}]}})",
             "labels 644 a=\"1\"\nb=\"two \\\"2\\\"\"\nname 400 p\none 644 1\n"},
        Case{R"({"projected":{"defaultMode":256,"sources":[{"configMap":{"name":"conf"}},
             {"secret":{"name":"hidden","items":[{"key":"key","path":"a"}]}},
             {"secret":{"name":"no","optional":true}},
             {"downwardAPI":{"items":[{"path":"uid","fieldRef":
             {"fieldPath":"metadata.uid"}}]}}]}})",
             "a 400 secret\nb 400 2\nuid 400 u\n"}}) {
    EXPECT_EQ(of(each.volume), each.files) << each.volume;
  }
}

TEST_F(VolumeFilesTest, resources_are_counted_in_the_divisor) {
  const auto value = [this](std::string_view resource, std::string_view divisor) {
    const json::object reference{
        {"containerName", "c"}, {"resource", resource}, {"divisor", divisor}};
    const json::object item{{"path", "r"}, {"resourceFieldRef", reference}};
    return of(json::serialize(json::object{{"downwardAPI", {{"items", json::array{item}}}}}));
  };
  EXPECT_EQ(value("limits.memory", "0"), "r 644 68157440\n");
  EXPECT_EQ(value("limits.memory", "1Mi"), "r 644 65\n");
  EXPECT_EQ(value("limits.memory", "64Mi"), "r 644 2\n");
  EXPECT_EQ(value("requests.cpu", "0"), "r 644 1\n");
  EXPECT_EQ(value("requests.cpu", "1m"), "r 644 250\n");
  EXPECT_EQ(value("limits.cpu", "1"), "r 644 4\n");  // the node's
  EXPECT_EQ(value("requests.memory", "1"), "r 644 0\n");
}

TEST_F(VolumeFilesTest, what_is_missing_or_leads_out_is_named) {
  struct Case {
    const char* volume;
    const char* message;
  };
  for (const Case& each :
       {Case{R"({"configMap":{"name":"no"}})", "configmap \"no\" not found"},
        Case{R"({"secret":{"secretName":"hidden","items":[{"key":"k","path":"x"}]}})",
             "secret references non-existent secret key: k"},
        Case{R"({"configMap":{"name":"conf","items":[{"key":"a","path":"x/../../y"}]}})",
             "\"x/../../y\" is no path within a volume"},
        Case{R"({"configMap":{"name":"conf","items":[{"key":"a","path":"..data"}]}})",
             "\"..data\" is no path within a volume"},
        Case{R"({"projected":{"sources":[{"serviceAccountToken":{"path":"token"}}]}})",
             "projected source serviceAccountToken is not supported; configMap, secret and "
             "downwardAPI are"}}) {
    EXPECT_EQ(of(each.volume), each.message);
  }
}

}  // namespace
}  // namespace tulle::node
