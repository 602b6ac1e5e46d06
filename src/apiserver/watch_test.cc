// Watches over HTTP, and a simulated run of many writers and watchers.
#include "apiserver/local_client.h"
#include "apiserver/test_server.h"

#include "kubeclient/resources.h"
#include "rt/sleep.h"

#include <gtest/gtest.h>

#include <map>

namespace tulle::apiserver {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string path = "GET /api/v1/namespaces/default/configmaps";

class ApiWatch : public testing::Test {
 protected:
  std::string version() {
    return std::string(kube::resource_version_of(server.ask(path).object()));
  }
  void label(std::string_view name, std::string_view value) {
    Answer answer = server.ask("PATCH /api/v1/namespaces/default/configmaps/" + std::string(name),
                               R"({"metadata":{"labels":{"app":")" + std::string(value) + "\"}}}",
                               {.content_type = "application/merge-patch+json"});
    ASSERT_EQ(answer.status, 200) << answer.text;
  }
  void remove(const std::string& name) {
    server.ask("DELETE /api/v1/namespaces/default/configmaps/" + name);
  }

  TestServer server;
};

TEST_F(ApiWatch, events_after_a_version_come_in_order) {
  server.config_map("old");
  TestConnection connection(server);
  connection.say(path + "?watch=true&resourceVersion=" + version());
  EXPECT_THAT(connection.events(), IsEmpty());
  server.config_map("a");
  label("a", "x");
  label("a", "x");
  remove("a");
  EXPECT_THAT(connection.events(), ElementsAre("ADDED a", "MODIFIED a", "DELETED a"));
}

TEST_F(ApiWatch, without_a_version_what_exists_comes_first) {
  server.config_map("a");
  server.config_map("b");
  for (std::string query : {"?watch=true", "?watch=1&resourceVersion=0"}) {
    TestConnection connection(server);
    connection.say(path + query);
    EXPECT_THAT(connection.events(), ElementsAre("ADDED a", "ADDED b"));
  }
}

TEST_F(ApiWatch, a_watch_list_ends_its_beginning_with_a_bookmark) {
  server.config_map("a");
  TestConnection connection(server);
  connection.say(path +
                 "?watch=true&sendInitialEvents=true&allowWatchBookmarks=true"
                 "&resourceVersionMatch=NotOlderThan");
  std::vector<std::string> lines = connection.lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(holds(parse(lines[0]), parse(R"({"type":"ADDED","object":{"kind":"ConfigMap"}})")));
  EXPECT_TRUE(holds(parse(lines[1]),
                    parse(R"({"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1",
                              "metadata":{"resourceVersion":")" +
                          version() + R"(","annotations":{
                              "k8s.io/initial-events-end":"true"}}}})")))
      << lines[1];
  server.config_map("b");
  EXPECT_THAT(connection.events(), ElementsAre("ADDED b"));
}

TEST_F(ApiWatch, an_object_enters_and_leaves_a_selector) {
  server.config_map("a");
  TestConnection connection(server);
  connection.say(path + "?watch=true&labelSelector=app%3Dx&resourceVersion=" + version());
  label("a", "x");
  label("a", "x2");
  server.config_map("b", R"({"app":"x"})");
  server.config_map("c");
  remove("b");
  EXPECT_THAT(connection.events(), ElementsAre("ADDED a", "DELETED a", "ADDED b", "DELETED b"));
}

TEST_F(ApiWatch, one_object_is_watched_by_field_or_by_path) {
  std::string from = version();
  TestConnection by_field(server);
  by_field.say(path + "?watch=true&fieldSelector=metadata.name%3Da&resourceVersion=" + from);
  TestConnection by_path(server);
  by_path.say(path + "/a?watch=true&resourceVersion=" + from);
  server.config_map("a");
  server.config_map("b");
  EXPECT_THAT(by_field.events(), ElementsAre("ADDED a"));
  EXPECT_THAT(by_path.events(), ElementsAre("ADDED a"));
}

TEST_F(ApiWatch, an_idle_watch_gets_bookmarks_and_ends_after_its_time) {
  TestConnection connection(server);
  connection.say(path + "?watch=true&allowWatchBookmarks=true&timeoutSeconds=150&resourceVersion=" +
                 version());
  server.sim.advance(std::chrono::seconds(140));
  EXPECT_THAT(connection.events(), ElementsAre("BOOKMARK ", "BOOKMARK "));
  server.sim.advance(std::chrono::seconds(20));
  EXPECT_THAT(connection.wire.hear(), HasSubstr("0\r\n\r\n"));
}

TEST_F(ApiWatch, a_version_out_of_reach_is_410_or_504) {
  std::string old = version();
  server.config_map("a");
  TestConnection slow(server);
  slow.say(path + "?watch=true&resourceVersion=" + old);
  for (std::size_t i = 0; i <= store::log_events_max; ++i) {
    server.ask("PUT /api/v1/namespaces/default/configmaps/a",
               R"({"metadata":{"name":"a"},"data":{"n":")" + std::to_string(i) + "\"}}");
  }
  TestConnection late(server);
  late.say(path + "?watch=true&resourceVersion=" + old);
  EXPECT_THAT(late.wire.hear(), testing::AllOf(testing::StartsWith("HTTP/1.1 410"),
                                               HasSubstr("\"reason\":\"Expired\"")));
  TestConnection early(server);
  early.say(path + "?watch=true&resourceVersion=99999999");
  EXPECT_THAT(early.wire.hear(), testing::StartsWith("HTTP/1.1 504"));
  // Nobody read the first connection: its pipe filled, and the log went on without it.
  std::vector<std::string> events = slow.events();
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.back(), "ERROR 410");
}

TEST_F(ApiWatch, tables_carry_columns_once) {
  TestConnection connection(server);
  connection.say(path + "?watch=true&resourceVersion=" + version(),
                 "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n");
  server.config_map("a");
  server.config_map("b");
  std::vector<std::string> lines = connection.lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(holds(parse(lines[0]), parse(R"({"type":"ADDED","object":{"kind":"Table"}})")));
  json::value first = parse(lines[0]);
  json::value second = parse(lines[1]);
  EXPECT_FALSE(kube::array_at(first.as_object(), "object.columnDefinitions").empty());
  EXPECT_TRUE(kube::array_at(second.as_object(), "object.columnDefinitions").empty());
}

TEST_F(ApiWatch, a_client_that_leaves_ends_its_watch) {
  TestConnection connection(server);
  connection.say(path + "?watch=true");
  connection.wire.close();
  server.config_map("a");
}

TEST_F(ApiWatch, callers_in_the_process_see_the_same) {
  LocalClient client(server.server, {.name = "controller", .groups = {}});
  auto& loop = server.sim.loop;
  server.config_map("a");
  auto list = loop.run(client.list(kubeclient::kConfigMaps, {.namespace_ = "default"}));
  ASSERT_TRUE(list);
  ASSERT_EQ(list->items.size(), 1u);
  auto watch = loop.run(client.watch(kubeclient::kConfigMaps, {}, list->resource_version));
  ASSERT_TRUE(watch);

  json::object object = *list->items[0];
  kube::set_at(object, "data.k", "v");
  auto updated = loop.run(client.update(kubeclient::kConfigMaps, object, ""));
  ASSERT_TRUE(updated) << updated.error().message;
  auto stale = loop.run(client.update(kubeclient::kConfigMaps, object, ""));
  ASSERT_FALSE(stale);
  EXPECT_TRUE(stale.error().is(kube::Reason::conflict));
  auto patched =
      loop.run(client.patch(kubeclient::kConfigMaps, {"default", "a"}, kubeclient::PatchType::merge,
                            parse(R"({"data":{"k":"w"}})"), ""));
  ASSERT_TRUE(patched);
  ASSERT_TRUE(loop.run(client.remove(kubeclient::kConfigMaps, {"default", "a"}, {})));
  EXPECT_FALSE(loop.run(client.get(kubeclient::kConfigMaps, {"default", "a"})));

  using kubeclient::WatchType;
  for (WatchType type : {WatchType::modified, WatchType::modified, WatchType::deleted}) {
    auto event = loop.run((*watch)->next());
    ASSERT_TRUE(event);
    EXPECT_EQ(event->type, type);
    EXPECT_EQ(kube::name_of(*event->object), "a");
  }
  auto bookmark = loop.run((*watch)->next());
  ASSERT_TRUE(bookmark);
  EXPECT_EQ(bookmark->type, WatchType::bookmark);
}

// --- The simulated run
// ----------------------------------------------------------------------------

using Seen = std::vector<std::string>;

struct Simulation {
  Simulation(TestServer& of, Random seeded)
      : server(of), random(seeded), client(of.server, {.name = "writer", .groups = {}}) {}

  TestServer& server;
  Random random;
  LocalClient client;
  int writers = 0;
};

constexpr int writers_count = 12;
constexpr int writes_each = 40;
constexpr int watchers_count = 8;
constexpr int names_count = 10;

rt::Task<void> write(Simulation& run, int writer) {
  ++run.writers;
  for (int i = 0; i < writes_each; ++i) {
    co_await rt::sleep(run.server.sim.loop, Duration(run.random.below(1000)));
    std::string name = "n" + std::to_string(run.random.below(names_count));
    kubeclient::ObjectKey key{"default", name};
    json::object object{{"metadata", {{"name", name}, {"namespace", "default"}}},
                        {"data", {{"by", std::to_string(writer * writes_each + i)}}}};
    switch (run.random.below(4)) {
      case 0: (void)co_await run.client.remove(kubeclient::kConfigMaps, key, {}); break;
      case 1: {
        auto current = co_await run.client.get(kubeclient::kConfigMaps, key);
        if (!current) break;
        co_await rt::sleep(run.server.sim.loop, Duration(run.random.below(500)));
        json::object changed = **current;
        kube::set_at(changed, "data.cas", json::value(std::to_string(i)));
        (void)co_await run.client.update(kubeclient::kConfigMaps, std::move(changed), "");
        break;
      }
      default:
        if (!co_await run.client.create(kubeclient::kConfigMaps, object)) {
          (void)co_await run.client.update(kubeclient::kConfigMaps, object, "");
        }
    }
  }
  --run.writers;
}

std::string shown(const kubeclient::WatchEvent& event) {
  return std::to_string(static_cast<int>(event.type)) + " " +
         std::string(kube::name_of(*event.object)) + "@" +
         std::string(kube::resource_version_of(*event.object));
}

// Follows the collection from wherever it joins; keeps what it saw and the state that follows.
struct Follower {
  Seen seen;
  std::map<std::string, std::string> state;
};

rt::Task<void> follow(Simulation& run, Follower& follower) {
  co_await rt::sleep(run.server.sim.loop, Duration(run.random.below(10000)));
  auto list = co_await run.client.list(kubeclient::kConfigMaps, {});
  if (!list) co_return;
  for (const auto& item : list->items) {
    follower.state[std::string(kube::name_of(*item))] = codec::to_json(*item);
  }
  auto watch = co_await run.client.watch(kubeclient::kConfigMaps, {}, list->resource_version);
  if (!watch) co_return;
  for (;;) {
    auto event = co_await (*watch)->next();
    if (!event) co_return;
    if (event->type == kubeclient::WatchType::bookmark) continue;
    follower.seen.push_back(shown(*event));
    std::string name(kube::name_of(*event->object));
    if (event->type == kubeclient::WatchType::deleted) {
      follower.state.erase(name);
    } else {
      follower.state[name] = codec::to_json(*event->object);
    }
  }
}

class ApiSimulation : public testing::TestWithParam<int> {};

TEST_P(ApiSimulation, every_watcher_sees_the_same_order_and_ends_with_the_stored_state) {
  TestServer server;
  Simulation run(server, Random(static_cast<std::uint64_t>(GetParam())));
  Follower everything;
  std::vector<Follower> followers(watchers_count);
  rt::Scope scope(server.sim.loop);
  TestConnection http(server);
  http.say("GET /api/v1/configmaps?watch=true");
  scope.spawn(follow(run, everything));
  for (Follower& follower : followers) scope.spawn(follow(run, follower));
  for (int writer = 0; writer < writers_count; ++writer) scope.spawn(write(run, writer));
  do {
    server.sim.advance(std::chrono::microseconds(10));
  } while (run.writers > 0);

  std::map<std::string, std::string> stored;
  auto listing = server.store.list({.bucket = "/configmaps"});
  ASSERT_TRUE(listing);
  for (const auto& item : listing->items) stored[item->key.name] = item->value;
  for (const Follower& follower : followers) {
    EXPECT_EQ(follower.state, stored);
    // All saw one history; a later one saw the end of it.
    const Seen& longer =
        everything.seen.size() >= follower.seen.size() ? everything.seen : follower.seen;
    const Seen& shorter =
        everything.seen.size() >= follower.seen.size() ? follower.seen : everything.seen;
    EXPECT_TRUE(std::equal(shorter.rbegin(), shorter.rend(), longer.rbegin()));
    EXPECT_FALSE(follower.seen.empty());
  }
  std::map<std::string, std::string> over_http;
  for (const std::string& line : http.lines()) {
    json::value event = parse(line);
    const json::object& object = kube::object_at(event.get_object(), "object");
    std::string name(kube::name_of(object));
    over_http.erase(name);
    if (kube::string_at(event.get_object(), "type") == "DELETED") continue;
    over_http[name] = codec::to_json(object);
  }
  EXPECT_EQ(over_http, stored);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ApiSimulation, testing::Range(1, 6));

}  // namespace
}  // namespace tulle::apiserver
