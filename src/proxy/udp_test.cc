#include "proxy/udp.h"

#include "proxy/test_world.h"
#include "rt/combine.h"

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

// Service default/world has UDP port 53 at the load balancer 127.1.0.1; its endpoints answer with
// their number and what they heard.
class UdpTest : public ProxyTest {
 protected:
  UdpTest() {
    service.load_balancer_addresses = {ip("127.1.0.1")};
    service.ports = {{.port = 53, .transport = mesh::Transport::udp}};
    make_servers(2);
    heard.resize(servers.size());
    for (std::size_t i = 0; i < servers.size(); ++i) {
      sockets.push_back(
          *network.bind_datagram({.at = servers[i].address, .in = servers[i].pod->space}));
      echoes.spawn(echo(*sockets[i], i));
    }
  }
  rt::Task<void> echo(net::Datagram& socket, std::size_t number) {
    std::array<char, 2000> buffer;
    for (;;) {
      const auto received = co_await socket.receive(buffer);
      if (!received) co_return;
      ++heard[number];
      last_caller = received->from.ip;
      const std::string answer =
          std::to_string(number) + ":" + std::string(buffer.data(), received->size);
      EXPECT_TRUE(socket.send(answer, received->from));
    }
  }

  // A program on the host with a socket of its own.
  struct Client {
    std::unique_ptr<net::Datagram> socket;
    UdpTest& test;
    std::string ask(std::string_view text) {
      EXPECT_TRUE(socket->send(text, at("127.1.0.1:53")));
      const auto answer = test.sim.loop.run(
          rt::with_deadline(test.sim.loop, test.sim.loop.now() + 1s, receive(*socket)));
      return answer ? *answer : "";
    }
    static rt::Task<Result<std::string>> receive(net::Datagram& from) {
      std::array<char, 2000> buffer;
      CO_TRY(const auto received, co_await from.receive(buffer));
      EXPECT_EQ(received.from, at("127.1.0.1:53"));
      co_return std::string(buffer.data(), received.size);
    }
  };
  Client make_client(std::uint16_t port) {
    return {*network.bind_datagram({.at = {.ip = ip("127.0.0.1"), .port = port}}), *this};
  }
  std::uint32_t sessions() const {
    std::uint32_t all = 0;
    for (const auto& endpoint : snapshot()->service(name)->ports[0].endpoints) {
      all += endpoint.state->in_flight;
    }
    return all;
  }
  mesh::SnapshotPtr snapshot() const { return last; }
  void publish_again() {
    publish();
    last = builder.build();
    worker.set_snapshot(last);
  }

  static constexpr mesh::ObjectNameView name{"default", "world"};
  mesh::SnapshotPtr last;
  std::vector<int> heard;
  IpAddress last_caller;
  std::vector<std::unique_ptr<net::Datagram>> sockets;
  rt::Scope echoes{sim.loop};
};

TEST_F(UdpTest, a_client_stays_at_one_endpoint_and_clients_are_spread) {
  std::vector<Client> clients;
  clients.reserve(4);
  for (std::uint16_t i = 0; i < 4; ++i) clients.push_back(make_client(40000 + i));
  for (Client& client : clients) {
    const std::string first = client.ask("hi");
    ASSERT_EQ(first.substr(1), ":hi");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(client.ask("hi"), first);
  }
  EXPECT_THAT(heard, ElementsAre(8, 8));
}

TEST_F(UdpTest, a_session_ends_when_both_are_silent_for_too_long) {
  set_policy({.timeouts = {.idle = 10s}});
  publish_again();
  Client client = make_client(40000);
  client.ask("hi");
  for (int i = 0; i < 3; ++i) {
    sim.advance(9s);
    EXPECT_NE(client.ask("still"), "");
  }
  EXPECT_EQ(sessions(), 1U);
  sim.advance(11s);
  EXPECT_EQ(sessions(), 0U);
  EXPECT_NE(client.ask("again"), "");
  EXPECT_EQ(sessions(), 1U);
}

TEST_F(UdpTest, an_endpoint_that_is_gone_hands_its_clients_to_another) {
  Client client = make_client(40000);
  const auto first = static_cast<std::size_t>(client.ask("hi")[0] - '0');
  health_of[servers[first].address] = mesh::Health::not_ready;
  publish();
  EXPECT_EQ(client.ask("hi"), std::to_string(1 - first) + ":hi");
  health_of[servers[1 - first].address] = mesh::Health::not_ready;
  publish();
  EXPECT_EQ(client.ask("lost"), "");
  health_of.clear();
  publish();
  EXPECT_NE(client.ask("found"), "");
}

TEST_F(UdpTest, other_changes_move_nobody) {
  Client client = make_client(40000);
  const std::string first = client.ask("hi");
  for (int i = 0; i < 5; ++i) {
    publish();
    EXPECT_EQ(client.ask("hi"), first);
  }
}

TEST_F(UdpTest, beyond_the_limit_the_session_that_is_silent_longest_ends) {
  publish_again();
  std::vector<Client> clients;
  for (std::uint16_t i = 0; i < kDoorConnections; ++i) {
    clients.push_back(make_client(40000 + i));
    EXPECT_NE(clients.back().ask("hi"), "");
  }
  const std::string first = clients[0].ask("hi");
  Client next = make_client(41000);
  EXPECT_NE(next.ask("hi"), "");
  EXPECT_EQ(sessions(), kDoorConnections);
  EXPECT_EQ(clients[0].ask("hi"), first) << "it was the second that was silent longest";
}

TEST_F(UdpTest, what_a_pod_sends_is_answered_by_whom_it_asked) {
  const auto outside = *network.bind_datagram({.at = at("192.0.2.1:53")});
  heard.push_back(0);
  echoes.spawn(echo(*outside, 2));
  const auto socket = *network.bind_datagram({.at = at("10.244.0.100:40000"), .in = client->space});
  const auto ask = [&](std::string_view where) {
    EXPECT_TRUE(socket->send("hi", at(where)));
    std::array<char, 2000> buffer;
    const auto answer =
        sim.loop.run(rt::with_deadline(sim.loop, sim.loop.now() + 1s, socket->receive(buffer)));
    if (!answer) return std::string();
    EXPECT_EQ(answer->from, at(where));
    return std::string(buffer.data(), answer->size);
  };
  EXPECT_EQ(ask("10.96.0.5:53").substr(1), ":hi");
  EXPECT_EQ(last_caller, client->address) << "a server sees the pod that asks";
  EXPECT_EQ(ask("10.244.0.2:8080"), "0:hi");
  EXPECT_EQ(ask("10.244.0.3:8080"), "1:hi");
  EXPECT_EQ(ask("192.0.2.1:53"), "2:hi");
  EXPECT_EQ(ask("10.96.0.5:54"), "") << "the service has no such port";
  EXPECT_EQ(ask("10.244.0.200:53"), "") << "no pod has that address";
}

TEST_F(UdpTest, a_door_that_is_closed_ends_its_sessions) {
  Client client = make_client(40000);
  EXPECT_NE(client.ask("hi"), "");
  service.load_balancer_addresses.clear();
  publish();
  EXPECT_EQ(client.ask("hi"), "");
}

}  // namespace
}  // namespace tulle::proxy
