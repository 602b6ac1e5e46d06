// StatefulSets: pods with a name, a number and volumes of their own, brought up in order.
//
// There is never a second pod of an ordinal: its name is the ordinal's, and the API has one object
// of a name until the old one is really gone.
#pragma once

#include "controllers/ending_pods.h"
#include "controllers/history.h"
#include "controllers/shared.h"
#include "controllers/stateful_rollout.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tulle::controllers {

// The pods of a set, in the order of StatefulView. Null is not there.
struct StatefulPods {
  std::int64_t first = 0;           // the ordinal of replicas[0]
  std::vector<ObjectPtr> replicas;  // of the ordinals that are wanted
  std::vector<ObjectPtr> condemned = {};
};

// What is looked at in one go beyond the pods that are there, however many are wanted.
inline constexpr std::size_t replicas_ahead_max = 500;

// Sorts the pods of `set` out. Left out are those whose name is no ordinal's, and those that are
// wanted but further up than anything that is looked at.
StatefulPods by_ordinal(const json::object& set, const std::vector<ObjectPtr>& pods);

// Names of revisions: that of the last rollout that came to its end, and that of the template.
struct StatefulRevisions {
  std::string current = {};
  std::string newest = {};
};

// The status of `set` over these pods. `again_after` becomes the wait for the next pod to be
// available; zero stays when there is none.
json::object stateful_status(const json::object& set, const std::vector<ObjectPtr>& pods,
                             const StatefulRevisions& revisions, kube::Time now,
                             Duration& again_after);

class StatefulSetController final {
 public:
  // Pods deleted in one go; the rest follows in the next.
  static constexpr std::size_t burst_max = 500;

  explicit StatefulSetController(Shared& shared);
  rt::Task<void> run();

 private:
  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  rt::Task<ApiResult<std::vector<ObjectPtr>>> claim_pods(ObjectPtr set);
  StatefulPods pods_now(const json::object& set) const;
  rt::Task<ApiResult<void>> tend_all(ObjectPtr set, StatefulPods pods);
  rt::Task<ApiResult<void>> advance(ObjectPtr set, std::vector<ObjectPtr> revisions);
  StatefulView view_of(const json::object& set, const StatefulPods& pods,
                       std::string_view newest) const;
  rt::Task<ApiResult<void>> create_pod(ObjectPtr set, ObjectPtr revision, std::int64_t ordinal);
  rt::Task<ApiResult<void>> delete_pod(ObjectPtr set, ObjectPtr pod);
  rt::Task<ApiResult<bool>> create_claims(ObjectPtr set, std::int64_t ordinal);
  rt::Task<ApiResult<void>> tend(ObjectPtr set, ObjectPtr pod, bool condemned);
  void enqueue_by_name(const json::object& pod);
  void say(const json::object& set, std::string_view verb, std::string_view what,
           const ApiResult<void>& outcome);

  Shared& shared_;
  EndingPods ending_;
  History history_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

}  // namespace tulle::controllers
