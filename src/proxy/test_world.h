// For tests: a worker on simulated time, one pod that calls, and servers behind services to call.
#pragma once

#include "http/server.h"
#include "http/test_wire.h"
#include "mesh/ingress_table.h"
#include "mesh/mesh_test_util.h"
#include "proxy/worker.h"
#include "rt/combine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace tulle::proxy {

using mesh::testing::at;
using mesh::testing::ip;

// A server of the world: each path is one way to answer.
class World final : public http::Handler {
 public:
  World(rt::Loop& loop, std::string name) : name_(std::move(name)), loop_(loop) {}

  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override {
    ++requests;
    last_host = request.head.headers.get("Host").value_or("");
    last_http2 = request.http2;
    last_headers = request.head.headers;
    last_upgrade = request.head.headers.contains("Upgrade");
    const std::string_view path = request.head.target;
    if (path == "/mirror") return mirror(request, exchange);
    if (path == "/stream") return stream(exchange);
    if (path == "/hang") return hang(exchange);
    if (path == "/none") return send(exchange, {.status = 204});
    if (path == "/same") return send(exchange, {.status = 304, .headers = {{"ETag", "\"x\""}}});
    if (path == "/big") return send(exchange, {}, std::string(1 << 20, 'Y'));
    if (path == "/upgrade") return upgrade(exchange);
    if (path == "/hints") return hints(request, exchange);
    if (path == "/last") return send(exchange, {.headers = {{"Connection", "close"}}}, "last");
    return answer(exchange);
  }

  // How what has no path of its own is answered.
  codec::ResponseHead answer_head = {};
  Duration delay = {};

  int requests = 0;
  int cancelled = 0;  // handlers that were dropped
  std::string last_host;
  bool last_http2 = false;
  codec::Headers last_headers;
  bool last_upgrade = false;
  std::deque<std::string> pieces;  // what /stream writes next; an empty one ends it

 private:
  rt::Task<void> answer(http::Exchange& exchange) {
    Dropped guard{this};
    if (delay != Duration{}) {
      const auto outcome = co_await rt::race(http::Sim::wait(loop_, delay), exchange.client_gone());
      if (outcome.index() == 1) co_return;
    }
    guard.world = nullptr;
    co_await send(exchange, answer_head, name_);
  }
  rt::Task<void> send(http::Exchange& exchange, codec::ResponseHead head, std::string body = {}) {
    static_cast<void>(co_await exchange.send(head, body));
  }
  rt::Task<void> hints(http::Request& request, http::Exchange& exchange) {
    codec::ResponseHead head{.status = 103, .headers = {{"Link", "</style.css>"}}};
    if (!request.http2) head.headers.append("Content-Length", "6");  // which it must not
    exchange.send_interim(head);
    co_await send(exchange, {}, "hinted");
  }
  rt::Task<void> mirror(http::Request& request, http::Exchange& exchange) {
    static_cast<void>(co_await exchange.start({}, http::Exchange::Flush::with_first_write));
    for (;;) {
      const auto piece = co_await request.body.read();
      if (!piece) co_return exchange.abort();
      if (piece->empty()) break;
      static_cast<void>(co_await exchange.write(*piece));
    }
    static_cast<void>(co_await exchange.finish(request.body.trailers()));
  }
  rt::Task<void> stream(http::Exchange& exchange) {
    Dropped guard{this};
    static_cast<void>(co_await exchange.start({}));
    for (;;) {
      while (pieces.empty()) co_await rt::sleep(loop_, std::chrono::milliseconds(1));
      const std::string piece = std::move(pieces.front());
      pieces.pop_front();
      if (piece.empty()) break;
      if (!co_await exchange.write(piece)) co_return;
    }
    guard.world = nullptr;
    static_cast<void>(co_await exchange.finish());
  }
  rt::Task<void> hang(http::Exchange& exchange) {
    Dropped guard{this};
    co_await exchange.client_gone();
  }
  rt::Task<void> upgrade(http::Exchange& exchange) {
    const auto stream = co_await exchange.upgrade(
        {.status = 101, .headers = {{"Connection", "Upgrade"}, {"Upgrade", "echo"}}});
    if (!stream) co_return;
    std::array<char, 256> buffer;
    for (;;) {
      const auto count = co_await net::read(**stream, buffer);
      if (!count || *count == 0) break;
      const auto echoed =
          co_await net::write_all(**stream, std::string_view(buffer.data(), *count));
      if (!echoed) break;
    }
    static_cast<void>((*stream)->shutdown_write());
  }

  struct Dropped {
    World* world;
    ~Dropped() {
      if (world != nullptr) ++world->cancelled;
    }
  };

  const std::string name_;
  rt::Loop& loop_;
};

// Pods world-0, world-1, ... at 10.244.0.2, .3, ... port 8080, each in its own network; Service
// default/world 10.96.0.5:80 leads to those that are listed. Pod default/client at 10.244.0.100
// calls, and all that it dials is caught.
class ProxyTest : public testing::Test {
 protected:
  struct Server {
    std::shared_ptr<Pod> pod;
    SocketAddress address;
    std::unique_ptr<World> world;
    std::unique_ptr<http::Server> http;  // null: nobody listens
  };

  ProxyTest() {
    worker.open_front_door();
    network.redirect("client", {.ip = IpAddress::v4(127, 0, 0, 1), .port = kCapturePort});
    client = make_pod("client", "10.244.0.100");
    EXPECT_TRUE(worker.listen_in(client));
    publish_pods();
  }

  std::shared_ptr<Pod> make_pod(const std::string& name, std::string_view address) {
    auto pod = std::make_shared<Pod>();
    pod->uid = "uid-" + name;
    pod->name = {"default", name};
    pod->address = ip(address);
    pod->space = std::make_shared<net::Namespace>(name, OwnedFd());
    builder.put(mesh::testing::workload(name, address));
    (*pods)[pod->address] = pod;
    return pod;
  }
  void publish_pods() { worker.set_pods(std::make_shared<PodTable>(*pods)); }

  void make_servers(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name = "world-" + std::to_string(i);
      const std::string address = "10.244.0." + std::to_string(2 + i);
      servers.push_back({.pod = make_pod(name, address),
                         .address = at(address + ":8080"),
                         .world = std::make_unique<World>(sim.loop, name),
                         .http = nullptr});
      listen(i);
    }
    publish_pods();
    publish();
  }
  void listen(std::size_t i) {
    auto listener = network.listen({.at = servers[i].address, .in = servers[i].pod->space});
    ASSERT_TRUE(listener);
    servers[i].http = std::make_unique<http::Server>(sim.loop, *std::move(listener),
                                                     *servers[i].world, http::Server::Options());
  }
  // A listener in place of an HTTP server, for what no HTTP server would do.
  std::unique_ptr<net::Listener> listen_raw(std::size_t i) {
    servers[i].http.reset();
    return *network.listen({.at = servers[i].address, .in = servers[i].pod->space});
  }
  http::Wire accept(net::Listener& listener) {
    return {sim, sim.loop.run(listener.accept()).value()};
  }

  void publish() {
    publish_now();
    sim.settle();
  }
  void publish_now() {
    mesh::Service full = service;
    for (mesh::ServicePort& port : full.ports) {
      port.endpoints.clear();
      port.endpoints.reserve(servers.size());
      for (const Server& server : servers) {
        const auto health = health_of.find(server.address);
        port.endpoints.push_back(
            {.address = server.address,
             .health = health == health_of.end() ? mesh::Health::ready : health->second,
             .workload = server.pod->name,
             .local = true});
      }
    }
    builder.put(std::move(full));
    worker.set_snapshot(builder.build());
  }

  void set_policy(mesh::Policy policy) {
    service.load_balancing = policy.load_balancing.value_or(mesh::LoadBalancing::least_request);
    service.policy = std::make_shared<const mesh::Policy>(std::move(policy));
    publish();
  }

  std::unique_ptr<net::Stream> connect(std::string_view to) {
    return sim.loop.run(network.connect({.to = at(to), .in = client->space})).value();
  }
  http::Wire dial(std::string_view to = "10.96.0.5:80") {
    http::Wire wire(sim, connect(to));
    sim.settle();
    return wire;
  }
  static std::string request(std::string_view path, std::string_view method = "GET",
                             std::string_view fields = "") {
    return std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: world\r\n" +
           std::string(fields) + "\r\n";
  }
  std::string ask(http::Wire& wire, std::string_view path) {
    wire.say(request(path));
    return wire.hear();
  }
  static std::string body_of(const std::string& response) {
    const auto end = response.find("\r\n\r\n");
    return end == std::string::npos ? "(no response)" : response.substr(end + 4);
  }
  static std::string status_of(const std::string& response) {
    return response.size() < 12 ? "(no response)" : response.substr(9, 3);
  }
  std::vector<int> counts() const {
    std::vector<int> all;
    all.reserve(servers.size());
    for (const Server& server : servers) all.push_back(server.world->requests);
    return all;
  }

  static constexpr std::size_t kDoorConnections = 8;  // of each front door

  http::Sim sim;
  net::MemoryNetwork network{sim.loop, Random(1)};
  obs::Registry registry;
  Metrics metrics{registry};
  mesh::SnapshotBuilder builder;
  mesh::Service service = mesh::testing::service("world", "10.96.0.5", {});
  std::map<SocketAddress, mesh::Health> health_of;
  std::shared_ptr<PodTable> pods = std::make_shared<PodTable>();
  std::vector<Server> servers;
  std::shared_ptr<Pod> client;
  Worker worker{
      sim.loop,
      network,
      Random(2),
      metrics,
      {.front_door = {.ingress = SocketAddress{.ip = IpAddress::v4(127, 0, 0, 1), .port = 8080},
                      .ingress_tls = SocketAddress{.ip = IpAddress::v4(127, 0, 0, 1), .port = 8443},
                      .connections_max = kDoorConnections}}};
};

}  // namespace tulle::proxy
