#include "node/pull_secrets.h"

#include "base/format.h"
#include "codec/base64.h"
#include "codec/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::node {
namespace {

namespace json = boost::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

json::object secret_of(std::string_view logins,
                       std::string_view type = "kubernetes.io/dockerconfigjson") {
  const char* key = type == "kubernetes.io/dockercfg" ? ".dockercfg" : ".dockerconfigjson";
  return {{"kind", "Secret"},
          {"metadata", {{"namespace", "default"}, {"name", "s"}}},
          {"type", type},
          {"data", {{key, codec::base64_encode(logins)}}}};
}

// The user names of the logins that are for `image`, where each entry of the secret has `auth`
// "NAME".
std::vector<std::string> users(const std::string& names, std::string_view image) {
  std::string auths;
  std::string_view rest = names;
  while (!rest.empty()) {
    const std::size_t space = std::min(rest.find(' '), rest.size());
    const std::string name(rest.substr(0, space));
    rest.remove_prefix(std::min(space + 1, rest.size()));
    auths += fmt::format(R"({}"{}":{{"auth":"{}"}})", auths.empty() ? "" : ",", name, name);
  }
  const auto files =
      logins_for(secret_of(R"({"auths":{)" + auths + "}}"), *parse_image_reference(image));
  EXPECT_TRUE(files) << files.error().message;
  std::vector<std::string> found;
  for (const std::string& file : *files) {
    const json::value value = *codec::parse_json(file);
    const json::object& entries = value.at("auths").as_object();
    EXPECT_EQ(entries.begin()->key(), parse_image_reference(image)->registry);
    found.emplace_back(entries.begin()->value().at("auth").as_string());
  }
  return found;
}

TEST(PullSecrets, are_for_registries_by_name_pattern_and_path) {
  struct Row {
    const char* names;
    const char* image;
    std::vector<std::string> found;
  };
  const Row rows[] = {
      {"ghcr.io quay.io", "ghcr.io/team/app:1", {"ghcr.io"}},
      {"https://ghcr.io/v2/", "ghcr.io/team/app", {"https://ghcr.io/v2/"}},
      {"ghcr.io/other ghcr.io/team ghcr.io", "ghcr.io/team/app", {"ghcr.io/team", "ghcr.io"}},
      {"ghcr.io/te", "ghcr.io/team/app", {}},
      {"*.example.test", "eu.example.test/app", {"*.example.test"}},
      {"*.example.test", "a.b.example.test/app", {}},
      {"*.example.test", "example.test/app", {}},
      {"registry-*.test", "registry-7.test/app", {"registry-*.test"}},
      {"127.0.0.1:5000", "127.0.0.1:5000/app", {"127.0.0.1:5000"}},
      {"127.0.0.1:5000 127.0.0.1", "127.0.0.1:5001/app", {}},
      {"*.test:*", "a.test:5000/app", {}},
      {"https://index.docker.io/v1/", "nginx", {"https://index.docker.io/v1/"}},
      {"docker.io", "team/app", {"docker.io"}},
      {"ghcr.io", "nginx", {}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(users(row.names, row.image), row.found) << row.names << " for " << row.image;
  }
}

TEST(PullSecrets, hold_logins_in_several_spellings) {
  const ImageReference image = *parse_image_reference("r.test/app");
  const std::pair<const char*, const char*> rows[] = {
      {R"({"username":"u","password":"p"})", R"({"auth":"dTpw"})"},
      {R"({"auth":"dTpw","email":"e"})", R"({"auth":"dTpw"})"},
      {R"({"username":"u","password":"p","auth":"other"})", R"({"auth":"dTpw"})"},
      {R"({"identitytoken":"t"})", R"({"identitytoken":"t"})"},
  };
  for (const auto& [entry, login] : rows) {
    const std::string logins = R"({"r.test":)" + std::string(entry) + "}";
    const std::string file = R"({"auths":{"r.test":)" + std::string(login) + "}}";
    EXPECT_THAT(*logins_for(secret_of(R"({"auths":)" + logins + "}"), image), ElementsAre(file));
    EXPECT_THAT(*logins_for(secret_of(logins, "kubernetes.io/dockercfg"), image),
                ElementsAre(file));
  }
  EXPECT_THAT(*logins_for(secret_of(R"({"auths":{"r.test":{}}})"), image), IsEmpty());
}

TEST(PullSecrets, that_hold_no_logins_are_refused) {
  const ImageReference image = *parse_image_reference("r.test/app");
  for (const char* text : {"", "[]", "{", "{}", R"({"auths":1})"}) {
    EXPECT_FALSE(logins_for(secret_of(text), image)) << text;
  }
  const auto other = logins_for(secret_of("{}", "Opaque"), image);
  EXPECT_THAT(other.error().message, HasSubstr("auths"));
  json::object opaque = secret_of("{}");
  opaque["data"] = json::object{{"password", "eA=="}};
  EXPECT_THAT(logins_for(opaque, image).error().message, HasSubstr(".dockerconfigjson"));
}

}  // namespace
}  // namespace tulle::node
