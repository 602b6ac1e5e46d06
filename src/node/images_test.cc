// Pulls through a program that answers as skopeo does, out of a folder instead of a registry.
#include "node/images.h"

#include "node/archive_test_tar.h"
#include "node/digest.h"
#include "node/image_test_directory.h"
#include "rt/combine.h"
#include "rt/thread_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

namespace tulle::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;

// What the program does: NAME of docker://HOST/NAME:TAG is a folder with `manifest`, `config` and
// the layers' blobs; a file `hang` makes it hang there, a file `login` says what it wants to see.
constexpr const char* kSkopeo = R"sh(#!/bin/sh
for last; do case $last in docker://*) image=${last#docker://*/};; esac; done
name=${image%%[:@]*}; from=$REGISTRY/$name
echo "$*" >>"$REGISTRY/log"
case $* in *--authfile*) login=$(cat auth.json);; *) login=none;; esac
[ ! -e "$from/login" ] || [ "$(cat "$from/login")" = "$login" ] || {
  echo 'level=fatal msg="Error parsing image name \"x\": authentication required"' >&2; exit 1; }
[ -d "$from" ] || { echo "manifest unknown" >&2; exit 1; }
case $* in
  *--config*) cat "$from/config" ;;
  *inspect*) cat "$from/manifest" ;;
  *copy*)
    mkdir -p image blobs/sha256
    for blob in "$from"/blobs/*; do
      [ -e "blobs/sha256/${blob##*/}" ] || cp "$blob" blobs/sha256/
    done
    [ ! -e "$from/hang" ] || { echo $$ >>"$REGISTRY/hanging"; exec sleep 1000; } ;;
esac
)sh";

class ImagesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "unpacking layers needs root";
    const std::string program = directory_.write("skopeo", script());
    ASSERT_EQ(::chmod(program.c_str(), 0755), 0);
    options_.skopeo = program;
    options_.look_again = milliseconds(10);
    std::filesystem::create_directories(directory_ / "registry");
    auto store = ImageStore::open(directory_ / "images");
    ASSERT_TRUE(store) << store.error().message;
    store_.emplace(*std::move(store));
  }

  std::string script() const {
    std::string text = kSkopeo;
    const std::string variable = "$REGISTRY";
    for (std::size_t at = 0; (at = text.find(variable, at)) != std::string::npos;) {
      text.replace(at, variable.size(), directory_ / "registry");
    }
    return text;
  }

  std::string in_registry(const std::string& path) const {
    return directory_ / ("registry/" + path);
  }

  // Puts an image into the registry; `size` is what its manifest says of each layer.
  void publish(const std::string& name, const std::vector<std::string>& layers,
               std::optional<std::uint64_t> size = std::nullopt) {
    const TestImage image{.names = {}, .layers = layers};
    std::string entries;
    for (const std::string& layer : layers) {
      const std::string digest = sha256_digest(layer);
      directory_.write("registry/" + name + "/blobs/" + digest_hex(digest), layer);
      entries += (entries.empty() ? "" : ",") + (R"({"digest":")" + digest + R"(","size":)") +
                 std::to_string(size.value_or(layer.size())) + "}";
    }
    directory_.write("registry/" + name + "/config", image.document());
    directory_.write("registry/" + name + "/manifest",
                     R"({"schemaVersion":2,"config":{"digest":")" +
                         sha256_digest(image.document()) + R"("},"layers":[)" + entries + "]}");
  }

  static std::string layer(std::string_view text) { return TestTar().file("name", text).bytes(); }

  Images& images() {
    if (!images_) images_.emplace(loop_, driver_, blocking_, *store_, options_);
    return *images_;
  }

  // "" or why not.
  std::string pull(const std::string& reference, std::vector<std::string> logins = {}) {
    const auto pulled = loop_.run(images().pull(reference, std::move(logins), [](const auto&) {}));
    if (pulled) return "";
    EXPECT_EQ(pulled.error().reason, "ErrImagePull");
    return pulled.error().message;
  }

  // How often the program was called with that among its arguments.
  int asked(const std::string& what) const {
    const std::string log = contents_of(in_registry("log"));
    int count = 0;
    for (std::size_t at = 0; (at = log.find(what, at)) != std::string::npos; ++at) ++count;
    return count;
  }

  rt::Task<void> until_hanging(int count) {
    const auto is_so = [this, count] {
      const std::string text = contents_of(in_registry("hanging"));
      return std::ranges::count(text, '\n') >= count;
    };
    while (!is_so()) co_await rt::sleep(loop_, milliseconds(5));
  }

  rt::Task<void> until_no_staging() {
    while (!std::filesystem::is_empty(directory_ / "images/tmp")) {
      co_await rt::sleep(loop_, milliseconds(5));
    }
  }

  static rt::Task<void> pull_beside(Images& images, std::string reference, std::string& outcome,
                                    PullProgress& progress) {
    const auto pulled = co_await images.pull(
        reference, {}, [&progress](const PullProgress& now) { progress = now; });
    outcome = pulled ? "pulled" : pulled.error().message;
  }

  TestDirectory directory_;
  rt::EpollDriver driver_ = *rt::EpollDriver::create();
  rt::Loop loop_{driver_};
  rt::ThreadPool blocking_{loop_, 2};
  PullOptions options_;
  std::optional<ImageStore> store_;
  std::optional<Images> images_;
};

TEST_F(ImagesTest, of_an_image_only_what_is_not_here_is_fetched) {
  const std::string shared = layer("shared");
  publish("one", {shared, layer("1")});
  EXPECT_EQ(pull("r.test/one:1"), "");
  const auto one = store_->resolve("r.test/one:1");
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->pulled, "r.test/one@" + sha256_digest(contents_of(in_registry("one/manifest"))));
  EXPECT_EQ(one->size, 7U);

  // It stands there as a placeholder: the program would have to bring it.
  publish("two", {shared, layer("2")});
  std::filesystem::remove(in_registry("two/blobs/" + digest_hex(sha256_digest(shared))));
  EXPECT_EQ(pull("r.test/two:1"), "");
  EXPECT_EQ(contents_of(store_->resolve("r.test/two:1")->layers[1] + "/name"), "shared");

  EXPECT_EQ(pull("r.test/one:1"), "");
  EXPECT_EQ(asked("copy"), 2) << "what the registry names is here already";
  publish("one", {shared, layer("changed")});
  EXPECT_EQ(pull("r.test/one:1"), "");
  EXPECT_EQ(asked("copy"), 3);
  EXPECT_EQ(contents_of(store_->resolve("r.test/one:1")->layers[0] + "/name"), "changed");
}

TEST_F(ImagesTest, what_is_not_what_it_says_it_is_is_refused) {
  publish("good", {layer("a")});
  publish("config", {layer("a")});
  directory_.write("registry/config/config", "{}");
  publish("diff", {layer("a")});
  const std::string blob = "registry/diff/blobs/" + digest_hex(sha256_digest(layer("a")));
  directory_.write(blob, layer("b"));
  publish("sizes", {layer("a"), layer("b")}, std::uint64_t{1} << 62);
  publish("small", {layer("a")}, 7);
  publish("missing", {layer("a")});
  std::filesystem::remove(in_registry("missing/blobs/" + digest_hex(sha256_digest(layer("a")))));
  directory_.write("registry/old/manifest", R"({"schemaVersion":1,"fsLayers":[]})");
  directory_.write("registry/nonsense/manifest", "<html>");

  const std::string other = "r.test/good@sha256:" + std::string(64, 'a');
  EXPECT_THAT(pull(other), HasSubstr("gave a manifest of digest"));
  EXPECT_THAT(pull("r.test/config:1"), HasSubstr("gave a configuration of digest"));
  EXPECT_THAT(pull("r.test/diff:1"), HasSubstr("where the configuration says"));
  EXPECT_THAT(pull("r.test/sizes:1"), HasSubstr("the disk has room for"));
  EXPECT_THAT(pull("r.test/missing:1"), HasSubstr("layer 1 did not come"));
  EXPECT_THAT(pull("r.test/small:1"), HasSubstr("bytes where the manifest says 7"));
  EXPECT_THAT(pull("r.test/old:1"), HasSubstr("schema 1"));
  EXPECT_THAT(pull("r.test/nonsense:1"), HasSubstr("line 1"));
  EXPECT_THAT(*store_->list(), IsEmpty());
  loop_.run(until_no_staging());
}

TEST_F(ImagesTest, a_registry_that_sends_more_than_it_said_is_given_up) {
  publish("lying", {layer("a")});
  directory_.write("registry/lying/blobs/more", std::string(17 << 20, 'x'));
  directory_.write("registry/lying/hang", "");
  EXPECT_THAT(pull("r.test/lying:1"), HasSubstr("sends more than the"));
}

TEST_F(ImagesTest, a_registry_that_falls_silent_is_given_up) {
  publish("silent", {layer("a")});
  directory_.write("registry/silent/hang", "");
  options_.silence_max = milliseconds(500);
  EXPECT_THAT(pull("r.test/silent:1"), HasSubstr("the registry sent nothing for"));
  loop_.run(until_no_staging());
}

TEST_F(ImagesTest, a_pull_that_takes_too_long_is_given_up) {
  publish("slow", {layer("a")});
  directory_.write("registry/slow/hang", "");
  options_.time_max = milliseconds(500);
  EXPECT_THAT(pull("r.test/slow:1"), HasSubstr("were fetched within"));
}

TEST_F(ImagesTest, one_login_after_the_other_is_tried) {
  publish("private", {layer("a")});
  directory_.write("registry/private/login", "right");
  EXPECT_EQ(pull("r.test/private:1"),
            "Failed to pull image \"r.test/private:1\": authentication required");
  EXPECT_THAT(pull("r.test/private:1", {"wrong", "none"}), HasSubstr("authentication required"));
  EXPECT_EQ(pull("r.test/private:1", {"wrong", "right"}), "");
}

TEST_F(ImagesTest, one_pull_serves_all_who_wait_for_it) {
  publish("app", {layer("a")});
  std::string outcomes[3];
  PullProgress progress[3];
  rt::Scope scope(loop_);
  for (int i = 0; i < 3; ++i) {
    scope.spawn(pull_beside(images(), "r.test/app:1", outcomes[i], progress[i]));
  }
  loop_.run(scope.idle());
  EXPECT_THAT(outcomes, testing::Each("pulled"));
  EXPECT_EQ(asked("copy"), 1);
}

TEST_F(ImagesTest, a_registry_that_hangs_holds_up_no_other_and_what_nobody_wants_ends) {
  publish("app", {layer("a")});
  publish("stuck", {layer("b")});
  directory_.write("registry/stuck/hang", "");
  std::string outcomes[3];
  PullProgress progress[3];
  rt::Scope scope(loop_);
  for (int i = 0; i < 3; ++i) {
    scope.spawn(
        pull_beside(images(), "r.test/stuck:" + std::to_string(i), outcomes[i], progress[i]));
  }
  loop_.run(until_hanging(2));
  EXPECT_EQ(pull("other.test/app:1"), "");
  loop_.run([](rt::Loop& loop) -> rt::Task<void> { co_await rt::sleep(loop, seconds(2)); }(loop_));
  EXPECT_EQ(progress[2].step, PullProgress::Step::waiting);

  scope.cancel();
  loop_.run(until_no_staging());
  std::filesystem::remove(in_registry("stuck/hang"));
  EXPECT_EQ(pull("r.test/stuck:0"), "") << "what was given up is pulled anew";
}

TEST_F(ImagesTest, says_that_skopeo_is_missing_and_how_to_load_an_image_by_hand) {
  options_.skopeo = "no-such-program-as-skopeo";
  EXPECT_THAT(pull("r.test/app"), HasSubstr("apt install skopeo"));
  EXPECT_THAT(pull("app"), HasSubstr("tulle image load"));
}

TEST_F(ImagesTest, waits_until_the_very_image_is_there) {
  publish("app", {layer("a")});
  publish("other", {layer("b")});
  const ImageVersion since = images().version();
  rt::Scope scope(loop_);
  bool arrived = false;
  struct Wait {
    static rt::Task<void> run(Images& images, ImageVersion seen, bool& flag) {
      co_await images.arrived("r.test/app:1", PullPolicy::if_not_present, seen);
      flag = true;
    }
  };
  scope.spawn(Wait::run(images(), since, arrived));
  EXPECT_EQ(pull("r.test/other:1"), "");
  loop_.run([](rt::Loop& loop) -> rt::Task<void> { co_await rt::sleep(loop, seconds(1)); }(loop_));
  EXPECT_FALSE(arrived);
  EXPECT_EQ(pull("r.test/app:1"), "");
  loop_.run(scope.idle());
  EXPECT_TRUE(arrived);
}

}  // namespace
}  // namespace tulle::node
