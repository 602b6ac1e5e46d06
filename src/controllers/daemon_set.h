// DaemonSets: one pod on every node that fits.
#pragma once

#include "controllers/daemon_rollout.h"
#include "controllers/ending_pods.h"
#include "controllers/history.h"
#include "controllers/shared.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::controllers {

// The pod of `set` for a node, as `pod_template` has it, of the revision with this hash. It is
// bound already: the node is no choice, and no other node is to take it.
json::object daemon_pod(const json::object& set, const json::object& pod_template,
                        std::string_view hash, std::string_view node);

// A node, and the pods of the set on it, oldest first.
struct NodePods {
  ObjectPtr node;
  std::vector<ObjectPtr> pods = {};
};

// What next_steps() decides upon. `hash` is that of the newest revision. `again_after` becomes the
// wait for the next pod to be available; zero stays when there is none.
std::vector<DaemonNode> daemon_view(const json::object& set, const std::vector<NodePods>& nodes,
                                    std::string_view hash, kube::Time now, Duration& again_after);

json::object daemon_status(const json::object& set, const std::vector<DaemonNode>& nodes);

class DaemonSetController final {
 public:
  // Pods made or deleted in one go; the rest follows in the next.
  static constexpr std::size_t burst_max = 250;

  explicit DaemonSetController(Shared& shared);
  rt::Task<void> run();

 private:
  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  rt::Task<ApiResult<void>> claim_pods(ObjectPtr set);
  std::vector<NodePods> nodes_now(const json::object& set) const;
  rt::Task<ApiResult<void>> advance(ObjectPtr set, ObjectPtr revision);
  rt::Task<ApiResult<void>> end_pod(ObjectPtr set, ObjectPtr pod);

  Shared& shared_;
  EndingPods ending_;
  History history_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

}  // namespace tulle::controllers
