#include "kubeclient/http_client.h"

#include "http/server.h"
#include "http/test_wire.h"
#include "kube/object.h"
#include "kubeclient/events.h"
#include "kubeclient/resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>
#include <vector>

namespace tulle::kubeclient {
namespace {

using namespace std::chrono_literals;
using kube::ApiResult;
using kube::Reason;
using testing::ElementsAre;

const SocketAddress kServer{.ip = IpAddress::v4(127, 0, 0, 1), .port = 6443};

// Writes down what is asked and answers what it was told to, the last answer again and again.
class ScriptedServer final : public http::Handler {
 public:
  struct Answer {
    int status = 200;
    std::string body = {};
  };
  std::vector<std::string> asked;   // "PUT /path [type] body"
  std::vector<std::string> fields;  // Accept and Authorization
  Answer answer;
  std::vector<std::string> watch_lines;  // written one by one to requests with watch=true
  bool watch_ends = true;

  explicit ScriptedServer(rt::Loop& loop) : loop_(loop) {}

  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override {
    std::string line = request.head.method + " " + request.head.target;
    const auto& headers = request.head.headers;
    if (const auto type = headers.get("Content-Type")) line += " [" + std::string(*type) + "]";
    const auto body = co_await http::read_all(request.body, 1 << 20);
    if (body && !body->empty()) line += " " + *body;
    fields.push_back(std::string(headers.get("Accept").value_or("-")) + " " +
                     std::string(headers.get("Authorization").value_or("-")));
    const bool watch = line.find("watch=true") != std::string::npos && answer.status == 200;
    asked.push_back(std::move(line));
    if (watch) co_return co_await stream(exchange);
    static_cast<void>(co_await exchange.send({.status = answer.status}, answer.body));
  }

 private:
  rt::Task<void> stream(http::Exchange& exchange) {
    static_cast<void>(co_await exchange.start({}));
    for (const std::string& line : watch_lines) {
      // In two pieces: events do not come as they were written.
      const std::size_t half = line.size() / 2;
      static_cast<void>(co_await exchange.write(std::string_view(line).substr(0, half)));
      co_await rt::sleep(loop_, 1ms);
      static_cast<void>(co_await exchange.write(std::string_view(line).substr(half)));
    }
    if (!watch_ends) co_await rt::sleep(loop_, 1h);
    static_cast<void>(co_await exchange.finish());
  }

  rt::Loop& loop_;
};

class HttpClientTest : public testing::Test {
 protected:
  HttpClientTest()
      : server(sim.loop, *network.listen({.at = kServer}), handler, {}),
        client(*HttpClient::create(
            sim.loop, network,
            {.host = "localhost", .port = 6443, .tls = false, .token = "secret"})) {}

  template <class T>
  auto run(rt::Task<T> task) {
    return sim.loop.run(std::move(task));
  }

  http::Sim sim;
  net::MemoryNetwork network{sim.loop, Random(1)};
  ScriptedServer handler{sim.loop};
  http::Server server;
  std::unique_ptr<HttpClient> client;
};

boost::json::object config_map(std::string_view name) {
  return {{"metadata", {{"namespace", "shop"}, {"name", name}}}};
}

TEST_F(HttpClientTest, each_call_is_one_request_of_the_api) {
  handler.answer.body = R"({"kind":"X","metadata":{"name":"a","resourceVersion":"5"}})";
  EXPECT_EQ(kube::name_of(**run(client->get(kPods, {.namespace_ = "shop", .name = "a"}))), "a");
  EXPECT_TRUE(run(client->get(kNodes, {.name = "n"})));
  EXPECT_TRUE(run(client->create(kConfigMaps, config_map("a"))));
  EXPECT_TRUE(run(client->update(kDeployments, config_map("a"), "status")));
  EXPECT_TRUE(run(client->patch(kConfigMaps, {.namespace_ = "shop", .name = "a"}, PatchType::merge,
                                boost::json::object{{"x", 1}}, "")));
  EXPECT_TRUE(run(client->remove(kPods, {.namespace_ = "shop", .name = "a"},
                                 {.grace_period_seconds = 0, .uid = "u"})));
  EXPECT_THAT(
      handler.asked,
      ElementsAre("GET /api/v1/namespaces/shop/pods/a", "GET /api/v1/nodes/n",
                  "POST /api/v1/namespaces/shop/configmaps [application/json] "
                  R"({"metadata":{"namespace":"shop","name":"a"}})",
                  "PUT /apis/apps/v1/namespaces/shop/deployments/a/status [application/json] "
                  R"({"metadata":{"namespace":"shop","name":"a"}})",
                  "PATCH /api/v1/namespaces/shop/configmaps/a [application/merge-patch+json] "
                  R"({"x":1})",
                  "DELETE /api/v1/namespaces/shop/pods/a [application/json] "
                  R"({"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0,)"
                  R"("preconditions":{"uid":"u"}})"));
  EXPECT_THAT(handler.fields, testing::Each("application/json Bearer secret"));
}

TEST_F(HttpClientTest, items_of_a_list_get_the_kind_of_the_list) {
  handler.answer.body = R"({"kind":"DeploymentList","metadata":{"resourceVersion":"9"},
      "items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"},"kind":"Own"}]})";
  const auto list =
      run(client->list(kDeployments, {.namespace_ = "shop", .label_selector = "app=a,b!=c"}));
  ASSERT_TRUE(list);
  EXPECT_EQ(list->resource_version, "9");
  ASSERT_EQ(list->items.size(), 2U);
  EXPECT_EQ(kube::kind_of(*list->items[0]), "Deployment");
  EXPECT_EQ(kube::api_version_of(*list->items[0]), "apps/v1");
  EXPECT_EQ(kube::kind_of(*list->items[1]), "Own");
  EXPECT_THAT(handler.asked[0],
              testing::StartsWith("GET /apis/apps/v1/namespaces/shop/deployments?labelSelector="));
}

TEST_F(HttpClientTest, failures_become_the_status_that_the_server_said) {
  struct Row {
    int status;
    std::string body;
    Reason reason;
  };
  const std::vector<Row> rows = {
      {404, R"({"kind":"Status","status":"Failure","reason":"NotFound","code":404})",
       Reason::not_found},
      {409, R"({"kind":"Status","status":"Failure","reason":"Conflict","code":409})",
       Reason::conflict},
      {410, R"({"kind":"Status","status":"Failure","reason":"Expired","code":410})",
       Reason::expired},
      {503, "no healthy upstream", Reason::service_unavailable},
      {200, "not JSON", Reason::internal_error},
      {200, "[]", Reason::internal_error},
  };
  for (const Row& row : rows) {
    handler.answer = {.status = row.status, .body = row.body};
    const auto outcome = run(client->get(kPods, {.namespace_ = "shop", .name = "a"}));
    ASSERT_FALSE(outcome) << row.body;
    if (row.status != 200) EXPECT_EQ(outcome.error().reason, row.reason) << row.body;
    EXPECT_GE(outcome.error().code, 400) << row.body;
  }
  handler.answer.status = 410;
  EXPECT_FALSE(run(client->watch(kPods, {}, "1")));
}

TEST_F(HttpClientTest, a_watch_gives_one_event_per_line_until_the_server_ends_it) {
  handler.watch_lines = {
      "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n",
      "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"b\"}}}\n"
      "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"c\"}}}\n",
      "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"12\"}}}\n"};
  const auto watch = run(client->watch(kPods, {.namespace_ = "shop"}, "7"));
  ASSERT_TRUE(watch);
  EXPECT_THAT(handler.asked,
              ElementsAre("GET /api/v1/namespaces/shop/pods?watch=true&allowWatchBookmarks=true"
                          "&timeoutSeconds=540&resourceVersion=7"));
  for (const auto& [type, name] :
       {std::pair(WatchType::added, "a"), std::pair(WatchType::modified, "b"),
        std::pair(WatchType::deleted, "c"), std::pair(WatchType::bookmark, "")}) {
    const auto event = run((*watch)->next());
    ASSERT_TRUE(event) << event.error().message;
    EXPECT_EQ(event->type, type);
    EXPECT_EQ(kube::name_of(*event->object), name);
  }
  const auto end = run((*watch)->next());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().reason, Reason::timeout);
}

TEST_F(HttpClientTest, a_watch_ends_with_the_status_that_the_server_writes_into_it) {
  handler.watch_lines = {
      R"({"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}})"
      "\n"};
  const auto watch = run(client->watch(kPods, {}, "7"));
  ASSERT_TRUE(watch);
  const auto end = run((*watch)->next());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().reason, Reason::expired);
}

TEST_F(HttpClientTest, a_watch_outlives_the_time_limit_of_requests) {
  handler.watch_ends = false;
  handler.watch_lines = {"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n"};
  const auto watch = run(client->watch(kPods, {}, "7"));
  ASSERT_TRUE(watch);
  EXPECT_TRUE(run((*watch)->next()));
  const Instant start = sim.loop.now();
  EXPECT_FALSE(run((*watch)->next()));
  EXPECT_GE(sim.loop.now() - start, 9min);
}

TEST(HttpClientCreate, names_are_refused) {
  http::Sim sim;
  net::MemoryNetwork network(sim.loop, Random(1));
  const auto made = HttpClient::create(sim.loop, network, {.host = "api.example.com"});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, testing::HasSubstr("api.example.com"));
}

class EventRecorderTest : public HttpClientTest {
 protected:
  void record(std::string message, EventType type = EventType::normal) {
    recorder.record(about, {.type = type, .reason = "Scaled", .message = std::move(message)});
    sim.advance(1s);
  }
  boost::json::object sent(std::size_t index) {
    const std::string& line = handler.asked.at(index);
    return boost::json::parse(line.substr(line.find(" {") + 1)).as_object();
  }

  const boost::json::object about{
      {"apiVersion", "apps/v1"},
      {"kind", "Deployment"},
      {"metadata", {{"namespace", "shop"}, {"name", "web"}, {"uid", "u1"}}}};
  EventRecorder recorder{sim.loop, *client, Random(1), "deployment-controller"};
};

TEST_F(EventRecorderTest, the_same_event_again_raises_the_count_of_the_first) {
  handler.answer.body = R"({"metadata":{"namespace":"shop","name":"web.1"},"count":1})";
  record("to 3");
  record("to 3");
  record("to 4");
  record("to 3", EventType::warning);
  ASSERT_EQ(handler.asked.size(), 4U);
  EXPECT_THAT(handler.asked[0], testing::StartsWith("POST /api/v1/namespaces/shop/events "));
  EXPECT_THAT(handler.asked[1], testing::StartsWith("PUT /api/v1/namespaces/shop/events/web.1 "));
  EXPECT_THAT(handler.asked[2], testing::StartsWith("POST"));
  EXPECT_THAT(handler.asked[3], testing::StartsWith("POST"));
  EXPECT_EQ(kube::integer_at(sent(0), "count"), 1);
  EXPECT_EQ(kube::integer_at(sent(1), "count"), 2);
  EXPECT_EQ(kube::string_at(sent(0), "involvedObject.kind"), "Deployment");
  EXPECT_EQ(kube::string_at(sent(0), "source.component"), "deployment-controller");
  EXPECT_EQ(kube::string_at(sent(3), "type"), "Warning");
}

TEST_F(EventRecorderTest, a_failed_update_writes_a_new_event) {
  handler.answer.body = R"({"metadata":{"namespace":"shop","name":"web.1"},"count":1})";
  record("to 3");
  handler.answer = {.status = 404, .body = "{}"};
  record("to 3");
  EXPECT_EQ(handler.asked.size(), 3U);
  EXPECT_THAT(handler.asked.back(), testing::StartsWith("POST"));
}

TEST_F(EventRecorderTest, too_many_waiting_are_dropped) {
  for (std::size_t i = 0; i < EventRecorder::waiting_max + 10; ++i) {
    recorder.record(about, {.reason = "R", .message = std::to_string(i)});
  }
  sim.advance(1min);
  EXPECT_EQ(handler.asked.size(), EventRecorder::waiting_max);
}

}  // namespace
}  // namespace tulle::kubeclient
