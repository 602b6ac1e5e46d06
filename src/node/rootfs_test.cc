#include "node/rootfs.h"

#include "node/archive_layer.h"
#include "node/archive_test_tar.h"
#include "node/image_test_directory.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace tulle::node {
namespace {

using testing::HasSubstr;

class Rootfs : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "mounting needs root";
  }
  void TearDown() override { EXPECT_TRUE(unmount_rootfs(target_)); }

  std::string layer(const std::string& name, const std::string& bytes) {
    const std::string path = directory_ / name;
    std::filesystem::create_directory(path);
    const auto unpacked = unpack_layer(directory_.write(name + ".tar", bytes), path, {});
    EXPECT_TRUE(unpacked) << unpacked.error().message;
    return path;
  }

  // False, with the reason printed, where this machine does not let us mount.
  bool mounted(const RootfsMount& mount) {
    const auto done = mount_rootfs(mount);
    if (done) return true;
    const bool cannot =
        done.error().code == Code::permission_denied || done.error().code == Code::unsupported;
    EXPECT_TRUE(cannot) << done.error().message;
    fmt::print("skipped: {}\n", done.error().message);
    return false;
  }

  TestDirectory directory_;
  std::string target_ = directory_ / "target, with: odd\\name";
  std::string state_ = directory_ / "state, with: odd\\name";
};

TEST_F(Rootfs, shows_the_layers_as_one_and_keeps_writes_apart) {
  const std::string lower = layer("lower", TestTar()
                                               .file("etc/name", "lower")
                                               .file("etc/gone", "x")
                                               .file("opt/old", "x")
                                               .file("srv/below", "x")
                                               .bytes());
  const std::string upper = layer("upper", TestTar()
                                               .file("etc/name", "upper")
                                               .file("etc/.wh.gone", "")
                                               .file("opt/.wh..wh..opq", "")
                                               .file("opt/new", "x")
                                               .file("srv/above", "x")
                                               .bytes());
  const RootfsMount mount{.layers = {upper, lower}, .state = state_, .target = target_};
  if (!mounted(mount)) GTEST_SKIP();
  EXPECT_EQ(contents_of(target_ + "/etc/name"), "upper");
  EXPECT_EQ(what_is(target_ + "/etc/gone"), "nothing");
  EXPECT_EQ(what_is(target_ + "/opt/old"), "nothing");
  EXPECT_EQ(what_is(target_ + "/opt/new"), "file 0644");
  EXPECT_EQ(what_is(target_ + "/srv/below"), "file 0644");
  EXPECT_EQ(what_is(target_ + "/srv/above"), "file 0644");

  std::ofstream(target_ + "/etc/name") << "written";
  EXPECT_EQ(contents_of(upper + "/etc/name"), "upper");
  ASSERT_TRUE(unmount_rootfs(target_));
  EXPECT_EQ(what_is(target_ + "/etc"), "nothing");
  ASSERT_TRUE(mounted(mount));
  EXPECT_EQ(contents_of(target_ + "/etc/name"), "written");
  ASSERT_TRUE(unmount_rootfs(target_));
  ASSERT_TRUE(remove_rootfs_state(state_));
  EXPECT_EQ(what_is(state_), "nothing");
}

TEST_F(Rootfs, of_as_many_layers_as_an_image_may_have_can_be_mounted) {
  RootfsMount mount{.layers = {}, .state = state_, .target = target_};
  for (int i = 0; i < 127; ++i) {
    const std::string path = directory_ / fmt::format("{:0>64}", i);
    std::filesystem::create_directories(path + "/d" + std::to_string(i));
    mount.layers.push_back(path);
  }
  if (!mounted(mount)) GTEST_SKIP();
  EXPECT_EQ(what_is(target_ + "/d0"), "dir 0755");
  EXPECT_EQ(what_is(target_ + "/d126"), "dir 0755");
}

TEST_F(Rootfs, without_layers_says_so) {
  const auto done = mount_rootfs({.layers = {}, .state = state_, .target = target_});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("no layers"));
  EXPECT_TRUE(unmount_rootfs(directory_ / "never mounted"));
}

}  // namespace
}  // namespace tulle::node
