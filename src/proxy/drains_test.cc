#include "proxy/drains.h"

#include "proxy/test_world.h"

namespace tulle::proxy {
namespace {

using testing::HasSubstr;

// What is under way to a pod that is about to be told to stop. Every other turn of the loop stands
// for the workers' answer.
class DrainsTest : public ProxyTest {
 protected:
  void drain(std::size_t server) {
    drained = false;
    drains.begin(*servers[server].pod, *builder.build(), [this] { drained = true; });
    sim.settle();
  }
  std::string once(std::string_view path = "/") {
    http::Wire wire = dial();
    return ask(wire, path);
  }

  bool drained = false;
  Drains drains{sim.loop, [this](const std::function<void()>& done) { sim.loop.post(done); }};
};

TEST_F(DrainsTest, a_pod_with_nothing_under_way_has_drained_at_once_and_gets_nothing_more) {
  make_servers(3);
  once();
  drain(1);
  EXPECT_TRUE(drained);
  const auto before = counts();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(status_of(once()), "200");
  EXPECT_EQ(counts()[1], before[1]);
  EXPECT_EQ(counts()[0] + counts()[2], before[0] + before[2] + 20);
}

TEST_F(DrainsTest, what_is_under_way_is_waited_for_while_new_requests_go_elsewhere) {
  make_servers(2);
  servers[0].world->pieces = {"one "};
  servers[1].world->pieces = {"one "};
  http::Wire streaming = dial();
  streaming.say(request("/stream"));
  const std::size_t busy = counts()[0] == 1 ? 0 : 1;
  drain(busy);
  EXPECT_FALSE(drained);
  const int before = counts()[busy];
  for (int i = 0; i < 10; ++i) EXPECT_EQ(status_of(once()), "200");
  EXPECT_EQ(counts()[busy], before);
  servers[busy].world->pieces = {"two", ""};
  sim.advance(std::chrono::milliseconds(10));
  EXPECT_THAT(streaming.hear(), HasSubstr("two"));
  EXPECT_TRUE(drained);
}

TEST_F(DrainsTest, the_only_endpoint_takes_requests_as_long_as_something_is_under_way) {
  make_servers(1);
  http::Wire hanging = dial();
  hanging.say(request("/hang"));
  drain(0);
  EXPECT_FALSE(drained);
  EXPECT_EQ(status_of(once()), "200");
  EXPECT_FALSE(drained);
  hanging.close();
  sim.settle();
  EXPECT_TRUE(drained);
  const std::string refused = once();
  EXPECT_EQ(status_of(refused), "503");
  EXPECT_THAT(body_of(refused), HasSubstr("no ready endpoint"));
  EXPECT_EQ(servers[0].world->requests, 2);
}

TEST_F(DrainsTest, a_client_of_a_session_or_a_connection_goes_elsewhere_too) {
  service.client_affinity_timeout = std::chrono::seconds(100);
  make_servers(2);
  http::Wire wire = dial();
  ask(wire, "/");
  const std::size_t bound = counts()[0] == 1 ? 0 : 1;
  drain(bound);
  EXPECT_TRUE(drained);
  EXPECT_EQ(status_of(ask(wire, "/")), "200");
  EXPECT_EQ(counts()[bound], 1);
}

TEST_F(DrainsTest, connections_count_those_to_the_pods_own_address_as_well) {
  make_servers(2);
  const auto listener = listen_raw(0);
  http::Wire direct = dial("10.244.0.2:8080");
  direct.say("PING\r\n");
  http::Wire server = accept(*listener);
  EXPECT_EQ(server.hear(), "PING\r\n");
  drain(0);
  EXPECT_FALSE(drained);
  direct.close();
  server.close();
  sim.settle();
  EXPECT_TRUE(drained);
}

TEST_F(DrainsTest, idle_connections_to_the_pod_are_closed_and_no_others) {
  make_servers(2);
  for (int i = 0; i < 4; ++i) once();
  const std::size_t elsewhere = servers[1].http->connections();
  EXPECT_GT(servers[0].http->connections(), 0U);
  worker.close_idle(servers[0].pod->address);
  sim.settle();
  EXPECT_EQ(servers[0].http->connections(), 0U);
  EXPECT_EQ(servers[1].http->connections(), elsewhere);
}

TEST_F(DrainsTest, what_a_new_snapshot_has_of_the_pod_drains_too) {
  make_servers(1);
  health_of[servers[0].address] = mesh::Health::not_ready;
  publish();
  drain(0);
  EXPECT_TRUE(drained);
  // The word that it is ready comes late.
  health_of[servers[0].address] = mesh::Health::ready;
  drains.follow(*builder.build());
  publish();
  EXPECT_EQ(status_of(once()), "503");
  EXPECT_EQ(servers[0].world->requests, 0);
}

TEST_F(DrainsTest, a_session_of_udp_holds_nothing_up_at_a_port_of_both) {
  service.ports.push_back({.name = "udp", .port = 80, .transport = mesh::Transport::udp});
  make_servers(1);
  const mesh::SnapshotPtr snapshot = builder.build();
  const mesh::Service* world = snapshot->service(mesh::ObjectNameView{"default", "world"});
  const mesh::InFlight session(world->find_port(80, mesh::Transport::udp)->endpoints[0].state);
  drain(0);
  EXPECT_TRUE(drained);
}

TEST_F(DrainsTest, a_retry_finds_the_one_that_is_left) {
  make_servers(2);
  mesh::Policy policy;
  policy.retry.codes = {503};
  policy.retry.backoff = policy.retry.backoff_max = Duration{};
  set_policy(policy);
  drain(0);
  servers[1].world->answer_head = {.status = 503};
  EXPECT_EQ(status_of(once()), "503");
  EXPECT_EQ(servers[1].world->requests, 3) << "asked again, for want of another";
}

TEST_F(DrainsTest, a_new_pod_at_the_address_begins_anew) {
  make_servers(1);
  drain(0);
  EXPECT_EQ(status_of(once()), "503");
  Drains::revive(servers[0].pod->address, *builder.build());
  EXPECT_EQ(status_of(once()), "200");
}

TEST_F(DrainsTest, who_is_forgotten_is_not_called_back) {
  make_servers(1);
  http::Wire hanging = dial();
  hanging.say(request("/hang"));
  drain(0);
  drains.forget(servers[0].pod->uid);
  hanging.close();
  sim.settle();
  EXPECT_FALSE(drained);
}

}  // namespace
}  // namespace tulle::proxy
