// Where services of type LoadBalancer and Ingresses of class tulle are reached: their status.
#pragma once

#include "base/address.h"
#include "controllers/shared.h"

namespace tulle::controllers {

class FrontDoorController final {
 public:
  struct Options {
    // Each LoadBalancer service gets an address of its own from here, loopback by default.
    Cidr load_balancers;
    IpAddress ingress;
    std::uint16_t ingress_port = 80;
  };
  FrontDoorController(Shared& shared, const Options& options);
  rt::Task<void> run();

 private:
  rt::Task<ApiResult<Reconciled>> reconcile_service(NamespacedName key);
  rt::Task<ApiResult<Reconciled>> reconcile_ingress(NamespacedName key);
  rt::Task<ApiResult<void>> ensure_class();
  ApiResult<IpAddress> free_address(const NamespacedName& key) const;
  bool is_ours(const json::object& ingress) const;

  Shared& shared_;
  const Options options_;
  kubeclient::WorkQueue services_;
  kubeclient::WorkQueue ingresses_;
  kubeclient::Reconcile reconcile_service_;
  kubeclient::Reconcile reconcile_ingress_;
};

}  // namespace tulle::controllers
