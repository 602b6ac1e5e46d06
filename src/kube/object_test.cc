#include "kube/object.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <unordered_set>

namespace tulle::kube {
namespace {

using namespace std::chrono_literals;

json::object parse(std::string_view text) { return json::parse(text).as_object(); }

json::object pod() {
  return parse(R"({
    "apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": "web-1", "namespace": "shop", "uid": "u1", "resourceVersion": "7",
      "generation": 3, "labels": {"app.kubernetes.io/name": "web"},
      "ownerReferences": [{"kind": "Node", "uid": "n"},
                          {"kind": "ReplicaSet", "name": "web", "uid": "r", "controller": true}]},
    "spec": {"priority": 4.0, "hostNetwork": true, "containers": [{"name": "c"}]}})");
}

TEST(Object, reads_fields_by_path_and_falls_back_where_they_are_absent_or_of_another_type) {
  const json::object object = pod();
  EXPECT_EQ(name_of(object), "web-1");
  EXPECT_EQ(namespace_of(object), "shop");
  EXPECT_EQ(generation_of(object), 3);
  EXPECT_EQ(label_of(object, "app.kubernetes.io/name"), "web");
  EXPECT_EQ(label_of(object, "app"), "");
  EXPECT_EQ(integer_at(object, "spec.priority"), 4);
  EXPECT_EQ(integer_at(object, "spec.containers", 9), 9);
  EXPECT_TRUE(bool_at(object, "spec.hostNetwork"));
  EXPECT_EQ(string_at(object, "spec.hostNetwork.deeper", "none"), "none");
  EXPECT_EQ(array_at(object, "spec.containers").size(), 1U);
  EXPECT_TRUE(object_at(object, "status").empty());
  EXPECT_EQ(find(object, "spec.nothing.here"), nullptr);
}

TEST(Object, writing_creates_the_objects_that_lead_to_a_field) {
  json::object object;
  set_at(object, "spec.template.replicas", 2);
  ensure_array(object, "spec.list").push_back("a");
  set_label(object, "a.b/c", "d");
  EXPECT_EQ(object, parse(R"({"spec": {"template": {"replicas": 2}, "list": ["a"]},
                              "metadata": {"labels": {"a.b/c": "d"}}})"));
  EXPECT_TRUE(remove_at(object, "spec.template.replicas"));
  EXPECT_FALSE(remove_at(object, "spec.template.replicas"));
}

TEST(Object, finds_the_controller_among_the_owners) {
  const json::object object = pod();
  ASSERT_NE(controller_of(object), nullptr);
  EXPECT_TRUE(is_controlled_by(object, "r"));
  EXPECT_FALSE(is_controlled_by(object, "n"));
  const json::object reference = controller_reference_to(object);
  EXPECT_EQ(string_at(reference, "uid"), "u1");
  EXPECT_TRUE(bool_at(reference, "controller"));
}

TEST(Object, finalizers_are_added_once_and_vanish_with_the_last) {
  json::object object = pod();
  EXPECT_TRUE(add_finalizer(object, "tulle.dev/a"));
  EXPECT_FALSE(add_finalizer(object, "tulle.dev/a"));
  EXPECT_TRUE(has_finalizer(object, "tulle.dev/a"));
  EXPECT_TRUE(remove_finalizer(object, "tulle.dev/a"));
  EXPECT_FALSE(remove_finalizer(object, "tulle.dev/a"));
  EXPECT_EQ(object, pod());
}

TEST(Object, a_condition_keeps_its_transition_time_until_its_status_changes) {
  json::object object = pod();
  const Time start{1'000'000'000s};
  const Condition ready{.type = "Ready", .status = "True", .reason = "Fine"};
  EXPECT_TRUE(set_condition(object, ready, start));
  EXPECT_FALSE(set_condition(object, ready, start + 5s));
  EXPECT_TRUE(
      set_condition(object, {.type = "Ready", .status = "True", .reason = "Better"}, start + 5s));
  EXPECT_EQ(string_at(*find_condition(object, "Ready"), "lastTransitionTime"),
            "2001-09-09T01:46:40Z");
  EXPECT_TRUE(is_condition_true(object, "Ready"));
  EXPECT_TRUE(set_condition(object, {.type = "Ready", .status = "False"}, start + 5s));
  EXPECT_EQ(string_at(*find_condition(object, "Ready"), "lastTransitionTime"),
            "2001-09-09T01:46:45Z");
  EXPECT_FALSE(find_condition(object, "Ready")->contains("reason"));
}

TEST(Object, equality_leaves_out_version_and_managed_fields_only) {
  const json::object before = pod();
  json::object after = before;
  set_at(after, "metadata.resourceVersion", "8");
  set_at(after, "metadata.managedFields", json::array{1});
  EXPECT_TRUE(equal_ignoring_version(before, after));
  EXPECT_TRUE(equal_ignoring_version(after, before));
  set_label(after, "x", "y");
  EXPECT_FALSE(equal_ignoring_version(before, after));
  after = before;
  set_at(after, "metadata.extra", 1);
  EXPECT_FALSE(equal_ignoring_version(before, after));
  EXPECT_FALSE(equal_ignoring_version(after, before));
  after = before;
  set_at(after, "status.phase", "Running");
  EXPECT_FALSE(equal_ignoring_version(before, after));
}

TEST(Object, keys_go_to_text_and_back) {
  for (const NamespacedName& key : {key_of(pod()), NamespacedName{.name = "node-1"}})
    EXPECT_EQ(parse_key(to_string(key)), key);
  EXPECT_EQ(to_string(ObjectRef{"apps", "deployments", "shop", "web"}),
            "deployments.apps/shop/web");
  const std::unordered_set<NamespacedName> set{key_of(pod())};
  EXPECT_TRUE(set.contains({"shop", "web-1"}));
}

}  // namespace
}  // namespace tulle::kube
