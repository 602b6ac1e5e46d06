// The pods behind one Service as endpoints. Each is made once for each version of its pod: of a
// thousand pods mostly one has changed.
#pragma once

#include "base/address.h"
#include "controllers/shared.h"
#include "kube/selector.h"

#include <boost/json.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tulle::controllers {

// The zone of each node that is in one: its label topology.kubernetes.io/zone.
using Zones = std::map<std::string, std::string, std::less<>>;

// Shared and never changed: two lists of the same members say the same.
struct Member {
  IpAddress address = {};
  json::array ports = {};       // of its slice: the numbers that the target ports have in this pod
  std::string ports_text = {};  // the same, to compare
  json::object endpoint = {};   // of an EndpointSlice
};
using MemberPtr = std::shared_ptr<const Member>;

// One group for each kind of ports. REQUIRES: members by ports. The groups point into `members`.
std::vector<std::span<const MemberPtr>> groups_of(const std::vector<MemberPtr>& members);

class Members final {
 public:
  // Those of `pods` that the service selects and that have a place, by ports, then address. `pods`:
  // all of the service's namespace. Where the service prefers near endpoints
  // (spec.trafficDistribution) each ready one is hinted to its own zone, or node.
  std::vector<MemberPtr> update(const ObjectPtr& service, const std::vector<ObjectPtr>& pods,
                                const Zones& zones);

 private:
  struct Known {
    ObjectPtr pod = nullptr;
    std::string zone = {};
    std::string node = {};
    MemberPtr member = nullptr;  // null: is not selected, or has no place
    std::uint64_t pass = 0;      // in which it was last seen
  };

  Known look_at(const ObjectPtr& pod, const Zones& zones) const;

  ObjectPtr service_;  // that all known are of
  kube::Selector selector_;
  std::unordered_map<const json::object*, Known> known_;
  std::uint64_t pass_ = 0;  // number of the last update()
};

}  // namespace tulle::controllers
