#include "kube/openapi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::kube {
namespace {

namespace json = boost::json;

class OpenApi : public testing::Test {
 protected:
  void SetUp() override { scheme_ = make_builtin_scheme().value(); }

  json::value document(std::string_view path) {
    std::optional<std::string> text = openapi_document(*scheme_, path);
    EXPECT_TRUE(text) << path;
    return json::parse(text.value_or("{}"));
  }

  static std::string at(const json::value& document, std::string_view pointer) {
    json::error_code error;
    const json::value* found = document.find_pointer(pointer, error);
    return found == nullptr ? "absent" : json::serialize(*found);
  }

  std::unique_ptr<Scheme> scheme_;
};

TEST_F(OpenApi, the_index_leads_to_every_group_version_by_its_hash) {
  json::value index = json::parse(openapi_index(*scheme_));
  const json::object& paths = index.at("paths").as_object();
  EXPECT_EQ(paths.size(), scheme_->group_versions().size());
  std::string hash = openapi_hash(openapi_document(*scheme_, "apis/apps/v1").value());
  EXPECT_EQ(at(index, "/paths/apis~1apps~1v1/serverRelativeURL"),
            "\"/openapi/v3/apis/apps/v1?hash=" + hash + "\"");
  EXPECT_FALSE(openapi_document(*scheme_, "apis/nothing/v1"));
}

TEST_F(OpenApi, a_patch_of_every_kind_takes_field_validation) {
  json::value apps = document("apis/apps/v1");
  std::string patch = "/paths/~1apis~1apps~1v1~1namespaces~1{namespace}~1deployments~1{name}/patch";
  EXPECT_EQ(at(apps, patch + "/x-kubernetes-group-version-kind"),
            R"({"group":"apps","kind":"Deployment","version":"v1"})");
  EXPECT_EQ(at(apps, patch + "/parameters/2/name"), R"("fieldValidation")");
  EXPECT_EQ(at(apps, patch + "/requestBody/content/application~1strategic-merge-patch+json"), "{}");
  EXPECT_NE(at(document("api/v1"), "/paths/~1api~1v1~1nodes~1{name}/patch"), "absent");
}

TEST_F(OpenApi, schemas_carry_what_kubectl_merges_and_explains_by) {
  json::value apps = document("apis/apps/v1");
  std::string schemas = "/components/schemas/";
  EXPECT_EQ(at(apps, schemas + "io.k8s.api.apps.v1.Deployment/x-kubernetes-group-version-kind"),
            R"([{"group":"apps","kind":"Deployment","version":"v1"}])");
  std::string containers = schemas + "io.k8s.api.core.v1.PodSpec/properties/containers";
  EXPECT_EQ(at(apps, containers + "/x-kubernetes-patch-merge-key"), R"("name")");
  EXPECT_EQ(at(apps, containers + "/x-kubernetes-patch-strategy"), R"("merge")");
  EXPECT_EQ(at(apps, containers + "/x-kubernetes-list-map-keys"), R"(["name"])");
  EXPECT_EQ(at(apps, containers + "/items/$ref"),
            R"("#/components/schemas/io.k8s.api.core.v1.Container")");
  EXPECT_EQ(at(apps, schemas + "io.k8s.api.apps.v1.DeploymentSpec/required"),
            R"(["selector","template"])");
  EXPECT_EQ(at(apps, schemas + "io.k8s.api.apps.v1.DeploymentSpec/properties/strategy/"
                               "x-kubernetes-patch-strategy"),
            R"("retainKeys")");
  EXPECT_THAT(at(apps, schemas + "io.k8s.api.apps.v1.DeploymentSpec/properties/replicas"),
              testing::HasSubstr(R"("description":"How many pods)"));
  EXPECT_THAT(at(apps, schemas + "io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
              testing::HasSubstr("int-or-string"));
}

TEST_F(OpenApi, every_reference_leads_to_a_schema_of_the_document) {
  for (const auto& [group, version] : scheme_->group_versions()) {
    std::string text = openapi_document(*scheme_, openapi_path(group, version)).value();
    json::value parsed = json::parse(text);
    constexpr std::string_view marker = R"("$ref":"#/components/schemas/)";
    for (std::size_t at = text.find(marker); at != text.npos; at = text.find(marker, at + 1)) {
      std::size_t start = at + marker.size();
      std::string name = text.substr(start, text.find('"', start) - start);
      EXPECT_TRUE(parsed.at("components").at("schemas").as_object().contains(name)) << name;
    }
  }
}

}  // namespace
}  // namespace tulle::kube
