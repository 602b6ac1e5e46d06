#include "cluster.h"
#include "seeds.h"

#include "kubeclient/resources.h"
#include "rt/sleep.h"

#include <gtest/gtest.h>

#include <string>

namespace tulle::sim {
namespace {

using namespace std::chrono_literals;

constexpr UnreliableClient::Options kUnreliable{
    .latency_max = 10ms, .unavailable = 5, .lost_answers = 5, .conflicts = 10, .lost_watches = 5};

rt::Task<void> nothing_is_left(Cluster& cluster) {
  const std::string name(Cluster::kNamespace);
  const auto removed = co_await cluster.local.remove(kubeclient::kNamespaces, {.name = name}, {});
  if (!removed) cluster.fail("deleting the namespace: " + removed.error().message);
  const Instant deadline = cluster.loop.now() + 2min;
  while (co_await cluster.local.get(kubeclient::kNamespaces, {.name = name})) {
    if (cluster.loop.now() > deadline) {
      cluster.fail("the namespace does not go");
      break;
    }
    co_await rt::sleep(cluster.loop, 10ms);
  }
  for (const std::string& left : co_await cluster.left_in_namespace()) {
    cluster.fail("still there: " + left);
  }
  co_await cluster.until("no pod runs", [&cluster] { return cluster.kubelet.running() == 0; });
}

// Deploys hello and world, calls them all the time, and changes one thing after the other.
rt::Task<void> life_of_a_cluster(Cluster& cluster) {
  co_await cluster.start();
  co_await cluster.create_deployment("hello", 3);
  co_await cluster.create_deployment("world", 3);
  co_await cluster.create_service("hello");
  co_await cluster.create_service("world");
  co_await cluster.start_callers("hello", 2);
  co_await cluster.start_callers("world", 2);
  co_await cluster.rolled_out("hello");
  co_await cluster.rolled_out("world");

  // A rolling update with the usual 25 %: of three none may be missing, one may be too many.
  cluster.limits["world"] = {.pods_max = 4, .available_min = 3};
  co_await cluster.roll("world", "2");
  co_await cluster.rolled_out("world");
  // And one that may neither be more nor all missing, rolled back half-way.
  co_await cluster.change(
      "world", {{"strategy", {{"rollingUpdate", {{"maxSurge", 0}, {"maxUnavailable", 1}}}}}});
  cluster.limits["world"] = {.pods_max = 3, .available_min = 2};
  co_await cluster.roll("world", "3");
  co_await rt::sleep(cluster.loop, std::chrono::milliseconds(cluster.random.below(2000)));
  co_await cluster.roll("world", "2");
  co_await cluster.rolled_out("world");
  cluster.limits.clear();

  co_await cluster.scale("hello", 6);
  co_await cluster.rolled_out("hello");
  co_await cluster.scale("hello", 2);
  co_await cluster.rolled_out("hello");
  co_await cluster.until("the others have ended",
                         [&cluster] { return cluster.pods_of("hello") == 2; });

  // Pods that fail, and a rollout and a change of scale in the midst of it.
  rt::Scope failing(cluster.loop);
  failing.spawn(cluster.fail_pods(20));
  co_await cluster.roll("hello", "2");
  co_await rt::sleep(cluster.loop, 500ms);
  co_await cluster.scale("world", 5);
  co_await failing.idle();
  co_await cluster.rolled_out("hello");
  co_await cluster.rolled_out("world");
  if (cluster.answered < 100) cluster.fail("hardly anybody was answered");

  cluster.stop_callers();
  co_await nothing_is_left(cluster);
}

TEST(Cluster, answers_every_request_and_keeps_every_limit_whatever_happens) {
  tell({.count = 6, .found = {102, 111, 128, 218}}, life_of_a_cluster);
}

// Of calls and watches that take up to two milliseconds each.
rt::Task<void> measured_rollouts(Cluster& cluster) {
  co_await cluster.start();
  co_await cluster.create_deployment("hello", 3);
  co_await cluster.create_service("hello");
  co_await cluster.rolled_out("hello");
  co_await cluster.scale("hello", 6);
  co_await cluster.rolled_out("hello");
}

TEST(Cluster, tells_how_long_each_change_of_endpoints_took_to_reach_the_mesh) {
  for (const std::uint64_t seed : chosen({.count = 2})) {
    Cluster cluster(seed);
    cluster.run(measured_rollouts(cluster));
    report(cluster, seed);
    // Six pods became ready; some with others.
    EXPECT_GE(cluster.propagations.size(), 3U);
    for (const Duration took : cluster.propagations) {
      EXPECT_GT(took, 0ms);
      EXPECT_LT(took, 50ms);
    }
  }
}

// Nobody kills anything here: what rollouts and changes of scale take away drains first, so there
// is no excuse for a request that fails, however slow the API is and however often watches are
// lost.
rt::Task<void> nothing_but_rollouts(Cluster& cluster) {
  co_await cluster.start();
  const UnreliableClient::Options slow{.latency_max = 20ms, .lost_watches = 5};
  cluster.controllers_client.set_options(slow);
  cluster.node_client.set_options(slow);
  cluster.mesh_client.set_options(slow);
  co_await cluster.create_deployment("hello", 4);
  co_await cluster.create_service("hello");
  co_await cluster.rolled_out("hello");
  co_await cluster.until("the mesh reaches hello", [&cluster] { return cluster.reaches("hello"); });
  co_await cluster.start_callers("hello", 4);
  for (const std::string_view version : {"2", "3"}) {
    co_await cluster.roll("hello", std::string(version));
    co_await cluster.rolled_out("hello");
  }
  co_await cluster.scale("hello", 7);
  co_await cluster.rolled_out("hello");
  co_await cluster.scale("hello", 1);
  co_await cluster.until("the others have ended",
                         [&cluster] { return cluster.kubelet.running() == 1; });
  cluster.stop_callers();
  if (cluster.answered < 100) cluster.fail("hardly anybody was answered");
  if (cluster.excused != 0) cluster.fail("a request failed, and nobody was killed");
}

TEST(Cluster, loses_no_request_to_rollouts_and_scaling_over_a_slow_api_with_lost_watches) {
  tell({.count = 6}, nothing_but_rollouts);
}

TEST(Cluster, the_same_seed_gives_the_same_history) {
  for (const std::uint64_t seed : chosen({.count = 2})) {
    Cluster first(seed);
    first.run(life_of_a_cluster(first));
    Cluster second(seed);
    second.run(life_of_a_cluster(second));
    EXPECT_EQ(first.trace_hash, second.trace_hash) << "TULLE_SIM_SEED=" << seed;
    const auto [a, b] = std::ranges::mismatch(first.history, second.history);
    if (a != first.history.end() && b != second.history.end()) {
      ADD_FAILURE() << "they part here:\n" << *a << "\n" << *b;
    }
  }
}

// The controllers over a server that fails, loses answers and drops watches.
rt::Task<void> life_with_faults(Cluster& cluster) {
  co_await cluster.start();
  cluster.controllers_client.set_options(kUnreliable);
  co_await cluster.create_deployment("hello", 4);
  co_await cluster.create_deployment("world", 2);
  co_await cluster.create_service("hello");
  co_await rt::sleep(cluster.loop, 3s);
  co_await cluster.roll("hello", "2");
  co_await rt::sleep(cluster.loop, std::chrono::milliseconds(cluster.random.below(3000)));
  co_await cluster.scale("hello", 7);
  co_await rt::sleep(cluster.loop, std::chrono::milliseconds(cluster.random.below(3000)));
  co_await cluster.roll("hello", "3");
  co_await cluster.scale("world", 0);
  co_await cluster.set_aside("hello");
  co_await cluster.rolled_out("hello");
  co_await cluster.rolled_out("world");
  cluster.controllers_client.set_options({});
  co_await cluster.until("just the right pods are there", [&cluster] {
    return cluster.pods_of("hello") == 7 && cluster.pods_of("world") == 0;
  });
  // A set that was made and whose maker was not told so is not made again.
  const auto sets = co_await cluster.local.list(kubeclient::kReplicaSets, {});
  const auto of_hello = std::ranges::count_if(
      sets->items, [](const auto& set) { return kube::label_of(*set, "app") == "hello"; });
  if (of_hello > 3) cluster.fail("hello has more sets than it had templates");
  cluster.controllers_client.set_options(kUnreliable);
  co_await nothing_is_left(cluster);
}

TEST(Controllers, come_to_the_wanted_state_over_an_unreliable_client) {
  tell({.count = 6, .found = {228, 1093, 1230}}, life_with_faults);
}

// A set that comes up, rolls, changes its mind half-way, and grows and shrinks, in order all the
// time; then one that does so in parallel while its pods are killed and deleted.
rt::Task<void> life_of_a_stateful_set(Cluster& cluster) {
  using kubeclient::kStatefulSets;
  co_await cluster.start();
  cluster.controllers_client.set_options(kUnreliable);
  cluster.ordered = {"db"};
  co_await cluster.create_stateful_set("db", 3, "OrderedReady");
  co_await cluster.set_rolled_out("db");
  cluster.limits["db"] = {.pods_max = 3, .available_min = 2};
  co_await cluster.roll(kStatefulSets, "db", "2");
  co_await cluster.set_rolled_out("db");
  co_await cluster.roll(kStatefulSets, "db", "3");
  co_await rt::sleep(cluster.loop, std::chrono::milliseconds(cluster.random.below(3000)));
  cluster.restart_controllers();
  co_await cluster.roll(kStatefulSets, "db", "2");
  co_await cluster.set_rolled_out("db");
  cluster.limits.clear();
  co_await cluster.change(kStatefulSets, "db", {{"replicas", 5}});
  co_await cluster.set_rolled_out("db");
  co_await cluster.change(kStatefulSets, "db", {{"replicas", 1}});
  co_await rt::sleep(cluster.loop, std::chrono::milliseconds(cluster.random.below(3000)));
  co_await cluster.change(kStatefulSets, "db", {{"replicas", 4}});
  co_await cluster.set_rolled_out("db");

  cluster.ordered.clear();
  co_await cluster.create_stateful_set("cache", 4, "Parallel");
  rt::Scope trouble(cluster.loop);
  trouble.spawn(cluster.fail_pods(20));
  trouble.spawn(cluster.delete_pods("cache", 10));
  trouble.spawn(cluster.delete_pods("db", 10));
  co_await cluster.roll(kStatefulSets, "db", "4");
  co_await rt::sleep(cluster.loop, std::chrono::milliseconds(cluster.random.below(3000)));
  cluster.restart_controllers();
  co_await cluster.roll(kStatefulSets, "cache", "2");
  co_await cluster.change(kStatefulSets, "cache", {{"replicas", 2}});
  co_await trouble.idle();
  co_await cluster.set_rolled_out("db");
  co_await cluster.set_rolled_out("cache");
  co_await nothing_is_left(cluster);
}

TEST(StatefulSets, keep_their_order_and_come_to_the_wanted_state_whatever_happens) {
  tell({.count = 6, .found = {116}}, life_of_a_stateful_set);
}

rt::Task<void> life_of_a_daemon_set(Cluster& cluster) {
  using kubeclient::kDaemonSets;
  co_await cluster.start();
  cluster.controllers_client.set_options(kUnreliable);
  for (const char* node : {"b", "c"}) co_await cluster.create_node(node);
  co_await cluster.create_daemon_set("agent");
  co_await cluster.daemons_rolled_out("agent");
  co_await cluster.roll(kDaemonSets, "agent", "2");
  co_await rt::sleep(cluster.loop, std::chrono::milliseconds(cluster.random.below(1000)));
  cluster.restart_controllers();
  co_await cluster.create_node("d");
  co_await cluster.daemons_rolled_out("agent");
  co_await cluster.until("each node has its pod", [&cluster] {
    return std::ranges::count_if(cluster.kubelet.pods().objects(), [](const auto& entry) {
             return kube::is_condition_true(*entry.second, "Ready");
           }) == 4;
  });
  cluster.limits["agent"] = {.pods_max = 8, .available_min = 4};
  co_await cluster.change(
      kDaemonSets, "agent",
      {{"updateStrategy", {{"rollingUpdate", {{"maxSurge", 2}, {"maxUnavailable", 0}}}}}});
  co_await cluster.roll(kDaemonSets, "agent", "3");
  co_await cluster.daemons_rolled_out("agent");
  cluster.limits.clear();
  rt::Scope trouble(cluster.loop);
  trouble.spawn(cluster.delete_pods("agent", 10));
  co_await cluster.roll(kDaemonSets, "agent", "2");
  co_await trouble.idle();
  co_await cluster.daemons_rolled_out("agent");
  co_await nothing_is_left(cluster);
}

TEST(DaemonSets, have_a_pod_on_every_node_whatever_happens) {
  tell({.count = 6, .found = {7019}}, life_of_a_daemon_set);
}

// Jobs whose pods fail or are deleted, over a server that fails as well. A success of a pod that
// was told to end does not count: so the node may know of more of them than the Job.
rt::Task<void> life_of_jobs(Cluster& cluster) {
  co_await cluster.start();
  cluster.controllers_client.set_options(kUnreliable);
  cluster.kubelet.set_failures(30);
  co_await cluster.create_job("plain",
                              {{"completions", 12}, {"parallelism", 4}, {"backoffLimit", 1000}});
  const auto plain = co_await cluster.finished("plain");
  EXPECT_EQ(kube::integer_at({{"status", plain}}, "status.succeeded"), 12);
  EXPECT_EQ(cluster.kubelet.succeeded(), 12U);

  co_await cluster.create_job("indexed", {{"completions", 9},
                                          {"parallelism", 5},
                                          {"completionMode", "Indexed"},
                                          {"backoffLimit", 1000}});
  for (int i = 0; i < 4; ++i) {
    co_await rt::sleep(cluster.loop, std::chrono::milliseconds(cluster.random.below(2000)));
    co_await cluster.delete_pod_of("indexed");
  }
  const auto indexed = co_await cluster.finished("indexed");
  EXPECT_EQ(kube::integer_at({{"status", indexed}}, "status.succeeded"), 9);
  EXPECT_EQ(kube::string_at(indexed, "completedIndexes"), "0-8");

  cluster.kubelet.set_failures(100);
  co_await cluster.create_job("hopeless", {{"parallelism", 1}, {"backoffLimit", 3}});
  const auto hopeless = co_await cluster.finished("hopeless");
  EXPECT_EQ(kube::integer_at({{"status", hopeless}}, "status.failed"), 4);
  for (const auto& status : {plain, indexed, hopeless}) {
    EXPECT_EQ(*kube::find(status, "uncountedTerminatedPods"), boost::json::object());
    EXPECT_EQ(kube::integer_at(status, "active"), 0);
  }

  // Pods that nobody will count are let go.
  cluster.kubelet.set_hanging(true);
  co_await cluster.create_job("waited-for", {{"parallelism", 2}});
  co_await cluster.create_job("left-running", {{"parallelism", 3}});
  co_await cluster.until("they run", [&cluster] {
    return cluster.pods_of("waited-for") == 2 && cluster.pods_of("left-running") == 3;
  });
  const auto removed = co_await cluster.local.remove(
      kubeclient::kJobs, {.namespace_ = std::string(Cluster::kNamespace), .name = "waited-for"},
      {.propagation_policy = "Foreground"});
  EXPECT_TRUE(removed);
  co_await cluster.until("its pods have gone",
                         [&cluster] { return cluster.pods_of("waited-for") == 0; });
  co_await nothing_is_left(cluster);
}

TEST(Jobs, count_every_success_once_over_an_unreliable_client) { tell({.count = 3}, life_of_jobs); }

}  // namespace
}  // namespace tulle::sim
