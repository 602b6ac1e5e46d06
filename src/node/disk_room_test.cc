#include "node/disk_room.h"

#include <gtest/gtest.h>

namespace tulle::node {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

TEST(DiskRoom, a_disk_is_scarce_when_little_is_left_of_its_bytes_or_files) {
  EXPECT_FALSE((DiskRoom{.capacity = kGiB, .available = kGiB}.is_scarce()));
  EXPECT_FALSE((DiskRoom{.capacity = kGiB, .available = kGiB / 20}.is_scarce()));
  EXPECT_TRUE((DiskRoom{.capacity = kGiB, .available = kGiB / 20 - 1}.is_scarce()));
  // Of a large disk a twentieth is still much.
  EXPECT_FALSE((DiskRoom{.capacity = 1000 * kGiB, .available = kGiB / 2}.is_scarce()));
  EXPECT_TRUE((DiskRoom{.capacity = 1000 * kGiB, .available = kGiB / 2 - 1}.is_scarce()));

  EXPECT_TRUE((DiskRoom{.capacity = kGiB, .available = kGiB, .files = 1000, .files_available = 49}
                   .is_scarce()));
  EXPECT_FALSE((DiskRoom{.capacity = kGiB, .available = kGiB, .files = 1000, .files_available = 50}
                    .is_scarce()));
  const std::uint64_t many = 1'000'000;
  EXPECT_FALSE(
      (DiskRoom{.capacity = kGiB, .available = kGiB, .files = many, .files_available = 10'000}
           .is_scarce()));
  EXPECT_TRUE(
      (DiskRoom{.capacity = kGiB, .available = kGiB, .files = many, .files_available = 9'999}
           .is_scarce()));
}

}  // namespace
}  // namespace tulle::node
