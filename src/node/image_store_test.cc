#include "node/image_store.h"

#include "node/archive_test_tar.h"
#include "node/digest.h"
#include "node/image_test_directory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace tulle::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ImageStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "unpacking layers needs root";
  }

  ImageStore open(ImageStoreOptions options = {}) {
    auto store = ImageStore::open(directory_ / "images", options);
    EXPECT_TRUE(store) << store.error().message;
    return *std::move(store);
  }
  std::string write(std::string_view bytes) { return directory_.write("archive.tar", bytes); }

  // The message of a load that must fail, and must leave nothing.
  std::string refusal(const std::string& bytes) {
    const ImageStore store = open();
    const auto loaded = store.load_archive(write(bytes));
    EXPECT_FALSE(loaded);
    EXPECT_THAT(stored("layers"), IsEmpty());
    EXPECT_THAT(stored("configs"), IsEmpty());
    EXPECT_THAT(stored("tmp"), IsEmpty());
    return loaded ? "" : loaded.error().message;
  }

  std::vector<std::string> stored(const std::string& kind) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / ("images/" + kind))) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  static std::string layer(std::string_view contents) {
    return TestTar().file("etc/name", contents).bytes();
  }

  TestDirectory directory_;
};

TEST_F(ImageStoreTest, a_docker_archive_is_loaded_under_the_names_in_it) {
  const std::string lower = TestTar().file("etc/name", "lower").file("etc/gone", "x").bytes();
  const std::string upper = TestTar().file("etc/name", "upper").file("etc/.wh.gone", "").bytes();
  const TestImage image{.names = {"hello:latest", "ghcr.io/team/hello:1"},
                        .layers = {lower, upper},
                        .config = R"("Entrypoint":["/hello"],"Env":["A=b"],"StopSignal":"SIGINT")"};
  for (const TestFilter filter : {TestFilter::none, TestFilter::gzip, TestFilter::zstd}) {
    const ImageStore store = open();
    const auto names = store.load_archive(write(test_docker_archive({image}, filter)));
    ASSERT_TRUE(names) << names.error().message;
    EXPECT_THAT(*names, ElementsAre("hello:latest", "ghcr.io/team/hello:1"));

    const auto found = store.resolve("docker.io/library/hello");
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->id, sha256_digest(image.document()));
    EXPECT_EQ(found->config.entrypoint, std::vector<std::string>{"/hello"});
    EXPECT_EQ(found->config.stop_signal, "SIGINT");
    ASSERT_THAT(found->layers, SizeIs(2));
    EXPECT_EQ(contents_of(found->layers[0] + "/etc/name"), "upper");
    EXPECT_EQ(contents_of(found->layers[1] + "/etc/name"), "lower");
    EXPECT_EQ(what_is(found->layers[0] + "/etc/gone"), "whiteout");
    EXPECT_EQ(store.resolve(found->id)->layers, found->layers);

    EXPECT_TRUE(*store.is_local("hello"));
    EXPECT_FALSE(*store.is_local("ghcr.io/team/hello:1"));
    EXPECT_FALSE(*store.is_local("unknown"));
    const auto listed = store.list();
    ASSERT_THAT(*listed, SizeIs(2));
    EXPECT_EQ(listed->at(1).reference, "hello:latest");
    EXPECT_EQ(listed->at(1).id, found->id);
    EXPECT_EQ(listed->at(1).size, 11U);
    EXPECT_EQ(listed->at(1).created, "2026-01-02T03:04:05Z");
    ASSERT_TRUE(store.remove(found->id));
    EXPECT_THAT(stored("layers"), IsEmpty());
  }
}

TEST_F(ImageStoreTest, an_oci_archive_is_loaded_whatever_compresses_its_layers) {
  for (const TestFilter filter : {TestFilter::none, TestFilter::gzip, TestFilter::zstd}) {
    const TestImage image{.names = {}, .layers = {layer("a"), layer("b")}, .layer_filter = filter};
    const ImageStore store = open();
    const auto names = store.load_archive(write(test_oci_archive(image, "world:1.0")));
    ASSERT_TRUE(names) << names.error().message;
    EXPECT_THAT(*names, ElementsAre("world:1.0"));
    EXPECT_EQ(contents_of(store.resolve("world:1.0")->layers[0] + "/etc/name"), "b");
    ASSERT_TRUE(store.remove("world:1.0"));
  }
}

TEST_F(ImageStoreTest, layers_are_stored_once_and_collected_with_their_last_image) {
  const ImageStore store = open();
  const TestImage one{.names = {"one"}, .layers = {layer("shared"), layer("1")}};
  const TestImage two{.names = {"two"}, .layers = {layer("shared"), layer("2")}};
  ASSERT_TRUE(store.load_archive(write(test_docker_archive({one, two}))));
  EXPECT_THAT(stored("layers"), SizeIs(3));
  ASSERT_TRUE(store.remove("one"));
  EXPECT_THAT(stored("layers"), SizeIs(2));
  EXPECT_EQ(contents_of(store.resolve("two")->layers[1] + "/etc/name"), "shared");
  EXPECT_EQ(store.remove("one").error().code, Code::not_found);
  ASSERT_TRUE(store.remove("two"));
  EXPECT_THAT(stored("layers"), IsEmpty());
  EXPECT_THAT(stored("configs"), IsEmpty());
  EXPECT_THAT(stored("tmp"), IsEmpty());
  EXPECT_THAT(store.resolve("two").error().message, HasSubstr("tulle image load"));
}

TEST_F(ImageStoreTest, a_layer_that_occurs_twice_is_stacked_once) {
  const ImageStore store = open();
  const TestImage image{.names = {"a"}, .layers = {layer("x"), layer("y"), layer("x")}};
  ASSERT_TRUE(store.load_archive(write(test_docker_archive({image}))));
  const auto layers = store.resolve("a")->layers;
  ASSERT_THAT(layers, SizeIs(2));
  EXPECT_EQ(contents_of(layers[0] + "/etc/name"), "x");
}

TEST_F(ImageStoreTest, what_is_pinned_outlives_its_name_and_the_process) {
  {
    const ImageStore store = open();
    const TestImage first{.names = {"app"}, .layers = {layer("first")}};
    const TestImage second{.names = {"app"}, .layers = {layer("second")}};
    ASSERT_TRUE(store.load_archive(write(test_docker_archive({first}))));
    const auto pinned = store.pin("pod-1", "app");
    ASSERT_TRUE(pinned) << pinned.error().message;
    ASSERT_TRUE(store.load_archive(write(test_docker_archive({second}))));
    EXPECT_NE(store.resolve("app")->id, pinned->id);
    ASSERT_TRUE(store.remove("app"));
    EXPECT_EQ(contents_of(pinned->layers[0] + "/etc/name"), "first");
    EXPECT_FALSE(store.pin("../escape", "app"));
  }
  const ImageStore store = open();
  EXPECT_THAT(stored("layers"), SizeIs(1));
  EXPECT_THAT(*store.pinned(), ElementsAre("pod-1"));
  ASSERT_TRUE(store.unpin("pod-1"));
  ASSERT_TRUE(store.unpin("pod-1"));
  EXPECT_THAT(stored("layers"), IsEmpty());
}

TEST_F(ImageStoreTest, an_archive_that_is_wrong_says_what_is_wrong) {
  const TestImage good{.names = {"a"}, .layers = {layer("x")}};
  TestImage unnamed = good;
  unnamed.names.clear();
  TestImage misnamed = good;
  misnamed.names = {"Not A Name"};
  TestImage foreign = good;
  foreign.architecture = "pdp11";
  const std::string whole = test_docker_archive({good});
  const std::string oci = test_oci_archive(good, "a:1");
  std::string forged = oci;
  forged.replace(forged.find("/bin/true"), 9, "/bin/evil");
  const std::string wrong_layer =
      TestTar()
          .file("c.json", good.document())
          .file("l.tar", layer("other"))
          .file("manifest.json", R"([{"Config":"c.json","RepoTags":["a"],"Layers":["l.tar"]}])")
          .bytes();
  const std::pair<std::string, std::string> rows[] = {
      {"no archive at all", "Unrecognized archive format"},
      {whole.substr(0, whole.find("manifest.json") - 100), "Truncated"},
      {TestTar().file("etc/passwd", "x").bytes(), "neither manifest.json"},
      {TestTar().file("manifest.json", "{").bytes(), "manifest.json: line 1"},
      {TestTar().file("manifest.json", R"([{"Config":"x.json"}])").bytes(), "x.json is missing"},
      {TestTar().link("manifest.json", "manifest.json").bytes(), "neither manifest.json"},
      {test_docker_archive({unnamed}), "have no names"},
      {test_docker_archive({misnamed}), "image name 'Not A Name'"},
      {test_docker_archive({foreign}), "for linux/pdp11"},
      {test_oci_archive(good, "latest"), "have no names"},
      {forged, "holds something else"},
      {wrong_layer, "layer 1 has digest"},
      {"", "neither manifest.json"},
  };
  for (const auto& [bytes, message] : rows) {
    EXPECT_THAT(refusal(bytes), HasSubstr(message));
  }
  const auto missing = open().load_archive(directory_ / "missing.tar");
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("missing.tar"));
  EXPECT_THAT(open().load_archive(directory_ / ".").error().message, HasSubstr("is a directory"));
}

TEST_F(ImageStoreTest, one_bad_layer_leaves_nothing_of_its_archive) {
  const TestImage good{.names = {"good"}, .layers = {layer("x")}};
  const TestImage bad{.names = {"bad"}, .layers = {TestTar().file("../x", "x").bytes()}};
  EXPECT_THAT(refusal(test_docker_archive({good, bad})), HasSubstr("leads out of the layer"));
  EXPECT_THAT(*open().list(), IsEmpty());
}

TEST_F(ImageStoreTest, a_bomb_ends_at_the_limit) {
  const ImageStore store = open({.limits = {.bytes_max = 1 << 20}});
  const TestImage image{.names = {"bomb"},
                        .layers = {TestTar().file("zeros", std::string(2 << 20, '\0')).bytes()},
                        .layer_filter = TestFilter::gzip};
  const auto loaded = store.load_archive(write(test_oci_archive(image, "bomb:1")));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Code::exhausted) << loaded.error().message;
  EXPECT_THAT(stored("tmp"), IsEmpty());
}

TEST_F(ImageStoreTest, a_load_that_is_killed_leaves_nothing) {
  (void)open();
  const std::string pipe = directory_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto store = ImageStore::open(directory_ / "images");
    ::_exit(store && store->load_archive(pipe) ? 0 : 1);
  }
  // More than a pipe holds: once it is written, the child has read some of it.
  const TestImage image{.names = {"big"}, .layers = {layer(std::string(1 << 20, 'x'))}};
  const std::string bytes = test_docker_archive({image}).substr(0, 1 << 19);
  OwnedFd end(::open(pipe.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(end);
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t count = ::write(end.get(), bytes.data() + sent, bytes.size() - sent);
    ASSERT_GT(count, 0);
    sent += static_cast<std::size_t>(count);
  }
  {
    const ImageStore beside = open();
    EXPECT_THAT(stored("tmp"), SizeIs(1)) << "a live load is left alone";
  }
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_THAT(stored("tmp"), SizeIs(1));

  // What a crash between moving layers and naming them leaves.
  std::filesystem::create_directories(directory_ / ("images/layers/" + std::string(64, 'a')));
  const ImageStore store = open();
  EXPECT_THAT(*store.list(), IsEmpty());
  EXPECT_THAT(stored("tmp"), IsEmpty());
  EXPECT_THAT(stored("layers"), IsEmpty());
}

TEST_F(ImageStoreTest, two_stores_work_on_one_directory_at_once) {
  const std::string shared = layer("shared");
  const auto work = [&](int writer) {
    const ImageStore store = open();
    for (int i = 0; i < 5; ++i) {
      const std::string name = "image" + std::to_string(writer);
      const TestImage image{.names = {name}, .layers = {shared, layer(name)}};
      const std::string archive = directory_.write(name + ".tar", test_docker_archive({image}));
      const auto loaded = store.load_archive(archive);
      ASSERT_TRUE(loaded) << loaded.error().message;
      const auto found = store.resolve(name);
      ASSERT_TRUE(found) << found.error().message;
      EXPECT_EQ(contents_of(found->layers[1] + "/etc/name"), "shared");
      ASSERT_TRUE(store.list());
      if (i < 4) ASSERT_TRUE(store.remove(name));
    }
  };
  std::thread first(work, 1);
  std::thread second(work, 2);
  first.join();
  second.join();
  EXPECT_THAT(*open().list(), SizeIs(2));
  EXPECT_THAT(stored("layers"), SizeIs(3));
  EXPECT_THAT(stored("tmp"), IsEmpty());
}

TEST_F(ImageStoreTest, a_static_executable_becomes_an_image_that_runs_it) {
  // The smallest thing that passes for one: an ELF header without program headers.
  std::string program(64, '\0');
  program.replace(0, 7,
                  "\x7f"
                  "ELF\x02\x01\x01");
  program[16] = 2;
#if defined(__x86_64__)
  program[18] = 62;
#elif defined(__aarch64__)
  program[18] = static_cast<char>(183);
#endif
  program[54] = 56;
  const std::string path = directory_.write("bin/hello", program);
  const ImageStore store = open();
  const auto name = store.import_path("hello", path);
  ASSERT_TRUE(name) << name.error().message;
  EXPECT_EQ(*name, "hello:latest");
  const auto image = store.resolve("hello");
  EXPECT_EQ(image->config.entrypoint, std::vector<std::string>{"/hello"});
  EXPECT_EQ(what_is(image->layers[0] + "/hello"), "file 0755");
  EXPECT_EQ(what_is(image->layers[0] + "/tmp"), "dir 1777");
  EXPECT_TRUE(*store.is_local("hello:latest"));
  ASSERT_TRUE(store.import_path("again", path));
  EXPECT_EQ(store.resolve("again")->id, image->id);

  const std::string script = directory_.write("script", "#!/bin/sh\n" + std::string(100, '#'));
  EXPECT_THAT(store.import_path("x", script).error().message, HasSubstr("is no executable"));
  EXPECT_THAT(store.import_path("x", "/proc/self/exe").error().message, HasSubstr("-static"));
  EXPECT_EQ(store.import_path("x", directory_ / "none").error().code, Code::not_found);
  EXPECT_EQ(store.import_path("X", path).error().code, Code::invalid_argument);
}

TEST_F(ImageStoreTest, a_directory_becomes_the_root_file_system_of_an_image) {
  directory_.write("root/bin/tool", "tool");
  directory_.write("root/etc/caf\xc3\xa9", "x");
  const std::string root = directory_ / "root";
  ASSERT_EQ(::chmod((root + "/bin/tool").c_str(), 04755), 0);
  ASSERT_EQ(::lchown((root + "/etc").c_str(), 7, 8), 0);
  std::filesystem::create_hard_link(root + "/bin/tool", root + "/bin/twin");
  std::filesystem::create_symlink("../bin/tool", root + "/etc/link");
  ASSERT_EQ(::mkfifo((root + "/fifo").c_str(), 0600), 0);

  const ImageStore store = open();
  const auto name = store.import_path("base:1", root + "/");
  ASSERT_TRUE(name) << name.error().message;
  const auto image = store.resolve("base:1");
  EXPECT_THAT(image->config.entrypoint, IsEmpty());
  const std::string layer = image->layers.at(0);
  EXPECT_EQ(what_is(layer + "/bin/tool"), "file 4755");
  EXPECT_EQ(what_is(layer + "/etc/link"), "link ../bin/tool");
  EXPECT_EQ(what_is(layer + "/fifo"), "fifo");
  EXPECT_EQ(contents_of(layer + "/etc/caf\xc3\xa9"), "x");
  struct stat tool{};
  struct stat etc{};
  ASSERT_EQ(::stat((layer + "/bin/twin").c_str(), &tool), 0);
  EXPECT_EQ(tool.st_nlink, 2);
  ASSERT_EQ(::stat((layer + "/etc").c_str(), &etc), 0);
  EXPECT_EQ(etc.st_uid, 7);
  EXPECT_EQ(etc.st_gid, 8);
  EXPECT_EQ(store.list()->at(0).size, 5U);
}

TEST_F(ImageStoreTest, a_damaged_index_is_reported_and_nothing_is_collected) {
  const TestImage image{.names = {"a"}, .layers = {layer("x")}};
  ASSERT_TRUE(open().load_archive(write(test_docker_archive({image}))));
  directory_.write("images/index.json", "{\"version\":1");
  const auto store = ImageStore::open(directory_ / "images");
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message, HasSubstr("index.json is damaged"));
  EXPECT_THAT(stored("layers"), SizeIs(1));
}

}  // namespace
}  // namespace tulle::node
