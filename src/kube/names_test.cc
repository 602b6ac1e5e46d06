#include "kube/names.h"

#include "base/random.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <regex>

namespace tulle::kube {
namespace {

TEST(Names, generated_names_end_in_five_safe_characters_and_stay_short) {
  Random random(1);
  const std::string name = generate_name("web-", random);
  EXPECT_TRUE(std::regex_match(name, std::regex("web-[bcdfghjklmnpqrstvwxz2456789]{5}"))) << name;
  EXPECT_NE(generate_name("web-", random), name);
  EXPECT_EQ(generate_name(std::string(100, 'a'), random).size(), 63U);
}

TEST(Names, uids_are_version_4) {
  Random random(1);
  const std::regex shape("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(std::regex_match(generate_uid(random), shape));
}

TEST(Names, a_template_hash_depends_on_content_not_on_order) {
  const auto hash = [](std::string_view text, std::optional<std::int32_t> collisions = {}) {
    return template_hash(boost::json::parse(text), collisions);
  };
  EXPECT_EQ(hash(R"({"a": 1, "b": [1, 2]})"), hash(R"({"b": [1, 2], "a": 1})"));
  EXPECT_NE(hash(R"({"a": 1, "b": [1, 2]})"), hash(R"({"a": 1, "b": [2, 1]})"));
  EXPECT_NE(hash(R"({"a": 1})"), hash(R"({"a": 1})", 1));
  EXPECT_NE(hash(R"({"a": [1], "b": 2})"), hash(R"({"a": [1, 2]})"));
  EXPECT_TRUE(check_dns1123_label(hash(R"({"a": 1})")).empty());
}

TEST(Names, each_kind_of_name_has_its_rules) {
  using Check = std::vector<std::string> (*)(std::string_view);
  struct Row {
    Check check;
    std::vector<std::string> good;
    std::vector<std::string> bad;
  };
  const std::string long63(63, 'a');
  const std::string long64(64, 'a');
  const Row rows[] = {
      {check_dns1123_label, {"a", "1", "my-name", long63}, {"", "-a", "a-", "A", "a.b", long64}},
      {check_dns1123_subdomain, {"a", "a.b", "1.2", long64}, {"", ".a", "a..b", "a.", "A", "a_b"}},
      {check_dns1035_label, {"a", "a1", "a-1"}, {"", "1a", "a.b", long64}},
      {check_qualified_name,
       {"app", "App_1.x", "a.b/c", "kubernetes.io/hostname"},
       {"", "/a", "a/", "a/b/c", "-a", "A.B/c", "a b", long64}},
      {check_label_value, {"", "a", "A_b.c-1", long63}, {"-a", "a-", "a b", "é", long64}},
      {check_path_segment, {"a", "system:node", "..."}, {".", "..", "a/b", "a%b"}},
      {check_env_var_name, {"PATH", "my.var-1", "1"}, {"", "a=b", "a\nb", "é"}},
      {check_port_name,
       {"http", "h2c-1"},
       {"", "80", "a--b", "-a", "a-", "Http", "a234567890123456"}},
  };
  for (const Row& row : rows) {
    for (const std::string& name : row.good) EXPECT_TRUE(row.check(name).empty()) << name;
    for (const std::string& name : row.bad) EXPECT_FALSE(row.check(name).empty()) << name;
  }
}

TEST(Names, problems_are_told_in_upstreams_words) {
  EXPECT_EQ(check_dns1123_label("A").front(),
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
            "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
            "'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')");
}

}  // namespace
}  // namespace tulle::kube
