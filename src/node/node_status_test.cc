#include "node/node_status.h"

#include <gtest/gtest.h>

namespace tulle::node {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

TEST(NodeStatus, a_disk_is_scarce_when_little_is_left_of_its_bytes_or_files) {
  EXPECT_FALSE(is_scarce({.bytes = kGiB, .bytes_free = kGiB}));
  EXPECT_FALSE(is_scarce({.bytes = kGiB, .bytes_free = kGiB / 20}));
  EXPECT_TRUE(is_scarce({.bytes = kGiB, .bytes_free = kGiB / 20 - 1}));
  // Of a large disk a twentieth is still much.
  EXPECT_FALSE(is_scarce({.bytes = 1000 * kGiB, .bytes_free = kGiB / 2}));
  EXPECT_TRUE(is_scarce({.bytes = 1000 * kGiB, .bytes_free = kGiB / 2 - 1}));

  EXPECT_TRUE(is_scarce({.bytes = kGiB, .bytes_free = kGiB, .files = 1000, .files_free = 49}));
  EXPECT_FALSE(is_scarce({.bytes = kGiB, .bytes_free = kGiB, .files = 1000, .files_free = 50}));
  const std::uint64_t many = 1'000'000;
  EXPECT_FALSE(is_scarce({.bytes = kGiB, .bytes_free = kGiB, .files = many, .files_free = 10'000}));
  EXPECT_TRUE(is_scarce({.bytes = kGiB, .bytes_free = kGiB, .files = many, .files_free = 9'999}));
}

}  // namespace
}  // namespace tulle::node
