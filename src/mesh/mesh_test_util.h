// Short ways to say a mesh in tests.
#pragma once

#include "mesh/snapshot_builder.h"

#include <string>
#include <vector>

namespace tulle::mesh::testing {

inline IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }
inline SocketAddress at(std::string_view text) { return *SocketAddress::parse(text); }

struct EndpointSpec {
  std::string_view address = {};
  Health health = Health::ready;
  std::uint16_t weight = 1;
  std::string hostname = {};
  std::uint8_t level = 0;
  bool local = false;
};

// A service of namespace default with one TCP port 80 behind these endpoints.
inline Service service(std::string name, std::string_view cluster_address,
                       std::vector<EndpointSpec> endpoints) {
  Service made{.name = {"default", std::move(name)}};
  if (cluster_address.empty()) {
    made.headless = true;
  } else {
    made.cluster_addresses = {ip(cluster_address)};
  }
  ServicePort port{.port = 80};
  for (EndpointSpec& spec : endpoints) {
    SocketAddress address = at(spec.address);
    port.endpoints.push_back({.address = address,
                              .health = spec.health,
                              .weight = spec.weight,
                              .hostname = spec.hostname,
                              .level = spec.level,
                              .local = spec.local});
    made.hosts.push_back({.address = address.ip,
                          .hostname = spec.hostname,
                          .published = spec.health == Health::ready});
  }
  made.ports.push_back(std::move(port));
  return made;
}

inline Workload workload(std::string name, std::string_view address) {
  return {.name = {"default", std::move(name)},
          .address = ip(address),
          .search_domains = {"default.svc.cluster.local", "svc.cluster.local", "cluster.local"}};
}

}  // namespace tulle::mesh::testing
