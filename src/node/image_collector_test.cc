#include "node/image_collector.h"

#include "http/test_wire.h"
#include "node/archive_test_tar.h"
#include "node/digest.h"
#include "node/image_archive.h"
#include "node/image_reference.h"
#include "node/image_test_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tulle::node {
namespace {

using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;

// A disk of 100 bytes, of which every image on it takes ten, and `else_used` something else.
class ImageCollectorTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "unpacking layers needs root";
    auto store = ImageStore::open(directory_ / "images");
    ASSERT_TRUE(store) << store.error().message;
    store_.emplace(*std::move(store));
    collector_.emplace(sim_.loop, blocking_, *store_, [this]() -> Result<DiskRoom> {
      TRY(const auto images, store_->images());
      return DiskRoom{.capacity = 100, .available = 100 - else_used - 10 * images.size()};
    });
  }

  // As if it came out of a registry.
  void pull(const std::string& name, const std::string& contents) {
    const std::string tar = TestTar().file("name", contents).bytes();
    const TestImage image{.names = {}, .layers = {tar}};
    auto described = describe_image(image.document(), 1);
    ASSERT_TRUE(described) << described.error().message;
    described->layer_tars = {directory_.write("layer.tar", tar)};
    const auto staging = store_->stage();
    ASSERT_TRUE(staging);
    const auto installed = store_->install_pulled(
        *staging, *described, *parse_image_reference(name), sha256_digest(contents));
    ASSERT_TRUE(installed) << installed.error().message;
  }
  void load(const std::string& name) {
    const TestImage image{.names = {name}, .layers = {TestTar().file("name", name).bytes()}};
    const auto loaded =
        store_->load_archive(directory_.write("archive.tar", test_docker_archive({image})));
    ASSERT_TRUE(loaded) << loaded.error().message;
  }

  void pass(Duration time) { sim_.advance(time); }
  std::uint64_t collect() {
    const auto collected = sim_.loop.run(collector_->collect());
    EXPECT_TRUE(collected) << collected.error().message;
    return collected->bytes_short;
  }
  std::vector<std::string> left() {
    const auto listed = store_->list();
    std::vector<std::string> names;
    for (const ListedImage& image : *listed) names.push_back(image.reference);
    return names;
  }

  TestDirectory directory_;
  http::Sim sim_;
  rt::InlineBlocking blocking_{sim_.loop};
  std::optional<ImageStore> store_;
  std::optional<ImageCollector> collector_;
  std::uint64_t else_used = 0;
};

TEST_F(ImageCollectorTest, removes_what_was_not_used_for_longest_until_there_is_room) {
  for (const char* name : {"a:1", "b:1", "c:1", "d:1"}) pull(name, name);
  ASSERT_TRUE(store_->pin("pod", "a:1"));
  collect();
  pass(minutes(5));
  // It was used at the time of one pass, and then not any more.
  ASSERT_TRUE(store_->pin("other", "b:1"));
  collect();
  ASSERT_TRUE(store_->unpin("other"));
  pass(minutes(5));
  else_used = 44;
  EXPECT_EQ(collect(), 0U);
  EXPECT_THAT(left(), ElementsAre("a:1", "b:1", "c:1", "d:1")) << "84 % is not too much";
  else_used = 55;
  EXPECT_EQ(collect(), 0U);
  EXPECT_THAT(left(), ElementsAre("a:1", "b:1")) << "95 % is, 75 % is not";
}

TEST_F(ImageCollectorTest, leaves_what_is_used_or_new_or_was_loaded_by_hand) {
  pull("used:1", "used");
  pull("idle:1", "idle");
  load("loaded:1");
  load("other:1");
  ASSERT_TRUE(store_->pin("pod", "used:1"));
  else_used = 45;
  collect();
  pass(minutes(1));
  pull("new:1", "new");
  EXPECT_EQ(collect(), 15U) << "all are too new";
  EXPECT_THAT(left(), ElementsAre("idle:1", "loaded:1", "new:1", "other:1", "used:1"));
  pass(minutes(1));
  EXPECT_EQ(collect(), 5U);
  EXPECT_THAT(left(), ElementsAre("loaded:1", "new:1", "other:1", "used:1"));
  ASSERT_TRUE(store_->unpin("pod"));
  pass(minutes(1));
  EXPECT_EQ(collect(), 0U);
  EXPECT_THAT(left(), ElementsAre("loaded:1", "other:1", "used:1"));
}

TEST_F(ImageCollectorTest, does_not_collect_on_a_guess) {
  pull("a:1", "a");
  collect();
  pass(minutes(5));
  else_used = 90;
  ASSERT_EQ(::symlink("nonsense", (directory_ / "images/pins/pod").c_str()), 0);
  EXPECT_FALSE(sim_.loop.run(collector_->collect()));
  ASSERT_EQ(::unlink((directory_ / "images/pins/pod").c_str()), 0);
  EXPECT_THAT(left(), ElementsAre("a:1"));
  collect();
  EXPECT_THAT(left(), IsEmpty());
}

}  // namespace
}  // namespace tulle::node
