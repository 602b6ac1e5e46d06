#include "proxy/loads.h"

#include <boost/json.hpp>

#include <map>
#include <set>

namespace tulle::proxy {

std::string loads_json(const mesh::Snapshot& snapshot) {
  // Several services may name the same endpoint.
  std::set<const mesh::EndpointState*> seen;
  std::map<IpAddress, std::uint64_t> requests;
  snapshot.for_each_service([&](const mesh::Service& service) {
    for (const mesh::ServicePort& port : service.ports) {
      for (const mesh::Endpoint& endpoint : port.endpoints) {
        if (!seen.insert(endpoint.state.get()).second) continue;
        requests[endpoint.address.ip] += endpoint.state->requests.load(std::memory_order_relaxed);
      }
    }
  });
  boost::json::object loads;
  for (const auto& [address, count] : requests) loads[address.to_string()] = count;
  return boost::json::serialize(loads);
}

}  // namespace tulle::proxy
