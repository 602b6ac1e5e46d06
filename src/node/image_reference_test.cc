#include "node/image_reference.h"

#include <gtest/gtest.h>

namespace tulle::node {
namespace {

constexpr std::string_view digest =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(ImageReference, every_spelling_of_a_name_normalizes_to_one) {
  struct Row {
    std::string text, normalized, familiar;
  };
  const std::string pinned = "@" + std::string(digest);
  const Row rows[] = {
      {"hello", "docker.io/library/hello:latest", "hello:latest"},
      {"hello:latest", "docker.io/library/hello:latest", "hello:latest"},
      {"docker.io/hello", "docker.io/library/hello:latest", "hello:latest"},
      {"docker.io/library/hello:latest", "docker.io/library/hello:latest", "hello:latest"},
      {"index.docker.io/library/hello:1.2", "docker.io/library/hello:1.2", "hello:1.2"},
      {"team/hello:V1_2-x", "docker.io/team/hello:V1_2-x", "team/hello:V1_2-x"},
      {"localhost/hello", "localhost/hello:latest", "localhost/hello:latest"},
      {"127.0.0.1:5000/a/b__c/d--e.f:1", "127.0.0.1:5000/a/b__c/d--e.f:1",
       "127.0.0.1:5000/a/b__c/d--e.f:1"},
      {"ghcr.io/x/y", "ghcr.io/x/y:latest", "ghcr.io/x/y:latest"},
      {"hello" + pinned, "docker.io/library/hello" + pinned, "hello" + pinned},
      {"hello:1" + pinned, "docker.io/library/hello:1" + pinned, "hello:1" + pinned},
  };
  for (const Row& row : rows) {
    const auto reference = parse_image_reference(row.text);
    ASSERT_TRUE(reference) << row.text << ": " << reference.error().message;
    EXPECT_EQ(reference->normalized(), row.normalized) << row.text;
    EXPECT_EQ(reference->familiar(), row.familiar) << row.text;
    EXPECT_EQ(*parse_image_reference(reference->familiar()), *reference) << row.text;
    EXPECT_EQ(*parse_image_reference(reference->normalized()), *reference) << row.text;
  }
}

TEST(ImageReference, a_name_that_no_registry_would_take_is_refused) {
  const std::string rows[] = {
      "",
      "Hello",
      "hello:",
      "hello:a b",
      ":latest",
      "hello/",
      "/hello",
      "a//b",
      "../etc/passwd",
      "a/../b",
      "hello@sha256:12",
      "hello@",
      "-hello",
      "a___b",
      "a..b",
      "-x.io/hello",
      "host:99999x/a",
      "host.io:/a",
      "hello:" + std::string(129, 'x'),
      std::string(600, 'a'),
      "h\xc3\xa9llo",
      "https://ghcr.io/x",
  };
  for (const std::string& row : rows) {
    const auto reference = parse_image_reference(row);
    ASSERT_FALSE(reference) << row;
    EXPECT_EQ(reference.error().code, Code::invalid_argument);
  }
}

}  // namespace
}  // namespace tulle::node
