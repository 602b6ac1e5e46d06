// A whole cluster on one simulated loop: API server, controllers, a node, the data plane, and
// callers that ask all the time. One seed decides everything that happens.
#pragma once

#include "apiserver/api_server.h"
#include "apiserver/local_client.h"
#include "app/snapshot_source.h"
#include "controllers/manager.h"
#include "full_store.h"
#include "kubeclient/resources.h"
#include "kubelet.h"
#include "proxy/drains.h"
#include "proxy/worker.h"
#include "rt/sim_driver.h"
#include "unreliable_client.h"

#include <boost/json.hpp>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace tulle::sim {

// What must hold of a deployment's pods at any time.
struct PodLimits {
  std::int64_t pods_max = 0;
  std::int64_t available_min = 0;
};

class Cluster final {
 public:
  explicit Cluster(std::uint64_t seed);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Runs the cluster until the task is done.
  template <class T>
  T run(rt::Task<T> task) {
    return loop.run(std::move(task));
  }
  // Bootstraps and starts everything.
  rt::Task<void> start();

  // Until `condition` holds; a failure of the simulation if it does not within `limit`.
  rt::Task<void> until(std::string what, std::function<bool()> condition,
                       Duration limit = std::chrono::minutes(2));
  // Until the deployment is as its spec says.
  rt::Task<void> rolled_out(std::string name);

  rt::Task<void> set_rolled_out(std::string name);      // of a StatefulSet
  rt::Task<void> daemons_rolled_out(std::string name);  // of a DaemonSet

  rt::Task<void> create_deployment(std::string name, std::int64_t replicas);
  rt::Task<void> create_service(std::string name);
  // Its claims go with the ordinals.
  rt::Task<void> create_stateful_set(std::string name, std::int64_t replicas, std::string policy);
  rt::Task<void> create_daemon_set(std::string name);
  rt::Task<void> create_node(std::string name);
  // `spec` is put on top of one with a pod that ends.
  rt::Task<void> create_job(std::string name, boost::json::object spec);
  // Its status once it is Complete or Failed.
  rt::Task<boost::json::object> finished(std::string job);
  // Deletes some pod of the Job's, at random.
  rt::Task<void> delete_pod_of(std::string job);
  // Merges into the object's spec.
  rt::Task<void> change(kubeclient::Resource resource, std::string name, boost::json::value spec);
  rt::Task<void> change(std::string deployment, boost::json::value spec) {
    return change(kubeclient::kDeployments, std::move(deployment), std::move(spec));
  }
  rt::Task<void> scale(std::string deployment, std::int64_t replicas);
  rt::Task<void> roll(std::string deployment, std::string version) {
    return roll(kubeclient::kDeployments, std::move(deployment), std::move(version));
  }
  rt::Task<void> roll(kubeclient::Resource resource, std::string name, std::string version);
  // As roll(), again and again until the API takes it.
  rt::Task<void> insist(kubeclient::Resource resource, std::string name, std::string version);

  // Callers of a service: each one request after the other until stop_callers().
  rt::Task<void> start_callers(std::string service, int count);
  void stop_callers() { callers_.cancel(); }
  // Kills and revives `count` times; never more than two pods at once are dead.
  rt::Task<void> fail_pods(int count);

  // Deletes `count` pods of an app, one now and then.
  rt::Task<void> delete_pods(std::string app, int count);
  // Takes the label from one pod of an app, and waits until its owner has let it go.
  rt::Task<void> set_aside(std::string app);
  // As if their process had died and come again.
  void restart_controllers();
  // Now and then, `count` times: the clock is set by hours, forward or back; the store refuses all
  // writes for a while; a client reaches nobody for a while.
  rt::Task<void> step_wall(int count);
  rt::Task<void> lose_store(int count);
  rt::Task<void> cut_off(UnreliableClient& client, int count);

  // The objects that are still in the namespace, all kinds together.
  rt::Task<std::vector<std::string>> left_in_namespace();
  std::size_t pods_of(const std::string& deployment) const;
  // Whether the mesh knows an endpoint of the service that answers.
  bool reaches(const std::string& service) const;

  void trace(const std::string& what);
  void fail(const std::string& what) {
    trace("FAILURE: " + what);
    failures.push_back(history.back());
  }

  static constexpr std::string_view kNamespace = "shop";

  std::vector<std::string> failures;
  std::vector<std::string> history;  // of what was traced
  std::uint64_t trace_hash = 0xcbf29ce484222325;
  std::size_t answered = 0;
  std::size_t excused = 0;                  // failed while nobody could have answered
  std::vector<Duration> propagations;       // from a change of endpoints to its Snapshot
  std::map<std::string, PodLimits> limits;  // by app; checked with every change of a pod
  // StatefulSets of which no pod may come while one of a lower ordinal is not ready.
  std::set<std::string> ordered;
  bool wall_steps = false;  // times of the wall say nothing of how long something took

  Random random;
  rt::SimDriver driver;
  rt::Loop loop{driver};
  FullStore store{loop};
  net::MemoryNetwork network;
  apiserver::ApiServer server;
  apiserver::LocalClient local{server, {.name = "sim", .groups = {"system:masters"}}};
  UnreliableClient controllers_client;
  UnreliableClient node_client;
  UnreliableClient mesh_client;

 private:
  struct Call;

  rt::Task<void> call_for_ever(std::string service, std::shared_ptr<const proxy::Pod> caller,
                               Random random_of_caller);
  rt::Task<void> call(Call& call);
  void check_limits();
  void check_order(const boost::json::object& pod);
  rt::Task<void> until_status(kubeclient::Resource resource, std::string name,
                              std::function<bool(const boost::json::object&)> is_done);
  rt::Task<void> create(kubeclient::Resource resource, boost::json::object object);
  void note_endpoints();
  void publish(mesh::SnapshotPtr snapshot);
  void drain(const proxy::Pod& pod, std::function<void()> done);
  void note_propagation(const std::vector<kube::Time>& change_times);

  obs::Registry registry_;
  proxy::Metrics metrics_{registry_};
  proxy::Worker worker_;
  // The one worker runs on this loop: it has ended its turn when the next begins.
  proxy::Drains drains_{loop, [this](std::function<void()> done) { loop.post(std::move(done)); }};
  mesh::SnapshotPtr snapshot_ = mesh::SnapshotBuilder().build();
  std::map<std::string, Instant> nobody_;  // when a service last had nobody to answer
  std::map<std::string, bool> somebody_;
  std::set<std::string> seen_;  // pods, by uid
  int callers_made_ = 0;

 public:
  std::optional<controllers::Manager> manager;
  Kubelet kubelet;

 private:
  std::unique_ptr<app::SnapshotSource> source_;
  rt::Scope callers_{loop};
};

}  // namespace tulle::sim
