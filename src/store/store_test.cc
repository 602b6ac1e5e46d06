#include "store/memory_store.h"
#include "store/sqlite_store.h"
#include "store/state.h"

#include "rt/combine.h"
#include "rt/epoll_driver.h"
#include "rt/sim_driver.h"
#include "rt/thread_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>

namespace tulle::store {
namespace {

using testing::ElementsAre;

class TemporaryFolder final {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tulle-store-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A store on a loop of its own, and one-letter verbs, so that a test reads like a story.
class StoreTest : public testing::TestWithParam<std::string> {
 protected:
  StoreTest() : loop_(driver_), blocking_(loop_) { open(); }

  void open() {
    store_.reset();
    if (GetParam() == "memory") {
      store_ = std::make_unique<MemoryStore>(loop_);
      return;
    }
    auto opened = SqliteStore::open(loop_, blocking_, folder_.file("state.db"));
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = *std::move(opened);
  }

  static Key key(std::string_view text) {
    auto slash = text.find('/');
    return {"/pods", std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
  }
  static Render render(std::string text) {
    return [text](Revision revision) { return text + "@" + std::to_string(revision); };
  }

  std::string put(std::string_view where, std::string value,
                  Expected expected = Expected::anything(),
                  Durability durability = Durability::first) {
    return shown(
        loop_.run(store_->put(key(where), expected, render(std::move(value)), durability)));
  }
  std::string erase(std::string_view where, Expected expected = Expected::anything()) {
    return shown(loop_.run(store_->erase(key(where), expected, render("gone"))));
  }
  std::string get(std::string_view where) {
    ItemRef item = store_->get(key(where));
    return item ? item->value : "-";
  }
  std::vector<std::string> list(ListOptions options = {.bucket = "/pods"}) {
    auto listing = store_->list(options);
    if (!listing) return {std::string(name(listing.error().code))};
    std::vector<std::string> values;
    for (const ItemRef& item : listing->items) values.push_back(item->value);
    return values;
  }
  static std::vector<std::string> drain(Watch& watch) {
    std::vector<std::string> seen;
    for (;;) {
      auto event = watch.try_next();
      if (!event) {
        seen.emplace_back(name(event.error().code));
        return seen;
      }
      if (!*event) return seen;
      std::string text = (*event)->deleted ? "deleted " : "put ";
      text += (*event)->item->value;
      if ((*event)->previous) text += " was " + (*event)->previous->value;
      seen.push_back(text);
    }
  }

  rt::SimDriver driver_;
  rt::Loop loop_;
  rt::InlineBlocking blocking_;
  TemporaryFolder folder_;
  std::unique_ptr<Store> store_;

 private:
  static std::string shown(const Result<ItemRef>& result) {
    return result ? (*result)->value : std::string(name(result.error().code));
  }
};

TEST_P(StoreTest, a_write_is_checked_against_the_revision_it_expects) {
  EXPECT_EQ(put("a/x", "one", Expected::absent()), "one@1");
  EXPECT_EQ(put("a/x", "two", Expected::absent()), "already_exists");
  EXPECT_EQ(put("a/x", "two", Expected::at(7)), "conflict");
  EXPECT_EQ(put("a/x", "two", Expected::at(1)), "two@2");
  EXPECT_EQ(put("a/y", "y", Expected::at(1)), "not_found");
  EXPECT_EQ(put("a/x", "three"), "three@3");
  EXPECT_EQ(erase("a/x", Expected::at(2)), "conflict");
  EXPECT_EQ(erase("a/x", Expected::at(3)), "gone@4");
  EXPECT_EQ(erase("a/x"), "not_found");
  EXPECT_EQ(get("a/x"), "-");
  EXPECT_EQ(store_->revision(), 4u);
}

TEST_P(StoreTest, a_list_is_ordered_and_may_continue_or_look_back) {
  for (const char* where : {"b/m", "a/y", "a-b/x", "a/x", "ab/x"}) put(where, where);
  EXPECT_THAT(list(), ElementsAre("a/x@4", "a/y@2", "a-b/x@3", "ab/x@5", "b/m@1"));
  EXPECT_THAT(list({.bucket = "/pods", .namespace_ = "a"}), ElementsAre("a/x@4", "a/y@2"));
  EXPECT_THAT(list({.bucket = "/pods", .after = {{"a", "y"}}}),
              ElementsAre("a-b/x@3", "ab/x@5", "b/m@1"));
  put("a/x", "new");
  erase("b/m");
  EXPECT_THAT(list({.bucket = "/pods", .at = 5, .after = {{"a-b", "x"}}}),
              ElementsAre("ab/x@5", "b/m@1"));
  EXPECT_THAT(list({.bucket = "/pods", .namespace_ = "a", .at = 3}), ElementsAre("a/y@2"));
  EXPECT_THAT(list({.bucket = "/nodes"}), ElementsAre());
}

TEST(StateTest, heads_are_what_is_durable_and_what_is_on_its_way) {
  rt::SimDriver driver;
  rt::Loop loop(driver);
  State state(loop);
  const auto write = [&](std::string name, bool erase) {
    return *state.stage(
        {"/pods", "a", std::move(name)}, Expected::anything(),
        [](Revision revision) { return std::to_string(revision); }, erase);
  };
  for (const char* name : {"kept", "changed", "erased"}) state.publish(write(name, false));
  write("changed", false);
  write("erased", true);
  write("new", false);
  std::vector<std::string> heads;
  for (const ItemRef& item : state.heads("/pods", "a")) {
    heads.push_back(item->key.name + "@" + item->value);
  }
  EXPECT_THAT(heads, ElementsAre("changed@4", "kept@1", "new@6"));
  EXPECT_TRUE(state.heads("/pods", "b").empty());
  EXPECT_TRUE(state.heads("/secrets", "a").empty());
}

TEST_P(StoreTest, a_watch_sees_every_event_after_its_revision_in_order) {
  put("a/x", "one");
  auto all = store_->watch({.bucket = "/pods", .from = 0});
  auto later = store_->watch({.bucket = "/pods", .namespace_ = "a", .from = 1});
  ASSERT_TRUE(all && later);
  put("b/z", "other");
  put("a/x", "two");
  erase("a/x");
  EXPECT_THAT(drain(**all), ElementsAre("put one@1", "put other@2", "put two@3 was one@1",
                                        "deleted gone@4 was two@3"));
  EXPECT_THAT(drain(**later), ElementsAre("put two@3 was one@1", "deleted gone@4 was two@3"));
}

rt::Task<std::string> next_value(Watch& watch) {
  for (;;) {
    auto event = watch.try_next();
    if (!event) co_return std::string(name(event.error().code));
    if (*event) co_return (*event)->item->value;
    co_await watch.ready();
  }
}

TEST_P(StoreTest, a_waiting_watch_wakes_with_the_write) {
  auto watch = store_->watch({.bucket = "/pods", .from = 0});
  ASSERT_TRUE(watch);
  auto outcome = loop_.run([](Store& store, Watch& pods) -> rt::Task<std::string> {
    auto both = co_await rt::race(next_value(pods), [](Store& to) -> rt::Task<std::string> {
      Key where{"/pods", "a", "x"};
      (void)co_await to.put(
          where, Expected::anything(), [](Revision) { return "value"; }, Durability::first);
      co_await std::suspend_always{};
      co_return "";
    }(store));
    co_return std::get<0>(both);
  }(*store_, **watch));
  EXPECT_EQ(outcome, "value");
}

TEST_P(StoreTest, a_watch_that_falls_behind_the_log_expires) {
  put("a/x", "first");
  auto slow = store_->watch({.bucket = "/pods", .from = 0});
  ASSERT_TRUE(slow);
  for (std::size_t i = 0; i <= log_events_max; ++i) put("a/x", "again");
  EXPECT_THAT(drain(**slow), ElementsAre("expired"));
  auto late = store_->watch({.bucket = "/pods", .from = 1});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::expired);
  EXPECT_THAT(list({.bucket = "/pods", .at = 1}), ElementsAre("expired"));
  EXPECT_TRUE(store_->watch({.bucket = "/pods", .from = store_->revision()}));
}

TEST_P(StoreTest, the_log_is_bounded_in_bytes_too) {
  std::string large(log_bytes_max / 4, 'x');
  for (int i = 0; i < 6; ++i) put("a/x", large);
  EXPECT_FALSE(store_->watch({.bucket = "/pods", .from = 1}));
  EXPECT_TRUE(store_->watch({.bucket = "/pods", .from = 4}));
}

TEST_P(StoreTest, many_writes_at_once_keep_their_order) {
  std::vector<rt::Task<Result<ItemRef>>> writes;
  writes.reserve(100);
  for (int i = 0; i < 100; ++i) {
    writes.push_back(store_->put(key("a/x"), Expected::anything(), render(std::to_string(i)),
                                 Durability::first));
  }
  auto results = loop_.run(rt::all(loop_, std::move(writes)));
  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i]);
    EXPECT_EQ((*results[i])->revision, i + 1);
  }
  EXPECT_EQ(get("a/x"), "99@100");
}

INSTANTIATE_TEST_SUITE_P(, StoreTest, testing::Values("memory", "sqlite"),
                         [](const auto& info) { return info.param; });

class SqliteStoreTest : public StoreTest {};

TEST_P(SqliteStoreTest, a_reopened_store_holds_the_same_and_never_uses_a_revision_again) {
  put("a/x", "one");
  put("a/y", std::string("\0bin", 4));
  erase("a/x");
  open();
  EXPECT_EQ(get("a/x"), "-");
  EXPECT_EQ(get("a/y"), std::string("\0bin@2", 6));
  // As many as may have been shown before they were durable.
  const Revision reached = 3 + shown_early_max + 1;
  EXPECT_EQ(store_->revision(), reached);
  EXPECT_FALSE(store_->watch({.bucket = "/pods", .from = reached - 1}));
  EXPECT_TRUE(store_->watch({.bucket = "/pods", .from = reached}));
  EXPECT_EQ(put("a/z", "z"), "z@" + std::to_string(reached + 1));
}

TEST_P(SqliteStoreTest, a_file_that_is_no_store_is_refused) {
  std::ofstream(folder_.file("text.db")) << std::string(4096, 'x');
  auto opened = SqliteStore::open(loop_, blocking_, folder_.file("text.db"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::malformed);
}

// A disk that is full: no file of this process may grow beyond the limit.
class FileSizeLimit final {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_P(SqliteStoreTest, a_write_that_the_disk_refuses_fails_and_later_ones_do_not) {
  put("a/x", "one");
  auto watch = store_->watch({.bucket = "/pods", .from = 1});
  ASSERT_TRUE(watch);
  {
    FileSizeLimit full(1024 * 1024);
    std::vector<rt::Task<Result<ItemRef>>> writes;
    for (std::size_t bytes : {std::size_t{2} << 20, std::size_t{10}}) {
      writes.push_back(store_->put(key("a/x"), Expected::anything(),
                                   render(std::string(bytes, 'x')), Durability::first));
    }
    auto results = loop_.run(rt::all(loop_, std::move(writes)));
    EXPECT_FALSE(results[0]);
    EXPECT_FALSE(results[1]);
  }
  EXPECT_EQ(store_->head(key("a/x"))->value, "one@1");
  EXPECT_EQ(put("a/x", "two", Expected::at(1)), "two@4");
  EXPECT_THAT(drain(**watch), ElementsAre("put two@4 was one@1"));
  open();
  EXPECT_EQ(get("a/x"), "two@4");
}

TEST_P(SqliteStoreTest, what_may_be_durable_later_is_shown_at_once_and_owed_to_the_disk) {
  put("a/x", "one");
  auto watch = store_->watch({.bucket = "/pods", .from = 1});
  ASSERT_TRUE(watch);
  {
    FileSizeLimit full(1024 * 1024);
    const std::string large(std::size_t{2} << 20, 'x');
    EXPECT_NE(put("a/large", large, Expected::anything(), Durability::later), "unavailable");
    EXPECT_EQ(put("a/y", "y", Expected::anything(), Durability::later), "y@3");
    EXPECT_EQ(drain(**watch).size(), 2u);
    // The disk took neither, and so not this one.
    EXPECT_FALSE(put("a/x", "two").starts_with("two"));
  }
  EXPECT_EQ(put("a/x", "three", Expected::at(1)), "three@5");
  open();
  EXPECT_EQ(get("a/x"), "three@5");
  EXPECT_EQ(get("a/y"), "y@3");
  EXPECT_NE(get("a/large"), "-");
}

TEST_P(SqliteStoreTest, what_may_be_durable_later_is_not_shown_before_an_earlier_write) {
  FileSizeLimit full(1024 * 1024);
  std::vector<rt::Task<Result<ItemRef>>> writes;
  writes.push_back(store_->put(key("a/x"), Expected::anything(),
                               render(std::string(std::size_t{2} << 20, 'x')), Durability::first));
  writes.push_back(store_->put(key("a/y"), Expected::anything(), render("y"), Durability::later));
  const auto results = loop_.run(rt::all(loop_, std::move(writes)));
  EXPECT_FALSE(results[0]);
  EXPECT_FALSE(results[1]);
  EXPECT_EQ(get("a/y"), "-");
}

TEST_P(SqliteStoreTest, only_so_many_are_shown_before_they_are_durable) {
  FileSizeLimit full(0);
  for (std::size_t i = 0; i < shown_early_max; ++i) {
    EXPECT_EQ(put("a/x", "x", Expected::anything(), Durability::later),
              "x@" + std::to_string(i + 1));
  }
  EXPECT_FALSE(put("a/x", "x", Expected::anything(), Durability::later).starts_with("x"));
}

INSTANTIATE_TEST_SUITE_P(, SqliteStoreTest, testing::Values("sqlite"),
                         [](const auto& info) { return info.param; });

// Writes for ever from several coroutines; each acknowledged write goes to `out` as a line.
rt::Task<void> write_for_ever(Store& store, int writer, int out) {
  for (int round = 0;; ++round) {
    Key key{"/pods", "a", std::to_string(writer) + "-" + std::to_string(round % 7)};
    Expected expected = Expected::anything();
    auto written = co_await store.put(
        key, expected, [](Revision r) { return std::to_string(r); }, Durability::first);
    if (!written) _exit(2);
    std::string line = key.name + " " + (*written)->value + "\n";
    if (write(out, line.data(), line.size()) < 0) _exit(3);
  }
}

[[noreturn]] void run_writer(const std::string& path, int out) {
  auto driver = rt::EpollDriver::create();
  if (!driver) _exit(4);
  rt::Loop loop(*driver);
  rt::ThreadPool pool(loop, 2);
  auto store = SqliteStore::open(loop, pool, path);
  if (!store) _exit(5);
  rt::Scope scope(loop);
  for (int writer = 0; writer < 8; ++writer) scope.spawn(write_for_ever(**store, writer, out));
  loop.run();
  _exit(6);
}

// Reads the child's lines until it has acknowledged `wanted` writes, then kills it, then the rest.
std::map<std::string, Revision> acknowledged_until_killed(int child, int in, std::size_t wanted) {
  std::string text;
  char buffer[4096];
  bool killed = false;
  for (;;) {
    ssize_t got = read(in, buffer, sizeof buffer);
    if (got <= 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
    if (!killed && std::count(text.begin(), text.end(), '\n') >= static_cast<long>(wanted)) {
      kill(child, SIGKILL);
      killed = true;
    }
  }
  std::map<std::string, Revision> latest;
  std::istringstream lines(text);
  std::string name;
  Revision revision = 0;
  while (lines >> name >> revision) latest[name] = revision;
  return latest;
}

TEST(SqliteCrash, every_acknowledged_write_survives_a_kill) {
  TemporaryFolder folder;
  Revision highest = 0;
  for (int round = 0; round < 3; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      run_writer(folder.file("state.db"), ends[1]);
    }
    close(ends[1]);
    auto latest = acknowledged_until_killed(child, ends[0], 200);
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself: " << WEXITSTATUS(status);

    rt::SimDriver driver;
    rt::Loop loop(driver);
    rt::InlineBlocking blocking(loop);
    auto store = SqliteStore::open(loop, blocking, folder.file("state.db"));
    ASSERT_TRUE(store) << store.error().message;
    for (const auto& [name, revision] : latest) {
      ItemRef item = (*store)->get({"/pods", "a", name});
      ASSERT_TRUE(item) << name;
      EXPECT_GE(item->revision, revision);
      EXPECT_EQ(item->value, std::to_string(item->revision));
      EXPECT_GT(revision, highest) << "a revision was used twice";
    }
    highest = (*store)->revision();
  }
}

}  // namespace
}  // namespace tulle::store
