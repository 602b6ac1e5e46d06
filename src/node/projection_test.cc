#include "node/projection.h"

#include "node/image_test_directory.h"

#include <gtest/gtest.h>

namespace tulle::node {
namespace {

TEST(Projection, all_files_change_at_once_and_nothing_else_stays) {
  const TestDirectory temporary;
  const std::string volume = temporary / "volume";
  ASSERT_TRUE(write_projection(
      volume, {{"a", {.text = "1", .mode = 0640}}, {"d/b", {.text = "2", .mode = 0444}}}, {}));
  EXPECT_EQ(what_is(volume + "/a"), "link ..data/a");
  EXPECT_EQ(what_is(volume + "/d"), "link ..data/d");
  EXPECT_EQ(what_is(volume + "/..data"), "link ..1");
  EXPECT_EQ(what_is(volume + "/..1/a"), "file 0640");
  EXPECT_EQ(contents_of(volume + "/d/b"), "2");

  // The same once more changes nothing.
  ASSERT_TRUE(write_projection(
      volume, {{"a", {.text = "1", .mode = 0640}}, {"d/b", {.text = "2", .mode = 0444}}}, {}));
  EXPECT_EQ(what_is(volume + "/..data"), "link ..1");

  ASSERT_TRUE(write_projection(volume, {{"a", {.text = "3", .mode = 0640}}}, {}));
  EXPECT_EQ(contents_of(volume + "/a"), "3");
  EXPECT_EQ(what_is(volume + "/..data"), "link ..2");
  EXPECT_EQ(what_is(volume + "/..1"), "nothing");
  EXPECT_EQ(what_is(volume + "/d"), "nothing");

  ASSERT_TRUE(write_projection(volume, {{"a", {.text = "3", .mode = 0600}}}, {}));
  EXPECT_EQ(what_is(volume + "/..data/a"), "file 0600");
}

}  // namespace
}  // namespace tulle::node
