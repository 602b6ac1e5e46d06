// ResourceQuotas (core/v1): how much of each is used, written into status. What is refused is the
// API server's business (apiserver/limits.h), which counts for itself.
#pragma once

#include "controllers/shared.h"

namespace tulle::controllers {

class QuotaController final {
 public:
  explicit QuotaController(Shared& shared);
  rt::Task<void> run();

 private:
  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  void add_quotas_of(const json::object& object);
  json::object used(const json::object& quota) const;

  Shared& shared_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

}  // namespace tulle::controllers
