#include "kubeclient/cache.h"

#include "http/test_wire.h"
#include "kubeclient/resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <deque>
#include <list>
#include <string>

namespace tulle::kubeclient {
namespace {

using namespace std::chrono_literals;
using kube::ApiResult;
using kube::ApiStatus;
using testing::ElementsAre;
using testing::IsEmpty;

ObjectPtr object(std::string_view name, int version, std::string_view value = "",
                 std::string_view uid = "u") {
  return std::make_shared<const boost::json::object>(
      boost::json::object{{"metadata",
                           {{"namespace", "default"},
                            {"name", name},
                            {"uid", uid},
                            {"resourceVersion", std::to_string(version)}}},
                          {"value", value}});
}

WatchEvent bookmark(int version) {
  return {.type = WatchType::bookmark, .object = object("", version)};
}

// A server whose lists and watches say what the test told it to.
class ScriptedApi final : public Client {
 public:
  explicit ScriptedApi(rt::Loop& loop) : loop_(loop) {}

  // Answers to list and watch calls, each used once; without one a call waits.
  std::deque<ApiResult<List>> lists;
  std::deque<ApiStatus> watch_failures;
  std::vector<std::string> calls;  // "list", "watch 7"

  void tell(ApiResult<WatchEvent> event) { open_.back()->push_back(std::move(event)); }

  rt::Task<ApiResult<List>> list(Resource, ListOptions) override {
    calls.push_back("list");
    while (lists.empty()) co_await rt::sleep(loop_, 1ms);
    ApiResult<List> list = std::move(lists.front());
    lists.pop_front();
    co_return list;
  }
  rt::Task<ApiResult<std::unique_ptr<Watch>>> watch(Resource, ListOptions,
                                                    std::string version) override {
    calls.push_back("watch " + version);
    if (!watch_failures.empty()) {
      ApiStatus failure = std::move(watch_failures.front());
      watch_failures.pop_front();
      co_return failure;
    }
    open_.push_back(std::make_shared<Events>());
    co_return std::unique_ptr<Watch>(std::make_unique<OpenWatch>(loop_, open_.back()));
  }

  rt::Task<ApiResult<ObjectPtr>> get(Resource, ObjectKey) override { return unused(); }
  rt::Task<ApiResult<ObjectPtr>> create(Resource, boost::json::object) override { return unused(); }
  rt::Task<ApiResult<ObjectPtr>> update(Resource, boost::json::object, std::string) override {
    return unused();
  }
  rt::Task<ApiResult<ObjectPtr>> patch(Resource, ObjectKey, PatchType, boost::json::value,
                                       std::string) override {
    return unused();
  }
  rt::Task<ApiResult<void>> remove(Resource, ObjectKey, DeleteOptions) override {
    co_return kube::internal_error("not in this test");
  }

 private:
  using Events = std::deque<ApiResult<WatchEvent>>;

  class OpenWatch final : public Watch {
   public:
    OpenWatch(rt::Loop& loop, std::shared_ptr<Events> events)
        : loop_(loop), events_(std::move(events)) {}
    rt::Task<ApiResult<WatchEvent>> next() override {
      while (events_->empty()) co_await rt::sleep(loop_, 1ms);
      ApiResult<WatchEvent> event = std::move(events_->front());
      events_->pop_front();
      co_return event;
    }

   private:
    rt::Loop& loop_;
    std::shared_ptr<Events> events_;
  };

  static rt::Task<ApiResult<ObjectPtr>> unused() {
    co_return kube::internal_error("not in this test");
  }

  rt::Loop& loop_;
  std::vector<std::shared_ptr<Events>> open_;
};

class CacheTest : public testing::Test {
 protected:
  CacheTest() {
    cache.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
      const auto& changed = after ? *after : *before;
      const std::string_view how = !before ? "+" : !after ? "-" : "~";
      changes.push_back(std::string(how) + std::string(kube::name_of(changed)) +
                        (after ? "=" + std::string(kube::string_at(*after, "value")) : ""));
    });
  }

  // Starts with a list of `items` at this version.
  void begin(int version, std::vector<ObjectPtr> items) {
    list(version, std::move(items));
    cache.start();
    settle();
  }
  void list(int version, std::vector<ObjectPtr> items) {
    api.lists.emplace_back(
        List{.items = std::move(items), .resource_version = std::to_string(version)});
  }
  void tell(WatchType type, ObjectPtr of) {
    api.tell(WatchEvent{.type = type, .object = std::move(of)});
    settle();
  }
  void settle() { sim.advance(10ms); }
  std::vector<std::string> take_changes() { return std::exchange(changes, {}); }
  std::string value_of(const std::string& name) {
    const auto found = cache.get({.namespace_ = "default", .name = name});
    return found ? std::string(kube::string_at(*found, "value")) : "none";
  }

  http::Sim sim;
  ScriptedApi api{sim.loop};
  std::vector<std::string> changes;
  Cache cache{sim.loop, api, Random(1), kPods};
};

TEST_F(CacheTest, lists_then_follows_the_watch) {
  EXPECT_FALSE(cache.is_synced());
  begin(7, {object("a", 3, "1"), object("b", 5, "1")});
  EXPECT_TRUE(cache.is_synced());
  EXPECT_THAT(take_changes(), ElementsAre("+a=1", "+b=1"));
  EXPECT_THAT(api.calls, ElementsAre("list", "watch 7"));
  tell(WatchType::added, object("c", 8, "1"));
  tell(WatchType::modified, object("a", 9, "2"));
  tell(WatchType::deleted, object("b", 10));
  EXPECT_THAT(take_changes(), ElementsAre("+c=1", "~a=2", "-b"));
  EXPECT_EQ(cache.objects().size(), 2U);
}

TEST_F(CacheTest, a_watch_that_ends_in_order_goes_on_from_the_last_version) {
  begin(7, {});
  api.tell(bookmark(12));
  api.tell(ApiStatus(kube::timeout("the server ended the watch")));
  settle();
  EXPECT_THAT(api.calls, ElementsAre("list", "watch 7", "watch 12"));
  EXPECT_THAT(changes, IsEmpty());
}

TEST_F(CacheTest, history_that_is_gone_gives_the_differences_of_a_new_list) {
  begin(7, {object("same", 1, "1"), object("changed", 2, "1"), object("gone", 3, "1")});
  take_changes();
  list(20, {object("same", 1, "1"), object("changed", 15, "2"), object("new", 16, "1")});
  api.tell(ApiStatus(kube::expired("too old resource version")));
  settle();
  EXPECT_THAT(take_changes(), ElementsAre("~changed=2", "+new=1", "-gone"));
  EXPECT_THAT(api.calls, ElementsAre("list", "watch 7", "list", "watch 20"));
}

TEST_F(CacheTest, a_watch_refused_as_too_old_lists_again) {
  api.watch_failures.push_back(kube::too_old_resource_version(7, 100));
  list(7, {});
  list(101, {object("a", 100)});
  cache.start();
  settle();
  EXPECT_THAT(api.calls, ElementsAre("list", "watch 7", "list", "watch 101"));
  EXPECT_EQ(cache.objects().size(), 1U);
}

TEST_F(CacheTest, failures_are_tried_again_with_growing_pauses) {
  constexpr int kFailures = 6;
  for (int i = 0; i < kFailures; ++i) api.lists.emplace_back(kube::service_unavailable("down"));
  list(7, {});
  cache.start();
  const Instant start = sim.loop.now();
  sim.loop.run(cache.synced());
  const Duration took = sim.loop.now() - start;
  // 50 ms, doubled each time, each give or take half.
  EXPECT_GE(took, 50ms * 63 / 2);
  EXPECT_LE(took, 50ms * 63 * 3 / 2);
}

TEST_F(CacheTest, an_observed_write_is_seen_at_once_and_not_undone_by_older_news) {
  begin(7, {object("a", 3, "1")});
  take_changes();
  cache.observe(object("a", 12, "3"));
  EXPECT_EQ(value_of("a"), "3");
  tell(WatchType::modified, object("a", 10, "2"));
  EXPECT_EQ(value_of("a"), "3");
  tell(WatchType::modified, object("a", 12, "3"));
  EXPECT_THAT(take_changes(), ElementsAre("~a=3"));
}

TEST_F(CacheTest, an_observed_write_that_the_watch_has_passed_does_not_bring_back_what_is_gone) {
  begin(7, {object("a", 3, "1")});
  tell(WatchType::deleted, object("a", 9));
  cache.observe(object("a", 8, "2"));
  EXPECT_EQ(value_of("a"), "none");
  EXPECT_THAT(take_changes(), ElementsAre("+a=1", "-a"));
}

TEST_F(CacheTest, a_list_older_than_an_observed_write_does_not_undo_it) {
  begin(7, {object("a", 3, "1")});
  take_changes();
  api.tell(ApiStatus(kube::expired("too old resource version")));
  settle();
  cache.observe(object("a", 31, "2"));
  cache.observe(object("b", 32, "1"));
  list(30, {object("a", 3, "1")});
  settle();
  EXPECT_THAT(take_changes(), ElementsAre("~a=2", "+b=1"));
}

TEST_F(CacheTest, the_end_of_an_earlier_object_of_that_name_leaves_the_new_one) {
  begin(7, {object("a", 3, "1", "first")});
  cache.observe(object("a", 11, "2", "second"));
  tell(WatchType::deleted, object("a", 10, "1", "first"));
  EXPECT_EQ(value_of("a"), "2");
}

}  // namespace
}  // namespace tulle::kubeclient
