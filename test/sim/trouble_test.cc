// All kinds of trouble at once, and clocks on the wall that are set.
#include "cluster.h"
#include "seeds.h"

#include "kubeclient/resources.h"
#include "rt/sleep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tulle::sim {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;
using kubeclient::kStatefulSets;

constexpr UnreliableClient::Options kShaky{
    .latency_max = 10ms, .unavailable = 3, .lost_answers = 3, .conflicts = 5, .lost_watches = 3};

rt::Task<void> town(Cluster& cluster) {
  co_await cluster.start();
  for (const std::string name : {"hello", "world"}) {
    co_await cluster.create_deployment(name, 3);
    co_await cluster.create_service(name);
    co_await cluster.rolled_out(name);
  }
  cluster.ordered = {"db"};
  co_await cluster.create_stateful_set("db", 3, "OrderedReady");
  co_await cluster.set_rolled_out("db");
  co_await cluster.until("the mesh reaches both", [&cluster] {
    return cluster.reaches("hello") && cluster.reaches("world");
  });
  co_await cluster.start_callers("hello", 2);
  co_await cluster.start_callers("world", 2);
}

rt::Task<void> change_things(Cluster& cluster) {
  for (int version = 2; version <= 5; ++version) {
    co_await rt::sleep(cluster.loop, std::chrono::milliseconds(cluster.random.below(3000)));
    const std::string to = std::to_string(version);
    // A full disk refuses what a user wants, too: who wants it asks again, later.
    switch (cluster.random.below(4)) {
      case 0: co_await cluster.insist(kubeclient::kDeployments, "hello", to); break;
      case 1: co_await cluster.insist(kubeclient::kDeployments, "world", to); break;
      case 2: co_await cluster.insist(kStatefulSets, "db", to); break;
      default: cluster.restart_controllers(); break;
    }
  }
}

rt::Task<void> settled(Cluster& cluster) {
  co_await cluster.rolled_out("hello");
  co_await cluster.rolled_out("world");
  co_await cluster.set_rolled_out("db");
  co_await cluster.until("just the right pods are there", [&cluster] {
    return cluster.pods_of("hello") == 3 && cluster.pods_of("world") == 3 &&
           cluster.pods_of("db") == 3;
  });
}

// The controllers and the node lose touch with the API for a while, the disk is full now and then,
// clocks are set, pods die, and meanwhile somebody rolls out one version after the other.
rt::Task<void> life_in_trouble(Cluster& cluster) {
  co_await town(cluster);
  for (auto* client : {&cluster.controllers_client, &cluster.node_client, &cluster.mesh_client}) {
    client->set_options(kShaky);
  }
  rt::Scope trouble(cluster.loop);
  trouble.spawn(change_things(cluster));
  if (cluster.random.below(2) == 0) trouble.spawn(cluster.fail_pods(15));
  if (cluster.random.below(2) == 0) {
    cluster.ordered.clear();  // one that is deleted comes again whatever the others do
    trouble.spawn(cluster.delete_pods("db", 5));
  }
  if (cluster.random.below(2) == 0) trouble.spawn(cluster.step_wall(5));
  if (cluster.random.below(2) == 0) trouble.spawn(cluster.lose_store(3));
  if (cluster.random.below(2) == 0) trouble.spawn(cluster.cut_off(cluster.controllers_client, 2));
  if (cluster.random.below(2) == 0) trouble.spawn(cluster.cut_off(cluster.node_client, 2));
  co_await trouble.idle();
  co_await settled(cluster);
  cluster.stop_callers();
  if (cluster.answered < 100) cluster.fail("hardly anybody was answered");
}

TEST(Trouble, of_all_kinds_at_once_loses_no_request_and_all_comes_to_the_wanted_state) {
  tell({.count = 4}, life_in_trouble);
}

// Rollouts while the clock is set and nothing else happens: no request fails, and no limit is
// exceeded.
rt::Task<void> rollouts_while_clocks_are_set(Cluster& cluster) {
  co_await town(cluster);
  cluster.limits["world"] = {.pods_max = 4, .available_min = 3};
  rt::Scope trouble(cluster.loop);
  trouble.spawn(cluster.step_wall(8));
  for (const std::string version : {"2", "3"}) {
    co_await cluster.roll("world", version);
    co_await cluster.rolled_out("world");
  }
  co_await trouble.idle();
  co_await settled(cluster);
  cluster.stop_callers();
  if (cluster.excused != 0) cluster.fail("a request failed, and nobody was killed");
}

TEST(Clocks, that_are_set_by_hours_disturb_no_rollout) {
  tell({.count = 2}, rollouts_while_clocks_are_set);
}

}  // namespace
}  // namespace tulle::sim
