// What is said of why a request goes where it goes.
#include "proxy/explain.h"

#include "mesh/ingress_table.h"
#include "proxy/test_world.h"

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class ExplainTest : public ProxyTest {
 protected:
  ExplainTest() {
    make_servers(2);
    auto table = std::make_shared<mesh::IngressTable>();
    EXPECT_TRUE(table->add({.ingress = "default/front",
                            .host = "world.localhost",
                            .path = "/",
                            .type = mesh::PathType::prefix,
                            .backend = {.service = {"default", "world"}, .port_number = 80}}));
    builder.set_ingress(std::move(table));
    health_of[servers[1].address] = mesh::Health::not_ready;
    publish();
  }
  Result<std::string> explain(const ImaginedRequest& imagined) {
    Random random(1);
    return explain_request(*builder.build(), imagined, sim.loop.now(), random);
  }
  std::string explained(const ImaginedRequest& imagined) {
    const auto text = explain(imagined);
    return text ? *text : "error: " + text.error().message;
  }
  std::unique_ptr<net::Stream> dial_ingress() {
    return sim.loop
        .run(network.connect({.to = at("127.0.0.1:8080"),
                              .from = SocketAddress{.ip = IpAddress::v4(127, 0, 0, 1), .port = 0}}))
        .value();
  }
};

TEST_F(ExplainTest, a_request_through_the_ingress_names_every_reason_and_object) {
  EXPECT_EQ(explained({.url = "http://world.localhost/cart"}),
            "route      ingress default/front: prefix / goes to service default/world\n"
            "policy     none: LeastRequest\n"
            "pick       10.244.0.2:8080 (default/world-0), the only candidate\n"
            "endpoint   10.244.0.2:8080 default/world-0, weight 1, 0 in flight: may be picked\n"
            "endpoint   10.244.0.3:8080 default/world-1, weight 1, 0 in flight: not ready\n"
            "objects    Ingress default/front, Service default/world, EndpointSlices with "
            "kubernetes.io/service-name=world\n");
}

TEST_F(ExplainTest, a_request_of_a_pod_goes_by_name_and_by_policy) {
  set_policy({.name = "default/p",
              .load_balancing = mesh::LoadBalancing::maglev,
              .hash_on = mesh::HashOn{.type = mesh::HashOn::Type::header, .name = "X-User"},
              .timeouts = {.per_try = 250ms},
              .retry = {.codes = {502, 503}}});
  const std::string text = explained({.from = "default/client",
                                      .url = "http://world.default.svc.cluster.local/",
                                      .headers = {{"X-User", "ann"}}});
  EXPECT_THAT(text, HasSubstr("name       world.default.svc.cluster.local is 10.96.0.5\n"));
  EXPECT_THAT(text, HasSubstr("route      10.96.0.5:80 is service default/world\n"));
  EXPECT_THAT(text, HasSubstr("policy     default/p: Maglev by header X-User, perTry 250ms, "
                              "2 retries of 502 503\n"));
  EXPECT_THAT(text, HasSubstr("TrafficPolicy default/p\n"));
  EXPECT_EQ(explained({.from = "client", .url = "http://world/"}).substr(0, 4), "name");
}

TEST_F(ExplainTest, what_is_no_http_is_explained_by_its_address_and_port) {
  service.ports.push_back(
      {.name = "game", .port = 7777, .transport = mesh::Transport::udp, .node_port = 30777});
  service.type = mesh::ServiceType::node_port;
  publish();
  const std::string game = explained({.from = "client", .url = "udp://world:7777"});
  EXPECT_THAT(game, HasSubstr("name       world is 10.96.0.5\n"));
  EXPECT_THAT(game, HasSubstr("route      10.96.0.5:7777 is service default/world\n"));
  EXPECT_THAT(game, HasSubstr("pick       10.244.0.2:8080 (default/world-0)"));
  EXPECT_THAT(explained({.from = "client", .url = "tcp://world:80"}),
              HasSubstr("route      10.96.0.5:80 is service default/world\n"));
  EXPECT_THAT(explained({.url = "udp://127.0.0.1:30777"}),
              HasSubstr("route      node port 30777 is service default/world\n"));
  EXPECT_THAT(explained({.from = "client", .url = "tcp://world:7777"}),
              HasSubstr("has no port 7777"));
  EXPECT_EQ(explained({.from = "client", .url = "udp://world"}),
            "error: \"udp://world\" has no port: write udp://HOST:PORT");
  EXPECT_EQ(explained({.url = "udp://world:7777"}),
            "error: outside of pods there are no names: give an address, or --from a pod");
}

TEST_F(ExplainTest, what_goes_nowhere_is_explained_too) {
  EXPECT_EQ(explained({.url = "http://nobody.localhost/"}),
            "route      no ingress rule matches host \"nobody.localhost\" and path \"/\"\n");
  EXPECT_EQ(explained({.from = "client", .url = "http://10.96.0.99/"}),
            "route      no service has 10.96.0.99:80\n");
  EXPECT_EQ(explained({.url = "world"}), "error: \"world\" is no URL: write http://HOST/PATH");
  EXPECT_EQ(explained({.from = "ghost", .url = "http://world/"}),
            "error: there is no pod default/ghost");
  EXPECT_THAT(explained({.from = "client", .url = "http://moon/"}),
              HasSubstr("moon is no name of the mesh"));
}

TEST_F(ExplainTest, an_explanation_moves_nothing_on) {
  health_of.clear();
  publish();
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(explained({.url = "http://world.localhost/"}), HasSubstr("pick       10.244.0.2"));
  }
  http::Wire wire = dial();
  ask(wire, "/");
  EXPECT_THAT(counts(), ElementsAre(1, 0));
}

TEST_F(ExplainTest, a_live_request_from_the_host_is_told_why_it_went_where_it_went) {
  http::Wire wire(sim, dial_ingress());
  wire.say("GET / HTTP/1.1\r\nHost: world.localhost\r\nx-tulle-explain: 1\r\n\r\n");
  const std::string response = wire.hear();
  EXPECT_EQ(status_of(response), "200");
  EXPECT_THAT(response, HasSubstr("x-tulle-explain: route      ingress default/front: prefix /"));
  EXPECT_THAT(response, HasSubstr("x-tulle-explain: endpoint   10.244.0.3:8080"));
  EXPECT_FALSE(servers[0].world->last_headers.contains("x-tulle-explain"));
  wire.say("GET / HTTP/1.1\r\nHost: nobody.localhost\r\nx-tulle-explain: 1\r\n\r\n");
  EXPECT_THAT(wire.hear(), HasSubstr("x-tulle-explain: route      no ingress rule matches"));
}

TEST_F(ExplainTest, a_pod_that_may_not_know_is_told_nothing) {
  http::Wire wire = dial();
  wire.say(request("/", "GET", "x-tulle-explain: 1\r\n"));
  EXPECT_THAT(wire.hear(), Not(HasSubstr("x-tulle-explain")));
}

}  // namespace
}  // namespace tulle::proxy
