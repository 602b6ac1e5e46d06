// A whole cluster on one simulated loop: API server, controllers, a node, the data plane, and
// callers that ask all the time. One seed decides everything that happens.
#pragma once

#include "apiserver/api_server.h"
#include "apiserver/local_client.h"
#include "app/snapshot_source.h"
#include "controllers/manager.h"
#include "kubelet.h"
#include "proxy/worker.h"
#include "rt/sim_driver.h"
#include "store/memory_store.h"
#include "unreliable_client.h"

#include <boost/json.hpp>

#include <map>
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

  rt::Task<void> create_deployment(std::string name, std::int64_t replicas);
  rt::Task<void> create_service(std::string name);
  // Merges into the deployment's spec.
  rt::Task<void> change(std::string deployment, boost::json::value spec);
  rt::Task<void> scale(std::string deployment, std::int64_t replicas);
  rt::Task<void> roll(std::string deployment, std::string version);

  // Callers of a service: each one request after the other until stop_callers().
  rt::Task<void> start_callers(std::string service, int count);
  void stop_callers() { callers_.cancel(); }
  // Kills and revives `count` times; never more than two pods at once are dead.
  rt::Task<void> fail_pods(int count);

  // The objects that are still in the namespace, all kinds together.
  rt::Task<std::vector<std::string>> left_in_namespace();
  std::size_t pods_of(const std::string& deployment) const;

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
  std::map<std::string, PodLimits> limits;  // by deployment; checked with every change of a pod

  Random random;
  rt::SimDriver driver;
  rt::Loop loop{driver};
  store::MemoryStore store{loop};
  net::MemoryNetwork network;
  apiserver::ApiServer server;
  apiserver::LocalClient local{server, {.name = "sim", .groups = {"system:masters"}}};
  UnreliableClient controllers_client;

 private:
  struct Call;

  rt::Task<void> call_for_ever(std::string service, std::shared_ptr<const proxy::Pod> caller,
                               Random random_of_caller);
  rt::Task<void> call(Call& call);
  void check_limits();
  void note_endpoints();
  void publish(mesh::SnapshotPtr snapshot);

  UnreliableClient node_client_;
  UnreliableClient mesh_client_;
  obs::Registry registry_;
  proxy::Metrics metrics_{registry_};
  proxy::Worker worker_;
  mesh::SnapshotPtr snapshot_;
  std::map<std::string, Instant> nobody_;  // when a service last had nobody to answer
  std::map<std::string, bool> somebody_;
  int callers_made_ = 0;

 public:
  controllers::Manager manager;
  Kubelet kubelet;

 private:
  std::unique_ptr<app::SnapshotSource> source_;
  rt::Scope callers_{loop};
};

}  // namespace tulle::sim
