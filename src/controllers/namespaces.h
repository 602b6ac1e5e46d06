// Namespaces: what each one holds from the start, and how one ends.
#pragma once

#include "controllers/shared.h"

#include <string>
#include <vector>

namespace tulle::controllers {

class NamespaceController final {
 public:
  // `resources`: every namespaced resource, all of which go with their namespace. `ca_pem` is put
  // into ConfigMap kube-root-ca.crt of each.
  NamespaceController(Shared& shared, std::vector<kubeclient::Resource> resources,
                      std::string ca_pem);
  rt::Task<void> run();

 private:
  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  rt::Task<ApiResult<void>> furnish(std::string name);
  rt::Task<ApiResult<Reconciled>> empty(ObjectPtr space);
  rt::Task<ApiResult<void>> create_if_absent(kubeclient::Resource resource, json::object object);

  Shared& shared_;
  const std::vector<kubeclient::Resource> resources_;
  const std::string ca_pem_;
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

}  // namespace tulle::controllers
