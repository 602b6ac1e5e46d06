#include "mesh/route.h"

#include "mesh/ingress_table.h"
#include "mesh/mesh_test_util.h"
#include "mesh/tls_table.h"

#include <gtest/gtest.h>

namespace tulle::mesh {
namespace {

using testing::at;
using testing::ip;

IngressBackend backend(std::string name, std::uint16_t port = 80) {
  return {.service = {"default", std::move(name)}, .port_number = port};
}

SnapshotPtr small_mesh() {
  SnapshotBuilder builder;
  Service world = testing::service("world", "10.96.0.7", {{"10.244.0.1:8081"}});
  world.type = ServiceType::load_balancer;
  world.ports[0].node_port = 30080;
  world.ports[0].name = "web";
  world.load_balancer_addresses = {ip("127.1.0.1")};
  builder.put(std::move(world));
  builder.put(testing::service("hello", "10.96.0.8", {}));
  builder.put(testing::workload("world-1", "10.244.0.1"));
  auto ingress = std::make_shared<IngressTable>();
  ingress->add({.ingress = "default/main", .host = "hello.localhost", .backend = backend("hello")});
  ingress->add({.ingress = "default/main",
                .host = "world.localhost",
                .path = "/only",
                .type = PathType::exact,
                .backend = {.service = {"default", "world"}, .port_name = "web"}});
  ingress->add({.ingress = "default/bad",
                .host = "bad.localhost",
                .path = "/a",
                .backend = backend("nobody")});
  ingress->add({.ingress = "default/bad",
                .host = "bad.localhost",
                .path = "/b",
                .backend = backend("world", 81)});
  builder.set_ingress(std::move(ingress));
  return builder.build();
}

struct Row {
  ListenerKind listener;
  std::string_view destination;
  std::string_view host;
  std::string_view path;
  RouteReason reason;
  RouteTarget target;
  std::string_view service;
  std::uint16_t status;
  std::string_view text;
};

TEST(RouteTest, decides_by_destination_host_and_path) {
  using enum RouteReason;
  const auto capture = ListenerKind::capture;
  const auto ingress = ListenerKind::ingress;
  const auto to_service = RouteTarget::service;
  const auto refused = RouteTarget::refused;
  const Row rows[] = {
      {capture, "10.96.0.7:80", "", "", cluster_address, to_service, "world", 0,
       "10.96.0.7:80 is service default/world"},
      {capture, "10.96.0.7:81", "", "", unknown_service_port, refused, "world", 502,
       "service default/world has no port 81/TCP"},
      {capture, "10.96.9.9:80", "", "", unknown_service_address, refused, "", 502,
       "no service has 10.96.9.9:80"},
      {capture, "10.244.0.1:9999", "", "", pod_address, RouteTarget::workload, "", 0,
       "10.244.0.1:9999 is pod default/world-1"},
      {capture, "10.244.0.2:80", "", "", unknown_pod_address, refused, "", 502,
       "no pod has 10.244.0.2:80"},
      {capture, "93.184.216.34:443", "", "", outside, RouteTarget::passthrough, "", 0,
       "93.184.216.34:443 is outside the mesh"},
      {ListenerKind::node_port, "127.0.0.1:30080", "", "", node_port, to_service, "world", 0,
       "node port 30080 is service default/world"},
      {ListenerKind::node_port, "127.0.0.1:30081", "", "", unknown_door, refused, "", 503,
       "no service listens at 127.0.0.1:30081 any more"},
      {ListenerKind::load_balancer, "127.1.0.1:80", "", "", load_balancer, to_service, "world", 0,
       "load balancer 127.1.0.1:80 is service default/world"},
      {ListenerKind::load_balancer, "127.1.0.2:80", "", "", unknown_door, refused, "", 503,
       "no service listens at 127.1.0.2:80 any more"},
      {ingress, "127.0.0.1:80", "Hello.localhost:8080", "/x?y", ingress_prefix_path, to_service,
       "hello", 0, "ingress default/main: prefix / goes to service default/hello"},
      {ingress, "127.0.0.1:80", "hello.localhost", "*", ingress_prefix_path, to_service, "hello", 0,
       "ingress default/main: prefix / goes to service default/hello"},
      {ingress, "127.0.0.1:80", "bad.localhost", "a:80", no_ingress_rule, refused, "", 404,
       "no ingress rule matches host \"bad.localhost\" and path \"a:80\""},
      {ingress, "127.0.0.1:80", "world.localhost", "/only", ingress_exact_path, to_service, "world",
       0, "ingress default/main: exact path /only goes to service default/world"},
      {ingress, "127.0.0.1:80", "world.localhost", "/only/not", no_ingress_rule, refused, "", 404,
       "no ingress rule matches host \"world.localhost\" and path \"/only/not\""},
      {ingress, "127.0.0.1:80", "bad.localhost", "/a/x", no_ingress_backend, refused, "", 503,
       "ingress default/bad: the service or port behind \"/a\" does not exist"},
      {ingress, "127.0.0.1:80", "bad.localhost", "/b", no_ingress_backend, refused, "world", 503,
       "ingress default/bad: the service or port behind \"/b\" does not exist"},
  };
  SnapshotPtr snapshot = small_mesh();
  for (const Row& row : rows) {
    RouteRequest request{.listener = row.listener,
                         .destination = at(row.destination),
                         .host = row.host,
                         .path = row.path};
    Decision decision = route(*snapshot, request);
    SCOPED_TRACE(row.text);
    EXPECT_EQ(decision.reason, row.reason);
    EXPECT_EQ(decision.target(), row.target);
    EXPECT_EQ(decision.service ? decision.service->name.name : "", row.service);
    EXPECT_EQ(decision.port != nullptr, row.target == to_service);
    EXPECT_EQ(decision.status, row.status);
    EXPECT_EQ(explain(decision, request), row.text);
  }
}

TEST(RouteTest, transport_belongs_to_the_port) {
  SnapshotPtr snapshot = small_mesh();
  Decision decision =
      route(*snapshot, {.transport = Transport::udp, .destination = at("10.96.0.7:80")});
  EXPECT_EQ(decision.reason, RouteReason::unknown_service_port);
}

struct IngressRow {
  std::string_view host;
  std::string_view path;
  std::string_view backend;  // empty: no match
};

TEST(IngressTableTest, precedence_is_host_then_longest_path_then_exact) {
  IngressTable table;
  auto add = [&](std::string host, std::string path, PathType type, std::string name) {
    EXPECT_TRUE(table.add({.ingress = "default/i",
                           .host = std::move(host),
                           .path = std::move(path),
                           .type = type,
                           .backend = backend(name)}));
  };
  add("foo.bar", "/", PathType::prefix, "foo-root");
  add("foo.bar", "/aaa/bbb", PathType::prefix, "foo-aaa-bbb");
  add("foo.bar", "/aaa", PathType::prefix, "foo-aaa");
  add("foo.bar", "/aaa", PathType::exact, "foo-aaa-exact");
  add("foo.bar", "/slash/", PathType::exact, "foo-slash-exact");
  add("foo.bar", "/ccc/", PathType::prefix, "foo-ccc");
  add("*.bar", "/", PathType::prefix, "any-bar");
  add("*.bar", "/deep/path", PathType::exact, "any-bar-deep");
  add("only.bar", "/x", PathType::prefix, "only-x");
  add("", "/everyone", PathType::prefix, "everyone");
  EXPECT_FALSE(table.add(
      {.ingress = "default/late", .host = "FOO.bar", .path = "/ccc", .backend = backend("late")}))
      << "the same prefix again";

  const IngressRow rows[] = {
      {"foo.bar", "/", "foo-root"},
      {"foo.bar", "", "foo-root"},
      {"FOO.BAR.:8080", "/zzz", "foo-root"},
      {"foo.bar", "/aaa", "foo-aaa-exact"},
      {"foo.bar", "/aaa?q=/aaa/bbb", "foo-aaa-exact"},
      {"foo.bar", "/aaa/", "foo-aaa"},
      {"foo.bar", "/aaa/ccc", "foo-aaa"},
      {"foo.bar", "/aaaccc", "foo-root"},
      {"foo.bar", "/aaa/bbb", "foo-aaa-bbb"},
      {"foo.bar", "/aaa/bbb/", "foo-aaa-bbb"},
      {"foo.bar", "/aaa/bbb/ccc", "foo-aaa-bbb"},
      {"foo.bar", "/aaa/bbbxyz", "foo-aaa"},
      {"foo.bar", "/AAA", "foo-root"},
      {"foo.bar", "/slash/", "foo-slash-exact"},
      {"foo.bar", "/slash", "foo-root"},
      {"foo.bar", "/ccc", "foo-ccc"},
      {"foo.bar", "/ccc/ddd", "foo-ccc"},
      {"foo.bar", "/deep/path", "foo-root"},
      {"other.bar", "/deep/path", "any-bar-deep"},
      {"other.bar", "/deep/path/", "any-bar"},
      {"two.other.bar", "/", ""},
      {"bar", "/", ""},
      {".bar", "/", ""},
      {"only.bar", "/x/y", "only-x"},
      {"only.bar", "/y", "any-bar"},
      {"nobody", "/everyone/here", "everyone"},
      {"[::1]:80", "/everyone", "everyone"},
      {"", "/everyone", "everyone"},
      {"nobody", "/", ""},
  };
  for (const IngressRow& row : rows) {
    auto match = table.match(row.host, row.path);
    EXPECT_EQ(match ? match->backend->service.name : "", row.backend) << row.host << row.path;
  }
  std::string long_host(10000, 'a');
  EXPECT_FALSE(table.match(long_host, "/"));
}

TEST(IngressTableTest, the_default_backend_takes_what_no_rule_matches) {
  IngressTable table;
  EXPECT_TRUE(
      table.add({.ingress = "default/i", .host = "a", .path = "/a", .backend = backend("a")}));
  EXPECT_TRUE(table.set_default("default/i", backend("fallback")));
  EXPECT_FALSE(table.set_default("default/j", backend("late")));
  EXPECT_EQ(table.match("a", "/a")->backend->service.name, "a");
  EXPECT_EQ(table.match("a", "/b")->backend->service.name, "fallback");
  EXPECT_TRUE(table.match("b", "/")->is_default);
}

TEST(Route, tls_is_passed_through_by_its_server_name) {
  SnapshotBuilder builder;
  builder.put(testing::service("world", "10.96.0.7", {}));
  auto table = std::make_shared<TlsTable>();
  table->add("raw.example", {.ingress = "default/i", .backend = backend("world")});
  table->add("*.raw.example", {.ingress = "default/i", .backend = backend("world", 81)});
  table->add("ended.example", {.certificate = std::make_shared<const Certificate>()});
  builder.set_tls(std::move(table));
  const SnapshotPtr snapshot = builder.build();
  const auto decide = [&](std::string_view name) {
    const RouteRequest request{.listener = ListenerKind::tls_passthrough, .host = name};
    return explain(route(*snapshot, request), request);
  };
  EXPECT_EQ(decide("raw.example"),
            "ingress default/i: TLS for raw.example is passed through to service default/world");
  EXPECT_EQ(decide("a.raw.example"),
            "ingress default/i: the service or port behind \"a.raw.example\" does not exist");
  EXPECT_TRUE(snapshot->tls()->find("")->certificate) << "whoever names nobody gets a certificate";
  for (const std::string_view name : {"ended.example", "nobody.example", ""}) {
    EXPECT_EQ(decide(name), "no ingress passes TLS for \"" + std::string(name) + "\" through");
  }
}

}  // namespace
}  // namespace tulle::mesh
