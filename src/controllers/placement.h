// Where a pod may run, and where best: the arithmetic of the scheduler. Pure.
#pragma once

#include "controllers/shared.h"
#include "kube/resources.h"

#include <compare>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace tulle::controllers {

// A port of the machine, at one of its addresses or at all of them.
struct HostPort {
  std::string port;     // "TCP/8080"
  std::string address;  // "": all

  bool conflicts_with(const HostPort& other) const {
    return port == other.port &&
           (address.empty() || other.address.empty() || address == other.address);
  }
  friend auto operator<=>(const HostPort&, const HostPort&) = default;
};

// What a pod takes of its node.
struct Demand {
  kube::Resources requests;  // "pods" among them: 1
  std::set<HostPort> host_ports;
};
Demand demand_of(const json::object& pod);

// What all pods of a node take together.
class Occupancy final {
 public:
  void add(const Demand& demand);
  void remove(const Demand& demand);

  // The names of what the node has too little of, of all that the pod asks for.
  std::vector<std::string> lacking(const Demand& demand, const json::object& node) const;
  bool has_ports_for(const Demand& demand) const;
  // How full it would be with the pod: the larger of the shares of cpu and memory.
  double fullness(const Demand& demand, const json::object& node) const;

 private:
  kube::Resources requests_;
  std::multiset<HostPort> host_ports_;
};

using Occupancies = std::map<std::string, Occupancy, std::less<>>;  // by node

// The name of the emptiest node that takes the pod, the first of several by name; or why none
// does, in upstream's words: "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were
// unschedulable."
std::expected<std::string, std::string> place(const json::object& pod, const Demand& demand,
                                              const std::vector<ObjectPtr>& nodes,
                                              const Occupancies& occupancies);

}  // namespace tulle::controllers
