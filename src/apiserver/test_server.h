// For tests: an API server over a memory store on simulated time, and requests as one line each.
#pragma once

#include "apiserver/api_server.h"
#include "codec/json.h"
#include "http/test_wire.h"
#include "kube/object.h"
#include "store/memory_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::apiserver {

namespace json = boost::json;

inline json::value parse(std::string_view text) {
  auto value = codec::parse_json(text);
  EXPECT_TRUE(value) << text;
  return value ? *std::move(value) : json::value();
}

// Whether `actual` holds everything that `fragment` says: objects may hold more, arrays not.
inline bool holds(const json::value& actual, const json::value& fragment) {
  if (const json::object* wanted = fragment.if_object()) {
    const json::object* object = actual.if_object();
    if (object == nullptr) return false;
    for (const auto& [key, value] : *wanted) {
      const json::value* found = object->if_contains(key);
      if (value.is_null() ? found != nullptr && !found->is_null()
                          : found == nullptr || !holds(*found, value)) {
        return false;
      }
    }
    return true;
  }
  const json::array* wanted = fragment.if_array();
  const json::array* array = actual.if_array();
  if (wanted == nullptr || array == nullptr) return actual == fragment;
  if (wanted->size() != array->size()) return false;
  for (std::size_t i = 0; i < wanted->size(); ++i) {
    if (!holds((*array)[i], (*wanted)[i])) return false;
  }
  return true;
}

struct Answer {
  int status = 0;
  std::string text;
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers;

  json::object object() const {
    auto value = codec::parse_json(text);
    return value && value->is_object() ? std::move(value->get_object()) : json::object();
  }
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return "";
  }
};

// One row of a table: null in a fragment means that the field is absent.
struct Row {
  std::string request;  // "POST /path?query"
  std::string body;
  int status = 200;
  std::string fragment = "{}";
};

struct RequestOptions {
  std::string content_type = {};
  std::string accept = {};
  std::string if_none_match = {};
};

inline kube::Scheme& builtin_scheme() {
  static std::unique_ptr<kube::Scheme> scheme = [] {
    auto made = kube::make_builtin_scheme();
    EXPECT_TRUE(made) << made.error().message;
    return *std::move(made);
  }();
  return *scheme;
}

class TestServer {
 public:
  static ApiServer::Options default_options() {
    return {.service_addresses = *Cidr::parse("10.96.0.0/12"),
            .kubernetes_address = IpAddress::v4(10, 96, 0, 1),
            .dns_address = IpAddress::v4(10, 96, 0, 10),
            .server_address = "127.0.0.1:6443",
            .authentication = {.tokens = {{"secret", {.name = "jane", .groups = {"dev"}}}},
                               .trust_without_tls = true}};
  }

  explicit TestServer(ApiServer::Options options = default_options())
      : server(sim.loop, store, builtin_scheme(), Random(1), std::move(options)) {
    auto started = sim.loop.run(server.bootstrap());
    EXPECT_TRUE(started) << started.error().message;
  }

  static ApiRequest make_request(std::string_view line, std::string_view body,
                                 const RequestOptions& options) {
    auto space = line.find(' ');
    auto question = line.find('?');
    ApiRequest request{.method = std::string(line.substr(0, space)),
                       .path = std::string(line.substr(space + 1, question - space - 1))};
    if (question != std::string_view::npos) {
      request.query = *codec::Query::parse(line.substr(question + 1));
    }
    request.body = body;
    request.content_type = options.content_type;
    request.accept = options.accept;
    request.if_none_match = options.if_none_match;
    request.user = {.name = "test", .groups = {"system:masters"}};
    return request;
  }

  Answer ask(std::string_view line, std::string_view body = "",
             const RequestOptions& options = {}) {
    ApiResponse response = sim.loop.run(server.call(make_request(line, body, options)));
    return {.status = response.status,
            .text = response.body.to_string(),
            .content_type = response.content_type,
            .headers = response.headers};
  }

  // Runs the rows in order and compares.
  void check(const std::vector<Row>& rows, const RequestOptions& options = {}) {
    for (const Row& row : rows) {
      Answer answer = ask(row.request, row.body, options);
      EXPECT_EQ(answer.status, row.status) << row.request << "\n" << answer.text;
      EXPECT_TRUE(holds(json::value(answer.object()), parse(row.fragment)))
          << row.request << "\nwanted " << row.fragment << "\ngot    " << answer.text;
    }
  }

  void create(std::string_view collection, std::string_view body) {
    Answer answer = ask("POST " + std::string(collection), body);
    ASSERT_EQ(answer.status, 201) << answer.text;
  }
  void config_map(std::string_view name, std::string_view labels = "{}") {
    create("/api/v1/namespaces/default/configmaps",
           "{\"metadata\":{\"name\":\"" + std::string(name) +
               "\",\"labels\":" + std::string(labels) + "}}");
  }

  http::Sim sim;
  store::MemoryStore store{sim.loop};
  ApiServer server;
};

// A connection to the server, spoken to in plain text.
class TestConnection {
 public:
  explicit TestConnection(TestServer& server)
      : scope_(server.sim.loop),
        pipe_(net::memory_pipe(server.sim.loop)),
        wire(server.sim, std::move(pipe_.b)) {
    scope_.spawn(
        http::serve_connection(server.sim.loop, std::move(pipe_.a), server.server, options_, {}));
  }

  void say(std::string_view line, std::string_view headers = "") {
    wire.say(std::string(line) + " HTTP/1.1\r\nHost: x\r\n" + std::string(headers) + "\r\n");
  }

  // The complete lines of a chunked response that came since the last call.
  std::vector<std::string> lines() {
    text_ += wire.hear();
    std::vector<std::string> found;
    // Events are single lines that begin with '{'; sizes of chunks do not.
    for (auto end = text_.find('\n'); end != std::string::npos; end = text_.find('\n')) {
      std::string line = text_.substr(0, end);
      text_.erase(0, end + 1);
      if (line.starts_with("{")) found.push_back(std::move(line));
    }
    return found;
  }

  // "ADDED name@version" of each event.
  std::vector<std::string> events() {
    std::vector<std::string> shown;
    for (const std::string& line : lines()) {
      json::value event = parse(line);
      const json::object& object = kube::object_at(event.get_object(), "object");
      std::string text(kube::string_at(event.get_object(), "type"));
      if (text == "ERROR") {
        text += " " + std::to_string(kube::integer_at(object, "code"));
      } else {
        text += " " + std::string(kube::name_of(object));
      }
      shown.push_back(text);
    }
    return shown;
  }

 private:
  http::ServerOptions options_;
  rt::Scope scope_;
  net::StreamPair pipe_;
  std::string text_;

 public:
  http::Wire wire;
};

}  // namespace tulle::apiserver
