#include "app/credentials.h"

#include <gtest/gtest.h>

#include <stdlib.h>
#include <chrono>
#include <filesystem>
#include <string>

namespace tulle::app {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kNow{std::chrono::seconds{1893456000}};
constexpr Duration kDay = 24h;

class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() {
    std::string pattern = testing::TempDir() + "credentialsXXXXXX";
    instance_.data_dir = ::mkdtemp(pattern.data());
    std::filesystem::create_directories(instance_.pki());
  }
  ~CredentialsTest() override { std::filesystem::remove_all(instance_.data_dir); }

  Credentials at(WallTime now) {
    auto made = ensure_credentials(instance_, IpAddress::v4(10, 96, 0, 1), now);
    EXPECT_TRUE(made) << made.error().message;
    return made.value_or(Credentials());
  }

  Instance instance_;
};

TEST_F(CredentialsTest, are_kept_while_they_last_and_the_authority_for_longer) {
  const Credentials first = at(kNow);
  const Credentials later = at(kNow + 300 * kDay);
  EXPECT_EQ(later.server.certificate_pem, first.server.certificate_pem);
  const Credentials renewed = at(kNow + 320 * kDay);
  EXPECT_NE(renewed.server.certificate_pem, first.server.certificate_pem);
  EXPECT_EQ(renewed.authority.certificate_pem, first.authority.certificate_pem);
}

TEST_F(CredentialsTest, are_made_anew_where_the_clock_was_ahead_when_they_were_made) {
  const Credentials first = at(kNow);
  EXPECT_EQ(at(kNow - 30min).authority.certificate_pem, first.authority.certificate_pem);
  const Credentials before = at(kNow - 400 * kDay);
  EXPECT_NE(before.authority.certificate_pem, first.authority.certificate_pem);
  EXPECT_NE(before.server.certificate_pem, first.server.certificate_pem);
  EXPECT_NE(before.admin.certificate_pem, first.admin.certificate_pem);
}

}  // namespace
}  // namespace tulle::app
