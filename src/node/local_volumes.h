// The end of volumes of class local-path: removes their directories when nobody claims them any
// more, and the objects with them.
#pragma once

#include "kubeclient/cache.h"
#include "kubeclient/work_queue.h"
#include "node/node.h"
#include "rt/scope.h"

namespace tulle::node {

class LocalVolumes final {
 public:
  // `node` must outlive it.
  LocalVolumes(Node& node, Random random);
  // From now on, until dropped.
  void start();

 private:
  rt::Task<kube::ApiResult<kubeclient::Reconciled>> reconcile(kube::NamespacedName key);
  rt::Task<kube::ApiResult<void>> let_go(kubeclient::ObjectPtr volume);

  Node& node_;
  kubeclient::Cache volumes_;
  kubeclient::WorkQueue queue_;
  const kubeclient::Reconcile reconcile_;
  rt::Scope scope_;
};

}  // namespace tulle::node
