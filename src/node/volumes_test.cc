#include "node/volumes.h"

#include "codec/json.h"
#include "node/image_test_directory.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <thread>

namespace tulle::node {
namespace {

namespace json = boost::json;

json::object parse(std::string_view text) { return codec::parse_json(text).value().as_object(); }

class MountsTest : public testing::Test {
 protected:
  ~MountsTest() override { EXPECT_TRUE(unmount_run(run)); }

  // Where the one mount comes from.
  Result<std::string> mount(std::string_view mount) {
    const json::object container{{"volumeMounts", json::array{parse(mount)}}};
    Environment environment;
    environment.set("POD", "web-0");
    TRY(const auto mounts, mounts_of(place, pod, container, environment, held));
    read_only = mounts.back().access == BindMount::Access::read_only;
    return mounts.back().source;
  }
  // The same, below the volume; or the error's message.
  std::string source_of(std::string_view wanted) {
    const auto source = mount(wanted);
    if (!source) return source.error().message;
    if (!source->starts_with(run.mounts())) return source->substr(place.volumes().size());
    namespace fs = std::filesystem;
    for (const auto& entry : fs::recursive_directory_iterator(place.volumes())) {
      if (!entry.is_symlink() && fs::equivalent(entry.path(), *source)) {
        return entry.path().string().substr(place.volumes().size());
      }
    }
    return "no place of the volume";
  }
  Result<void> make(VolumeFiles files, ScratchVolume scratch = {}) {
    return make_volumes(
        place, {{.name = "files", .what = std::move(files)}, {.name = "scratch", .what = scratch}},
        {});
  }

  TestDirectory temporary;
  PodPlace place{.data_dir = temporary / "data", .namespace_ = "n", .name = "p", .uid = "u"};
  RunPlace run{.pod = place, .container = "c", .number = 0};
  RunMounts held{run};
  json::object pod = parse(R"({"spec":{"volumes":[{"name":"files","configMap":{}},
      {"name":"scratch","emptyDir":{}}]}})");
  bool read_only = false;
};

TEST_F(MountsTest, a_sub_path_is_made_and_does_not_leave_its_volume) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_TRUE(make({{"key", {.text = "1", .mode = 0644}}}));
  EXPECT_EQ(source_of(R"({"name":"scratch","mountPath":"/s"})"), "/scratch");
  EXPECT_FALSE(read_only);
  EXPECT_EQ(source_of(R"({"name":"scratch","mountPath":"/s","subPath":"a/b"})"), "/scratch/a/b");
  EXPECT_EQ(what_is(place.volume("scratch/a/b")).substr(0, 3), "dir");
  EXPECT_EQ(source_of(R"j({"name":"scratch","mountPath":"/s","subPathExpr":"x/$(POD)"})j"),
            "/scratch/x/web-0");
  // What a container's link leads to is looked for inside the volume only.
  ASSERT_EQ(::symlink("/etc", place.volume("scratch/out").c_str()), 0);
  ASSERT_EQ(::symlink("a", place.volume("scratch/in").c_str()), 0);
  EXPECT_EQ(source_of(R"({"name":"scratch","mountPath":"/s","subPath":"in/b"})"), "/scratch/a/b");
  EXPECT_EQ(source_of(R"({"name":"scratch","mountPath":"/s","subPath":"out/passwd"})"),
            "open subPath \"out/passwd\": Invalid cross-device link");
  EXPECT_EQ(source_of(R"({"name":"scratch","mountPath":"/s","subPath":"a/../.."})"),
            "subPath \"a/../..\" is no path within a volume");
  EXPECT_EQ(source_of(R"({"name":"files","mountPath":"/f","subPath":"key"})"), "/files/..1/key");
  EXPECT_TRUE(read_only);
}

TEST_F(MountsTest, a_sub_path_stays_what_it_was_whatever_becomes_of_its_name) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_TRUE(make({}));
  temporary.write("outside/file", "outside");
  temporary.write("data/run/pods/u/volumes/scratch/a/file", "inside");
  const std::string inside = place.volume("scratch/a");
  const std::string link = place.volume("scratch/link");
  ASSERT_EQ(::symlink((temporary / "outside").c_str(), link.c_str()), 0);
  std::atomic<bool> over = false;
  std::thread adversary([&] {
    while (!over) {
      EXPECT_EQ(::renameat2(AT_FDCWD, inside.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE), 0);
    }
  });
  int found = 0;
  for (int tries = 0; tries < 100'000 && found < 100; ++tries) {
    const auto source = mount(R"({"name":"scratch","mountPath":"/s","subPath":"a"})");
    if (!source) continue;  // it was the link just then
    ++found;
    EXPECT_EQ(contents_of(*source + "/file"), "inside");
  }
  over = true;
  adversary.join();
  EXPECT_EQ(found, 100);
}

TEST_F(MountsTest, what_a_run_holds_is_let_go_and_not_removed) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_TRUE(make({}));
  temporary.write("data/run/pods/u/volumes/scratch/a/file", "kept");
  const auto source = mount(R"({"name":"scratch","mountPath":"/s","subPath":"a"})");
  ASSERT_TRUE(source) << source.error().message;
  // Whoever takes the run's files away first stops at the mount.
  EXPECT_FALSE(remove_tree(run.bundle()));
  EXPECT_EQ(contents_of(place.volume("scratch/a/file")), "kept");
  ASSERT_TRUE(unmount_run(run));
  ASSERT_TRUE(unmount_run(run));
  EXPECT_TRUE(remove_tree(run.bundle()));
  EXPECT_EQ(contents_of(place.volume("scratch/a/file")), "kept");
}

TEST_F(MountsTest, a_path_of_the_host_is_checked_and_only_linked_to) {
  const std::string there = temporary.write("there", "kept");
  const auto make_host = [&](std::string path, std::string type) {
    auto made = make_volumes(
        place, {{.name = "h" + type, .what = HostVolume{.path = path, .type = type}}}, {});
    return made ? "" : made.error().message;
  };
  EXPECT_EQ(make_host(there, "File"), "");
  EXPECT_EQ(what_is(place.volume("hFile")), "link " + there);
  EXPECT_EQ(make_host(temporary / "new/dir", "DirectoryOrCreate"), "");
  EXPECT_EQ(what_is(temporary / "new/dir"), "dir 0755");
  EXPECT_EQ(make_host(there, "Directory"),
            "MountVolume.SetUp failed for volume \"hDirectory\" : hostPath type check failed: " +
                there + " is not a Directory");
  EXPECT_EQ(make_host(temporary / "no", "Socket"),
            "MountVolume.SetUp failed for volume \"hSocket\" : hostPath type check failed: " +
                (temporary / "no") + " does not exist");
  ASSERT_TRUE(remove_tree(place.run()));
  EXPECT_EQ(contents_of(there), "kept");
}

TEST_F(MountsTest, what_a_claim_holds_is_given_to_the_group_when_the_policy_says_so) {
  const std::string volume = temporary / "volume";
  const std::string kept = volume + "/kept";
  std::filesystem::create_directories(kept);
  const auto mode_after = [&](mode_t mode, std::string_view policy) {
    EXPECT_EQ(::chmod(kept.c_str(), mode), 0);
    json::object& context = pod["spec"].as_object()["securityContext"].emplace_object();
    context = {{"fsGroup", 70}, {"fsGroupChangePolicy", policy}};
    EXPECT_TRUE(make_volumes(
        place,
        {{.name = "claim", .what = HostVolume{.path = volume, .type = "", .may_have_group = true}}},
        group_of_volumes(pod)));
    struct stat status{};
    EXPECT_EQ(::stat(kept.c_str(), &status), 0);
    EXPECT_EQ(status.st_gid, 70U);
    return status.st_mode & 07777;
  };
  EXPECT_EQ(mode_after(0700, "OnRootMismatch"), 02770U);  // the volume is new
  EXPECT_EQ(mode_after(0700, "OnRootMismatch"), 0700U);
  EXPECT_EQ(mode_after(0700, "Always"), 02770U);
  EXPECT_EQ(mode_after(0700, ""), 02770U);
}

TEST_F(MountsTest, memory_is_mounted_once_and_unmounted) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const ScratchVolume memory{.in_memory = true, .bytes_max = 1024 * 1024};
  ASSERT_TRUE(make({}, memory));
  temporary.write("data/run/pods/u/volumes/scratch/file", "kept");
  ASSERT_TRUE(make({}, memory));
  EXPECT_EQ(contents_of(place.volume("scratch/file")), "kept");
  ASSERT_TRUE(unmount_volumes(place));
  EXPECT_EQ(what_is(place.volume("scratch/file")), "nothing");
  ASSERT_TRUE(unmount_volumes(place));
}

}  // namespace
}  // namespace tulle::node
