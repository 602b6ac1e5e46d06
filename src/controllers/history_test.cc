#include "controllers/history.h"

#include "codec/json.h"
#include "kube/patch.h"
#include "kube/scheme.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>

namespace tulle::controllers {
namespace {

json::object set_with(std::string_view image) {
  return codec::parse_json(fmt::format(R"({{"apiVersion":"apps/v1","kind":"StatefulSet",
      "metadata":{{"name":"db","namespace":"shop","uid":"u1","annotations":{{"a":"b"}}}},
      "spec":{{"replicas":3,"selector":{{"matchLabels":{{"app":"db"}}}},
        "template":{{"spec":{{"containers":[{{"name":"main","image":"{}"}}]}},
                     "metadata":{{"labels":{{"app":"db"}}}}}}}}}})",
                                       image))
      ->as_object();
}

TEST(History, a_revision_is_a_patch_that_brings_its_template_back) {
  const json::object old = set_with("db:1");
  const json::object revision = new_revision(old, "controller.kubernetes.io/hash", 4);
  EXPECT_EQ(json::serialize(revision.at("data")),
            R"({"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"db"}},)"
            R"("spec":{"containers":[{"image":"db:1","name":"main"}]}}}})");
  EXPECT_EQ(template_in(revision), kube::object_at(old, "spec.template"));

  json::object now = set_with("db:2");
  kube::set_at(now, "spec.template.metadata.labels.more", "yes");
  const auto scheme = kube::make_builtin_scheme();
  ASSERT_TRUE(scheme);
  const auto type = (*scheme)->find_kind("apps/v1", "StatefulSet");
  ASSERT_TRUE(type);
  const auto back = kube::apply_strategic_merge(*type->schema, now, revision.at("data"));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, old);
}

TEST(History, a_revision_is_named_by_its_owner_its_data_and_the_collisions_so_far) {
  json::object owner = set_with("db:1");
  const json::object first = new_revision(owner, "controller.kubernetes.io/hash", 1);
  const std::string hash(kube::label_of(first, "controller.kubernetes.io/hash"));
  EXPECT_EQ(kube::name_of(first), "db-" + hash);
  EXPECT_EQ(kube::label_of(first, "app"), "db");
  EXPECT_EQ(kube::annotation_of(first, "a"), "b");
  EXPECT_TRUE(kube::is_controlled_by(first, "u1"));
  EXPECT_EQ(kube::name_of(new_revision(owner, "controller.kubernetes.io/hash", 9)),
            kube::name_of(first));
  EXPECT_NE(kube::name_of(new_revision(set_with("db:2"), "controller.kubernetes.io/hash", 1)),
            kube::name_of(first));
  kube::set_at(owner, "status.collisionCount", 1);
  EXPECT_NE(kube::name_of(new_revision(owner, "controller.kubernetes.io/hash", 1)),
            kube::name_of(first));
  kube::set_at(owner, "metadata.name", json::string(std::string(253, 'x')));
  EXPECT_LE(kube::name_of(new_revision(owner, "controller.kubernetes.io/hash", 1)).size(), 253U);
}

ObjectPtr revision(std::string_view name, std::int64_t number, std::string_view created = {}) {
  return std::make_shared<const json::object>(json::object{
      {"metadata", {{"name", name}, {"creationTimestamp", created}}}, {"revision", number}});
}

std::string names_of(const std::vector<ObjectPtr>& revisions) {
  std::string names;
  for (const ObjectPtr& each : revisions) names += std::string(kube::name_of(*each)) + " ";
  return names;
}

TEST(History, is_in_order_of_number_then_of_age) {
  std::vector<ObjectPtr> revisions = {revision("d", 10), revision("c", 2, "2030-01-02T00:00:00Z"),
                                      revision("b", 2, "2030-01-01T00:00:00Z"), revision("a", 1)};
  sort_oldest_first(revisions);
  EXPECT_EQ(names_of(revisions), "a b c d ");
}

TEST(History, the_oldest_go_beyond_the_limit_but_never_one_that_lives) {
  const std::vector<ObjectPtr> revisions = {revision("a", 1), revision("b", 2), revision("c", 3),
                                            revision("d", 4), revision("e", 5)};
  struct Row {
    LiveRevisions live;
    std::size_t limit;
    std::string gone;
  };
  const std::vector<Row> rows = {
      {{"e"}, 10, ""},
      {{"e"}, 4, ""},
      {{"e"}, 2, "a b "},
      {{"a", "e"}, 2, "b "},
      {{"a", "e"}, 0, "b c d "},
      {{"a", "b", "c", "d", "e"}, 0, ""},
      {{}, 5, ""},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(names_of(forgettable(revisions, row.live, row.limit)), row.gone)
        << row.live.size() << " live, limit " << row.limit;
  }
}

}  // namespace
}  // namespace tulle::controllers
