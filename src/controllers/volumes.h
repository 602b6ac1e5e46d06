// Persistent volumes: binds claims to them, provides those of class local-path, and keeps both from
// going while something uses them. The directories are the node's (node/local_volumes.h).
#pragma once

#include "controllers/shared.h"

#include <string>

namespace tulle::controllers {

class VolumeController final {
 public:
  // `directory`: where the node has the volumes of class local-path.
  VolumeController(Shared& shared, std::string directory);
  // Makes StorageClass local-path, the default, if there is none of that name.
  rt::Task<void> run();

 private:
  rt::Task<ApiResult<Reconciled>> reconcile_claim(NamespacedName key);
  rt::Task<ApiResult<Reconciled>> reconcile_volume(NamespacedName key);
  rt::Task<ApiResult<Reconciled>> reconcile_pod(NamespacedName key);

  rt::Task<ApiResult<void>> ensure_class();
  rt::Task<ApiResult<ObjectPtr>> prepare(ObjectPtr claim);
  rt::Task<ApiResult<void>> bind(ObjectPtr claim, ObjectPtr volume);
  rt::Task<ApiResult<void>> keep_bound(ObjectPtr claim);
  rt::Task<ApiResult<void>> provide(ObjectPtr claim);
  rt::Task<ApiResult<void>> provide_local(ObjectPtr claim, ObjectPtr storage_class);
  rt::Task<ApiResult<void>> release(ObjectPtr claim);
  rt::Task<ApiResult<void>> set_phase(ObjectPtr volume, std::string_view phase);
  rt::Task<ApiResult<ObjectPtr>> write(kubeclient::Cache& cache, ObjectPtr before,
                                       json::object after);
  rt::Task<ApiResult<ObjectPtr>> claim_of(ObjectPtr volume);

  std::string_view default_class() const;
  bool is_used(const json::object& claim) const;
  void say(const json::object& claim, kubeclient::EventType type, std::string reason,
           std::string message);
  void queue_unbound_claims();

  Shared& shared_;
  const std::string directory_;
  kubeclient::WorkQueue claims_;
  kubeclient::WorkQueue volumes_;
  kubeclient::WorkQueue pods_;
  kubeclient::Reconcile reconcile_claim_;
  kubeclient::Reconcile reconcile_volume_;
  kubeclient::Reconcile reconcile_pod_;
};

}  // namespace tulle::controllers
