#include "kube/discovery.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::kube {
namespace {

namespace json = boost::json;

class Discovery : public testing::Test {
 protected:
  void SetUp() override { scheme_ = make_builtin_scheme().value(); }

  static const json::object& named(const json::value& list, std::string_view key,
                                   std::string_view name) {
    static const json::object missing;
    for (const json::value& each : list.as_array()) {
      if (each.at(key).as_string() == name) return each.as_object();
    }
    ADD_FAILURE() << "no " << name;
    return missing;
  }

  std::unique_ptr<Scheme> scheme_;
};

TEST_F(Discovery, the_aggregated_core_group_has_one_version_with_all_its_resources) {
  json::value document = json::parse(aggregated_discovery_core(*scheme_));
  EXPECT_EQ(document.at("apiVersion"), "apidiscovery.k8s.io/v2");
  ASSERT_EQ(document.at("items").as_array().size(), 1U);
  const json::value& version = document.at("items").at(0).at("versions").at(0);
  EXPECT_EQ(version.at("version"), "v1");
  json::value pods = named(version.at("resources"), "resource", "pods");
  EXPECT_EQ(pods.at("scope"), "Namespaced");
  EXPECT_EQ(pods.at("shortNames"), json::array({"po"}));
  EXPECT_EQ(pods.at("responseKind").at("kind"), "Pod");
  json::value eviction = named(pods.at("subresources"), "subresource", "eviction");
  EXPECT_EQ(eviction.at("responseKind").at("group"), "policy");
}

TEST_F(Discovery, the_aggregated_groups_are_all_but_the_core) {
  json::value document = json::parse(aggregated_discovery_groups(*scheme_, "v2beta1"));
  EXPECT_EQ(document.at("apiVersion"), "apidiscovery.k8s.io/v2beta1");
  EXPECT_EQ(document.at("items").as_array().size(), scheme_->group_versions().size() - 1);
  EXPECT_EQ(document.at("items").at(0).at("metadata").at("name"), "apps");
}

TEST_F(Discovery, the_legacy_documents_say_the_same) {
  json::value groups = json::parse(api_group_list(*scheme_));
  json::value apps = named(groups.at("groups"), "name", "apps");
  EXPECT_EQ(apps.at("preferredVersion").at("groupVersion"), "apps/v1");
  EXPECT_EQ(json::parse(api_group(*scheme_, "apps").value()).at("kind"), "APIGroup");
  EXPECT_FALSE(api_group(*scheme_, "nothing"));
  EXPECT_FALSE(api_group(*scheme_, ""));
  json::value core = json::parse(api_resource_list(*scheme_, "", "v1").value());
  EXPECT_EQ(core.at("groupVersion"), "v1");
  json::value eviction = named(core.at("resources"), "name", "pods/eviction");
  EXPECT_EQ(eviction.at("group"), "policy");
  EXPECT_EQ(eviction.at("kind"), "Eviction");
  EXPECT_FALSE(api_resource_list(*scheme_, "apps", "v9"));
  EXPECT_EQ(json::parse(api_versions("127.0.0.1:6443")).at("versions"), json::array({"v1"}));
}

}  // namespace
}  // namespace tulle::kube
