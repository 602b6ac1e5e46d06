#include "kube/object.h"
#include "kube/patch.h"
#include "kube/scheme.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::kube {
namespace {

json::object parse(std::string_view text) { return json::parse(text).as_object(); }

class StrategicPatch : public testing::Test {
 protected:
  ApiResult<json::object> apply(std::string_view kind, std::string_view live,
                                std::string_view patch) const {
    const Schema* schema = (*scheme_)->find_schema("v1", kind);
    if (schema == nullptr) schema = (*scheme_)->find_schema("apps/v1", kind);
    return apply_strategic_merge(*schema, parse(live), json::parse(patch));
  }

  // Patches the spec of a pod.
  void expect_spec(std::string_view live, std::string_view patch, std::string_view result) const {
    const auto wrap = [](std::string_view spec) { return "{\"spec\": " + std::string(spec) + "}"; };
    const auto patched = apply("Pod", wrap(live), wrap(patch));
    ASSERT_TRUE(patched) << patched.error().message;
    EXPECT_EQ(json::serialize(*patched), json::serialize(parse(wrap(result)))) << patch;
  }

  Result<std::unique_ptr<Scheme>> scheme_ = make_builtin_scheme();
};

TEST_F(StrategicPatch, containers_merge_by_name_and_their_env_and_ports_by_their_keys) {
  expect_spec(
      R"({"containers": [
        {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}],
         "ports": [{"containerPort": 80, "name": "http"}]},
        {"name": "b", "image": "b:1"}]})",
      R"({"containers": [
        {"name": "a", "image": "a:2", "env": [{"name": "X", "value": "2"}],
         "ports": [{"containerPort": 80, "protocol": "TCP"}]}]})",
      R"({"containers": [
        {"name": "a", "image": "a:2", "env": [{"name": "X", "value": "2"}],
         "ports": [{"containerPort": 80, "name": "http", "protocol": "TCP"}]},
        {"name": "b", "image": "b:1"}]})");
}

TEST_F(StrategicPatch, lists_without_a_merge_key_are_replaced_and_null_deletes) {
  expect_spec(
      R"({"containers": [{"name": "a", "command": ["x", "y"], "image": "i"}], "nodeName": "n"})",
      R"({"containers": [{"name": "a", "command": ["z"], "image": null}], "nodeName": null})",
      R"({"containers": [{"name": "a", "command": ["z"]}]})");
}

TEST_F(StrategicPatch, a_new_element_goes_first_unless_an_order_is_given) {
  expect_spec(R"({"containers": [{"name": "a"}, {"name": "b"}]})",
              R"({"containers": [{"name": "c", "image": null}]})",
              R"({"containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}]})");
  expect_spec(R"({"containers": [{"name": "a"}, {"name": "b"}]})",
              R"({"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
                  "containers": [{"name": "c"}]})",
              R"({"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]})");
}

TEST_F(StrategicPatch, an_order_alone_sorts_and_keeps_the_servers_own_elements_in_place) {
  expect_spec(R"({"containers": [{"name": "a"}, {"name": "injected"}, {"name": "b"}]})",
              R"({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]})",
              R"({"containers": [{"name": "injected"}, {"name": "b"}, {"name": "a"}]})");
  expect_spec(R"({"containers": [{"name": "a"}, {"name": "injected"}, {"name": "b"}]})",
              R"({"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}]})",
              R"({"containers": [{"name": "a"}, {"name": "injected"}, {"name": "b"}]})");
}

TEST_F(StrategicPatch, elements_are_deleted_and_lists_replaced_by_directive) {
  expect_spec(R"({"containers": [{"name": "a"}, {"name": "b"}]})",
              R"({"$setElementOrder/containers": [{"name": "b"}],
                  "containers": [{"$patch": "delete", "name": "a"}]})",
              R"({"containers": [{"name": "b"}]})");
  expect_spec(R"({"containers": [{"name": "a"}, {"name": "b"}]})",
              R"({"containers": [{"$patch": "replace"}, {"name": "c"}]})",
              R"({"containers": [{"name": "c"}]})");
  expect_spec(R"({"containers": [{"name": "a"}]})",
              R"({"initContainers": [{"$patch": "delete", "name": "x"}, {"name": "y"}]})",
              R"({"containers": [{"name": "a"}], "initContainers": [{"name": "y"}]})");
}

TEST_F(StrategicPatch, objects_are_replaced_emptied_or_merged_by_directive) {
  expect_spec(R"({"nodeSelector": {"a": "1", "b": "2"}})",
              R"({"nodeSelector": {"$patch": "replace", "c": "3"}})",
              R"({"nodeSelector": {"c": "3"}})");
  expect_spec(R"({"nodeSelector": {"a": "1"}})", R"({"nodeSelector": {"$patch": "delete"}})",
              R"({"nodeSelector": {}})");
  expect_spec(R"({"nodeSelector": {"a": "1"}})",
              R"({"nodeSelector": {"$patch": "merge", "b": "2"}})",
              R"({"nodeSelector": {"a": "1", "b": "2"}})");
}

TEST_F(StrategicPatch, retain_keys_drops_the_other_source_of_a_volume) {
  expect_spec(
      R"({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": {"path": "/"}}]})",
      R"({"volumes": [{"name": "v", "$retainKeys": ["name", "secret"],
                       "secret": {"secretName": "s"}}]})",
      R"({"volumes": [{"name": "v", "secret": {"secretName": "s"}},
                      {"name": "w", "hostPath": {"path": "/"}}]})");
  const auto strategy = apply(
      "Deployment",
      R"({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}})",
      R"({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})");
  ASSERT_TRUE(strategy);
  EXPECT_EQ(*strategy, parse(R"({"spec": {"strategy": {"type": "Recreate"}}})"));
}

TEST_F(StrategicPatch, finalizers_merge_as_a_set_and_leave_by_directive) {
  const auto added = apply("ConfigMap", R"({"metadata": {"finalizers": ["a/x", "b/y"]}})",
                           R"({"metadata": {"finalizers": ["c/z", "a/x"]}})");
  ASSERT_TRUE(added);
  EXPECT_EQ(*added, parse(R"({"metadata": {"finalizers": ["c/z", "a/x", "b/y"]}})"));
  const auto removed = apply("ConfigMap", R"({"metadata": {"finalizers": ["a/x", "b/y", "c/z"]}})",
                             R"({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/x"],
                             "$setElementOrder/finalizers": ["c/z", "b/y"]}})");
  ASSERT_TRUE(removed);
  EXPECT_EQ(*removed, parse(R"({"metadata": {"finalizers": ["c/z", "b/y"]}})"));
}

TEST_F(StrategicPatch, service_ports_merge_by_port_and_labels_by_key) {
  const auto patched = apply("Service",
                             R"({"metadata": {"labels": {"a": "1", "b": "2"}},
          "spec": {"ports": [{"port": 80, "nodePort": 30000}, {"port": 443}]}})",
                             R"({"metadata": {"labels": {"a": null, "c": "3"}},
          "spec": {"$setElementOrder/ports": [{"port": 443}, {"port": 80}],
                   "ports": [{"port": 80, "targetPort": "web"}]}})");
  ASSERT_TRUE(patched);
  EXPECT_EQ(*patched, parse(R"({"metadata": {"labels": {"b": "2", "c": "3"}},
      "spec": {"ports": [{"port": 443}, {"port": 80, "nodePort": 30000, "targetPort": "web"}]}})"));
}

TEST_F(StrategicPatch, directives_do_not_stay_in_fields_that_are_new) {
  expect_spec(R"({})",
              R"({"containers": [{"name": "a", "$setElementOrder/env": [{"name": "X"}],
                                  "env": [{"name": "X", "value": null}]}],
                  "securityContext": {"$retainKeys": ["runAsUser"], "runAsUser": 1}})",
              R"({"containers": [{"name": "a", "env": [{"name": "X"}]}],
                  "securityContext": {"runAsUser": 1}})");
}

TEST_F(StrategicPatch, a_bad_patch_is_400_and_says_why) {
  struct Row {
    std::string_view patch;
    std::string_view part;
  };
  constexpr Row rows[] = {
      {R"([])", "must be an object"},
      {R"({"spec": {"$patch": "grow"}})", "unknown patch type: \"grow\""},
      {R"({"spec": {"containers": [{"image": "x"}]}})",
       "does not contain declared merge key: name"},
      {R"({"spec": {"containers": ["x"]}})", "does not contain declared merge key: name"},
      {R"({"spec": {"containers": [{"$patch": "merge", "name": "a"}]}})",
       "merging lists cannot yet be specified in the patch"},
      {R"({"spec": {"$retainKeys": ["a"], "b": 1}})", "invalid patch format of retainKeys"},
      {R"({"spec": {"$setElementOrder/containers": 1}})",
       "invalid patch format of setElementOrder list"},
      {R"({"spec": {"$setElementOrder/containers": [{"name": "b"}],
                    "containers": [{"name": "a"}]}})",
       "doesn't match $setElementOrder/containers list"},
      {R"({"spec": {"$deleteFromPrimitiveList/finalizers": 1}})",
       "invalid patch format of primitive list"},
  };
  for (const Row& row : rows) {
    const auto result = apply("Pod", R"({"spec": {"containers": [{"name": "a"}]}})", row.patch);
    ASSERT_FALSE(result) << row.patch;
    EXPECT_EQ(result.error().code, 400);
    EXPECT_NE(result.error().message.find(row.part), std::string::npos) << result.error().message;
  }
}

}  // namespace
}  // namespace tulle::kube
