#include "node/archive_layer.h"

#include "node/archive_test_tar.h"
#include "node/digest.h"
#include "node/image_test_directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace tulle::node {
namespace {

// Unpacking gives owners away and marks directories for overlayfs.
class ArchiveLayer : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "unpacking layers needs root";
    std::filesystem::create_directory(target_);
  }

  Result<UnpackedLayer> unpack(const std::string& bytes, ArchiveLimits limits = {}) {
    return unpack_layer(directory_.write("layer.tar", bytes), target_, limits);
  }
  std::string what(std::string_view name) { return what_is(target_ + "/" + std::string(name)); }

  TestDirectory directory_;
  std::string target_ = directory_ / "fs";
};

TEST_F(ArchiveLayer, keeps_modes_owners_times_links_and_attributes) {
  const auto owned = [](archive_entry* entry) {
    archive_entry_set_perm(entry, 04751);
    archive_entry_set_uid(entry, 1234);
    archive_entry_set_gid(entry, 70000);
    archive_entry_xattr_add_entry(entry, "user.colour", "red", 3);
    archive_entry_xattr_add_entry(entry, "trusted.overlay.redirect", "/etc", 4);
    archive_entry_xattr_add_entry(entry, "user.overlay.opaque", "y", 1);
  };
  const std::string bytes = TestTar()
                                .dir("./", [](auto* e) { archive_entry_set_perm(e, 0711); })
                                .file("./bin/tool", "tool", owned)
                                .link("sbin", "bin")
                                .file("sbin/more", "through the link")
                                .hardlink("/bin/alias", "bin/tool")
                                .special("run/pipe", AE_IFIFO)
                                .special("dev/null", AE_IFCHR)
                                .file("caf\xc3\xa9", "name in UTF-8")
                                .file("latin\xe9", "name in no known character set")
                                .bytes();
  const auto layer = unpack(bytes);
  ASSERT_TRUE(layer) << layer.error().message;
  EXPECT_EQ(layer->diff_digest, sha256_digest(bytes));
  EXPECT_EQ(layer->size, 4 + 16 + 13 + 30);
  EXPECT_EQ(what_is(target_), "dir 0711");
  EXPECT_EQ(what("bin"), "dir 0755");
  EXPECT_EQ(what("bin/tool"), "file 4751");
  EXPECT_EQ(what("sbin"), "link bin");
  EXPECT_EQ(what("run/pipe"), "fifo");
  EXPECT_EQ(what("dev/null"), "nothing");
  EXPECT_EQ(contents_of(target_ + "/bin/more"), "through the link");
  EXPECT_EQ(contents_of(target_ + "/caf\xc3\xa9"), "name in UTF-8");
  EXPECT_EQ(contents_of(target_ + "/latin\xe9"), "name in no known character set");
  struct stat status{};
  ASSERT_EQ(::stat((target_ + "/bin/alias").c_str(), &status), 0);
  EXPECT_EQ(status.st_nlink, 2);
  EXPECT_EQ(status.st_uid, 1234);
  EXPECT_EQ(status.st_gid, 70000);
  EXPECT_EQ(status.st_mtime, 1'700'000'000);
  EXPECT_EQ(attribute_of(target_ + "/bin/tool", "user.colour"), "red");
  EXPECT_EQ(attribute_of(target_ + "/bin/tool", "trusted.overlay.redirect"), "");
  EXPECT_EQ(attribute_of(target_ + "/bin/tool", "user.overlay.opaque"), "");
}

TEST_F(ArchiveLayer, turns_whiteouts_into_those_of_overlayfs) {
  const auto layer = unpack(TestTar()
                                .dir("etc")
                                .file("etc/.wh.passwd", "")
                                .file("opt/.wh..wh..opq", "")
                                .file("opt/new", "x")
                                .file("both/kept", "x")
                                .file(".wh.both", "")
                                .file(".wh.again", "")
                                .dir("again")
                                .file("own", "x")
                                .file(".wh.own", "")
                                .file(".wh..wh.plnk/12.34", "bookkeeping of aufs")
                                .bytes());
  ASSERT_TRUE(layer) << layer.error().message;
  EXPECT_EQ(what("etc/passwd"), "whiteout");
  EXPECT_EQ(attribute_of(target_ + "/opt", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(attribute_of(target_ + "/both", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(what("both/kept"), "file 0644");
  EXPECT_EQ(attribute_of(target_ + "/again", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(what("own"), "file 0644");
  EXPECT_EQ(what(".wh..wh.plnk"), "nothing");
  EXPECT_EQ(attribute_of(target_ + "/etc", "trusted.overlay.opaque"), "");
}

TEST_F(ArchiveLayer, a_later_entry_replaces_an_earlier_one_of_its_name) {
  const auto layer = unpack(TestTar()
                                .file("a/deep/file", "x")
                                .file("a", "now a file")
                                .file("b", "x")
                                .dir("b")
                                .dir("c")
                                .file("c/kept", "x")
                                .dir("c", [](auto* e) { archive_entry_set_perm(e, 0700); })
                                .link("d", "c")
                                .file("d", "now no link")
                                .bytes());
  ASSERT_TRUE(layer) << layer.error().message;
  EXPECT_EQ(contents_of(target_ + "/a"), "now a file");
  EXPECT_EQ(what("b"), "dir 0755");
  EXPECT_EQ(what("c"), "dir 0700");
  EXPECT_EQ(what("c/kept"), "file 0644");
  EXPECT_EQ(what("d"), "file 0644");
}

TEST_F(ArchiveLayer, that_is_hostile_stays_inside_or_is_refused) {
  const std::string outside = directory_ / "outside";
  std::filesystem::create_directory(outside);
  directory_.write("outside/secret", "secret");
  struct Row {
    std::string what;
    TestTar tar;
    std::string error;   // part of the message; empty: it is taken
    std::string inside;  // then this exists in the layer
  };
  std::vector<Row> table;
  const auto row = [&table](std::string what, std::string error, std::string inside,
                            const std::function<void(TestTar&)>& fill) {
    Row& made = table.emplace_back(Row{std::move(what), TestTar(), error, inside});
    fill(made.tar);
  };
  const std::string up = "../outside/";
  row("dot-dot name", "leads out", "", [&](TestTar& t) { t.file(up + "new", "x"); });
  row("dot-dot within", "leads out", "", [&](TestTar& t) { t.file("a/../../outside/new", "x"); });
  row("absolute name", "", outside + "/new", [&](TestTar& t) { t.file(outside + "/new", "x"); });
  row("absolute link, then a file through it", "parent of it", "",
      [&](TestTar& t) { t.link("l", outside).file("l/new", "x"); });
  row("relative link, then a file through it", "parent of it", "",
      [&](TestTar& t) { t.link("l", "../outside").file("l/new", "x"); });
  row("a link over which a file is written", "", "secret-link",
      [&](TestTar& t) { t.link("secret-link", outside + "/secret").file("secret-link", "x"); });
  row("a link whose metadata is set as a directory's", "", "l",
      [&](TestTar& t) { t.link("l", outside).dir("l"); });
  row("link loop", "parent of it", "", [&](TestTar& t) { t.link("l", "l").file("l/new", "x"); });
  row("magic link", "parent of it", "",
      [&](TestTar& t) { t.link("l", "/proc/self/root").file("l/new", "x"); });
  row("hard link out by name", "not in the layer", "",
      [&](TestTar& t) { t.hardlink("h", up + "secret"); });
  row("hard link to an absolute name", "no file of the layer", "",
      [&](TestTar& t) { t.hardlink("h", outside + "/secret"); });
  row("hard link through a link", "no file of the layer", "",
      [&](TestTar& t) { t.link("l", outside).hardlink("h", "l/secret"); });
  row("hard link to a whiteout", "no file of the layer", "",
      [&](TestTar& t) { t.file(".wh.w", "").hardlink("h", "w"); });
  row("whiteout of the parent", "hides no name", "", [&](TestTar& t) { t.file("a/.wh...", ""); });
  row("whiteout through a link", "parent of it", "",
      [&](TestTar& t) { t.link("l", outside).file("l/.wh.secret", ""); });
  row("opaque mark through a link", "", "",
      [&](TestTar& t) { t.dir("d").link("l", "d").file("l/.wh..wh..opq", ""); });
  row("entry below a whiteout", "below a whiteout", "", [&](TestTar& t) { t.file(".wh.x/y", ""); });
  row("root as a file", "root is no directory", "", [&](TestTar& t) { t.file(".", "x"); });
  row("below a file", "parent of it", "", [&](TestTar& t) { t.file("f", "x").file("f/g", "x"); });
  row("owner out of range", "owner", "", [&](TestTar& t) {
    t.file("f", "x", [](auto* e) { archive_entry_set_uid(e, (la_int64_t{1} << 32) - 1); });
  });
  row("block device", "", "dev", [&](TestTar& t) { t.dir("dev").special("dev/sda", AE_IFBLK); });

  for (Row& each : table) {
    SCOPED_TRACE(each.what);
    ASSERT_TRUE(remove_tree(target_));
    std::filesystem::create_directory(target_);
    const auto layer = unpack(each.tar.bytes());
    if (each.error.empty()) {
      EXPECT_TRUE(layer) << layer.error().message;
      EXPECT_NE(what(each.inside), "nothing");
    } else if (layer) {
      ADD_FAILURE() << "was taken";
    } else {
      EXPECT_EQ(layer.error().code, Code::malformed) << layer.error().message;
      EXPECT_NE(layer.error().message.find(each.error), std::string::npos) << layer.error().message;
    }
    EXPECT_EQ(contents_of(outside + "/secret"), "secret");
    EXPECT_EQ(what_is(outside), "dir 0755");
    EXPECT_EQ(what_is(outside + "/new"), "nothing");
    EXPECT_NE(what("dev/sda"), "device");
  }
}

TEST_F(ArchiveLayer, ends_at_its_limits) {
  const std::string big(5000, 'x');
  EXPECT_TRUE(unpack(TestTar().file("a", big).file("b", big).bytes(), {.bytes_max = 10000}));
  const auto bytes = unpack(TestTar().file("a", big).file("c", big).bytes(), {.bytes_max = 9999});
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, Code::exhausted);
  const auto entries = unpack(TestTar().dir("a").dir("b").dir("c").bytes(), {.entries_max = 2});
  ASSERT_FALSE(entries);
  EXPECT_EQ(entries.error().code, Code::exhausted);
}

TEST_F(ArchiveLayer, that_is_cut_short_is_refused) {
  const std::string whole = TestTar(TestFilter::gzip).file("a", std::string(100000, 'x')).bytes();
  for (const std::size_t size : {whole.size() / 2, whole.size() - 16}) {
    const auto layer = unpack(whole.substr(0, size));
    ASSERT_FALSE(layer) << size << " of " << whole.size();
    EXPECT_EQ(layer.error().code, Code::malformed);
  }
  EXPECT_TRUE(unpack("")) << "a layer may be empty";
}

TEST_F(ArchiveLayer, of_any_depth_can_be_removed) {
  // Links let a layer grow deeper than any one path may be long.
  TestTar tar;
  std::string deep;
  for (int i = 0; i < 600; ++i) deep += "d/";
  tar.file(deep + "f", "x").link("l", deep).file("l/" + deep + "f", "x");
  const auto layer = unpack(tar.bytes());
  ASSERT_TRUE(layer) << layer.error().message;
  const auto removed = remove_tree(target_);
  EXPECT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(what_is(target_), "nothing");
}

}  // namespace
}  // namespace tulle::node
