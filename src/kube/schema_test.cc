// The built-in scheme: loading, lookups, and the data's own sanity.
#include "kube/schema.h"

#include "kube/rules.h"
#include "kube/scheme.h"
#include "kube/types.h"
#include "kube/validate_format.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tulle::kube {
namespace {

class BuiltinScheme : public testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Scheme>> made = make_builtin_scheme();
    ASSERT_TRUE(made) << made.error().message;
    scheme_ = std::move(*made);
  }

  const Schema* at(std::string_view api_version, std::string_view kind,
                   std::initializer_list<std::string_view> path) {
    const Schema* schema = scheme_->find_schema(api_version, kind);
    for (std::string_view step : path) {
      if (schema != nullptr && schema->items != nullptr) schema = schema->items;
      schema = schema == nullptr ? nullptr : schema->member(step);
    }
    return schema;
  }

  std::unique_ptr<Scheme> scheme_;
};

TEST_F(BuiltinScheme, a_kind_is_found_by_resource_and_by_kind) {
  KindRef deployment = scheme_->find_resource("apps", "v1", "deployments");
  ASSERT_TRUE(deployment);
  EXPECT_EQ(deployment, scheme_->find_kind("apps/v1", "Deployment"));
  EXPECT_EQ(deployment->group_resource(), "deployments.apps");
  EXPECT_EQ(deployment->group_kind(), "Deployment.apps");
  EXPECT_EQ(deployment->list_kind, "DeploymentList");
  EXPECT_EQ(deployment->short_names, std::vector<std::string>{"deploy"});
  EXPECT_EQ(deployment->scale->selector, ".spec.selector");
  EXPECT_EQ(deployment->generation, Generation::spec);
  EXPECT_FALSE(deployment->columns.empty());
  EXPECT_EQ(scheme_->find_kind("v1", "Pod")->find_subresource("eviction")->kind, "Eviction");
  EXPECT_FALSE(scheme_->find_resource("apps", "v1", "pods"));
}

TEST_F(BuiltinScheme, bodies_that_are_no_resources_have_schemas_too) {
  EXPECT_NE(scheme_->find_schema("apps/v1", "DeleteOptions"), nullptr);
  EXPECT_NE(scheme_->find_schema("policy/v1", "Eviction"), nullptr);
  EXPECT_EQ(scheme_->find_schema("policy/v1", "Evictions"), nullptr);
  EXPECT_FALSE(scheme_->find_kind("authorization.k8s.io/v1", "SelfSubjectAccessReview")->stored);
}

TEST_F(BuiltinScheme, list_keys_and_patch_strategies_are_those_of_upstream) {
  const Schema* ports = at("v1", "Pod", {"spec", "containers", "ports"});
  ASSERT_NE(ports, nullptr);
  EXPECT_EQ(ports->list_type, ListType::map);
  EXPECT_EQ(ports->list_map_keys, (std::vector<std::string_view>{"containerPort", "protocol"}));
  EXPECT_TRUE(ports->patch_merge);
  EXPECT_EQ(ports->patch_merge_key, "containerPort");
  EXPECT_TRUE(at("apps/v1", "Deployment", {"spec", "strategy"})->patch_retain_keys);
  EXPECT_EQ(at("apps/v1", "Deployment", {"spec", "selector"})->map_type, MapType::atomic);
  EXPECT_EQ(at("v1", "Pod", {"metadata", "finalizers"})->list_type, ListType::set);
  EXPECT_EQ(at("v1", "Pod", {"spec", "containers", "command"})->list_type, ListType::atomic);
}

TEST_F(BuiltinScheme, fields_of_embedded_types_are_among_the_properties) {
  const Schema* config_map = at("v1", "Pod", {"spec", "volumes", "configMap"});
  ASSERT_NE(config_map, nullptr);
  EXPECT_NE(config_map->member("name"), nullptr);
  EXPECT_EQ(config_map->object->find("name")->protobuf_number, 0U);
}

TEST_F(BuiltinScheme, formats_that_the_data_names_exist) {
  for (const KindRef& kind : scheme_->kinds()) {
    EXPECT_TRUE(kind->name_format.empty() || is_text_format(kind->name_format)) << kind->kind;
  }
  for (const ObjectType& type : scheme_->kinds()[0]->schemas->types()) {
    for (const ValidationRule* rule : type.validations) {
      bool names_format = rule->check == ValidationRule::Check::format ||
                          rule->check == ValidationRule::Check::keys;
      if (names_format) EXPECT_TRUE(is_text_format(rule->arguments[0])) << rule->arguments[0];
    }
  }
}

TEST_F(BuiltinScheme, the_core_group_comes_first_and_kinds_are_sorted) {
  EXPECT_EQ(scheme_->group_versions().front(), (std::pair<std::string, std::string>{"", "v1"}));
  EXPECT_EQ(scheme_->kinds().front()->plural, "configmaps");
}

TEST_F(BuiltinScheme, a_custom_kind_is_added_replaced_and_removed) {
  KindDefinition kind;
  kind.group = "tulle.dev";
  kind.version = "v1";
  kind.kind = "Gadget";
  kind.plural = "gadgets";
  std::uint64_t revision = scheme_->revision();
  ASSERT_TRUE(scheme_->add(kind));
  EXPECT_GT(scheme_->revision(), revision);
  kind.singular = "gadget";
  ASSERT_TRUE(scheme_->add(kind));
  KindRef held = scheme_->find_kind("tulle.dev/v1", "Gadget");
  EXPECT_EQ(held->singular, "gadget");
  kind.plural = "gizmos";
  EXPECT_FALSE(scheme_->add(kind));
  EXPECT_TRUE(scheme_->remove("tulle.dev", "v1", "gadgets"));
  EXPECT_FALSE(scheme_->remove("tulle.dev", "v1", "gadgets"));
  EXPECT_EQ(held->kind, "Gadget");
}

TEST(SchemaData, a_mistake_is_reported_with_file_and_line) {
  struct Row {
    std::string_view text;
    std::string_view message;
  };
  constexpr Row rows[] = {
      {"type a/v1.A\n  x 1 nonsense\n", "t.txt:2: unknown type or flag"},
      {"type a/v1.A\n  x one string\n", "t.txt:2: not a protobuf number"},
      {"  x 1 string\n", "t.txt:1: a field before the first type"},
      {"type a/v1.A\n\n# c\ntype a/v1.A\n", "t.txt:4: type given twice"},
  };
  for (const Row& row : rows) {
    SchemaSet schemas;
    Result<void> loaded = load_types(schemas, "t.txt", row.text);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().message, row.message);
  }
  SchemaSet schemas;
  ASSERT_TRUE(load_types(schemas, "t.txt", "type a/v1.A\n  x 1 string\n"));
  EXPECT_EQ(load_defaults(schemas, "d.txt", "a/v1.A y = 1\n").error().message,
            "d.txt:1: unknown field");
  EXPECT_EQ(load_validations(schemas, "v.txt", "\na/v1.A x range 1\n").error().message,
            "v.txt:2: bad path, check or condition");
}

}  // namespace
}  // namespace tulle::kube
