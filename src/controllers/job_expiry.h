// Deletes Jobs that have ended when their ttlSecondsAfterFinished are over.
#pragma once

#include "controllers/shared.h"

namespace tulle::controllers {

class JobExpiryController final {
 public:
  explicit JobExpiryController(Shared& shared);
  rt::Task<void> run();

 private:
  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);

  Shared& shared_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

}  // namespace tulle::controllers
