// All controllers over one set of caches.
#pragma once

#include "base/address.h"
#include "base/random.h"
#include "kubeclient/client.h"
#include "rt/task.h"

#include <memory>
#include <string>

namespace tulle::controllers {

class RequestRates;

struct ManagerOptions {
  // Addresses of services of type LoadBalancer.
  Cidr load_balancers{.network = IpAddress::v4(127, 1, 0, 0), .prefix_length = 16};
  IpAddress ingress = IpAddress::v4(127, 0, 0, 1);
  std::uint16_t ingress_port = 80;
  std::string ca_pem = {};
  RequestRates* request_rates = nullptr;  // null: nobody counts requests
  std::string volumes_directory = {};     // where the node has the volumes of class local-path
};

class Manager final {
 public:
  // `loop` and `client` must outlive the manager.
  Manager(rt::Loop& loop, kubeclient::Client& client, Random random, ManagerOptions options);
  ~Manager();
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // Begins to list, and to reconcile once everything is listed.
  void start();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace tulle::controllers
