#include "node/volume_group.h"

#include "node/image_test_directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace tulle::node {
namespace {

constexpr std::uint32_t kGroup = 4242;

struct stat look(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status;
}

TEST(VolumeGroup, a_tree_belongs_to_the_group_and_what_its_links_lead_to_does_not) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving files away needs root";
  const TestDirectory folder;
  const std::string root = folder / "volume";
  const std::string outside = folder / "outside";
  std::filesystem::create_directories(root + "/inner");
  for (const std::string& file : {outside, root + "/inner/file", root + "/program"}) {
    const int fd = ::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0) << file;
    ::close(fd);
  }
  ASSERT_EQ(::chmod((root + "/program").c_str(), 06755), 0);
  std::filesystem::create_symlink(outside, root + "/inner/link");
  const auto before = look(outside);

  EXPECT_FALSE(has_group(root, kGroup));
  ASSERT_TRUE(give_group_to_tree(root, kGroup));
  EXPECT_TRUE(has_group(root, kGroup));
  EXPECT_EQ(look(root + "/inner").st_mode & 07777, 02775U);
  EXPECT_EQ(look(root + "/inner/file").st_gid, kGroup);
  EXPECT_EQ(look(root + "/inner/file").st_mode & 07777, 0660U);
  EXPECT_EQ(look(root + "/program").st_mode & 07777, 0775U);  // runs as its owner no more
  EXPECT_EQ(look(outside).st_gid, before.st_gid);
  EXPECT_EQ(look(outside).st_mode, before.st_mode);
}

TEST(VolumeGroup, a_tree_that_is_too_deep_is_refused) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving files away needs root";
  const TestDirectory folder;
  std::string path = folder / "volume";
  for (int i = 0; i <= volume_depth_max; ++i) path += "/d";
  std::filesystem::create_directories(path);
  EXPECT_FALSE(give_group_to_tree(folder / "volume", kGroup));
}

}  // namespace
}  // namespace tulle::node
