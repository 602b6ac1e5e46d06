#include "cli/image_command.h"

#include "node/archive_test_tar.h"
#include "node/image_store.h"
#include "node/image_test_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <sstream>

namespace tulle::cli {
namespace {

using node::TestDirectory;
using node::TestImage;
using node::TestTar;
using testing::HasSubstr;

class ImageCommand : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "unpacking layers needs root";
  }

  std::string archive(const std::string& name) {
    const TestImage image{.names = {name}, .layers = {TestTar().file("f", "12345").bytes()}};
    return directory_.write("image.tar", node::test_docker_archive({image}));
  }

  TestDirectory directory_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(ImageCommand, loads_lists_and_removes) {
  const auto store = node::ImageStore::open(directory_ / "images");
  ASSERT_TRUE(store);
  EXPECT_EQ(list_images(*store, out_, err_), 0);
  EXPECT_EQ(load_image(*store, archive("hello"), out_, err_), 0);
  EXPECT_EQ(load_image(*store, archive("registry.example.com/world:2"), out_, err_), 0);
  EXPECT_EQ(list_images(*store, out_, err_), 0);
  EXPECT_EQ(remove_image(*store, "hello", out_, err_), 0);
  const std::string id = store->list()->at(0).id.substr(7, 12);
  EXPECT_EQ(out_.str(),
            "No images yet. Load some with: tulle image load ARCHIVE\n"
            "Loaded hello:latest\n"
            "Loaded registry.example.com/world:2\n"
            "IMAGE                         ID            CREATED               SIZE\n"
            "hello:latest                  " +
                id +
                "  2026-01-02 03:04       5 B\n"
                "registry.example.com/world:2  " +
                id +
                "  2026-01-02 03:04       5 B\n"
                "Removed hello\n");
  EXPECT_EQ(err_.str(), "");
}

TEST_F(ImageCommand, a_failure_is_one_line_and_an_exit_code) {
  const auto store = node::ImageStore::open(directory_ / "images");
  ASSERT_TRUE(store);
  EXPECT_EQ(load_image(*store, directory_ / "none.tar", out_, err_), 1);
  EXPECT_EQ(import_image(*store, "hello", directory_.write("text", "x"), out_, err_), 1);
  EXPECT_EQ(remove_image(*store, "hello", out_, err_), 1);
  EXPECT_EQ(out_.str(), "");
  std::istringstream lines(err_.str());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_THAT(line, HasSubstr("tulle image: "));
  }
  EXPECT_EQ(count, 3);
}

TEST_F(ImageCommand, is_parsed_with_the_data_directory_given_beside_it) {
  CLI::App app;
  std::string data_dir;
  int exit_code = 7;
  app.add_option("--data-dir", data_dir);
  add_image_commands(app, data_dir, exit_code);
  app.parse("--data-dir '" + (directory_ / "data") + "' image load '" + archive("hello") + "'");
  EXPECT_EQ(exit_code, 0);
  EXPECT_TRUE(node::ImageStore::open(directory_ / "data/images")->resolve("hello"));
  EXPECT_THROW(app.parse("image"), CLI::ParseError);
  app.parse("--data-dir '" + (directory_ / "data") + "' image rm nothing");
  EXPECT_EQ(exit_code, 1);
}

}  // namespace
}  // namespace tulle::cli
