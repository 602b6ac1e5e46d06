// Makes Snapshots, each sharing with the one before whatever did not change.
#pragma once

#include "mesh/snapshot.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tulle::mesh {

// A resource of one thread; the Snapshots it makes go anywhere. Keeps the live state of endpoints
// and ports (mesh/live_state.h) from one Snapshot to the next.
class SnapshotBuilder final {
 public:
  explicit SnapshotBuilder(Networks networks = {});
  SnapshotBuilder(const SnapshotBuilder&) = delete;
  SnapshotBuilder& operator=(const SnapshotBuilder&) = delete;

  // Adds or replaces. Of a Service's ports the builder sets all that hangs on the others and all
  // live state, and orders the endpoints. Two services with one cluster address: the later put
  // wins. Two services with one door: the first by namespace and name wins.
  void put(Service service);
  void put(Workload workload);
  void set_ingress(std::shared_ptr<const IngressTable> ingress);
  void set_tls(std::shared_ptr<const TlsTable> tls);

  // Do nothing when absent.
  void remove_service(const ObjectName& name);
  void remove_workload(const ObjectName& name);

  // The next generation. Cheap: shares all maps with this builder.
  SnapshotPtr build();

 private:
  std::shared_ptr<EndpointState> endpoint_state(const SocketAddress& address, Transport transport);
  void finish_port(ServicePort& port, const Service& service, const Service* before);
  void forget_addresses(const Service& service);
  void enter(const std::string& namespace_name);
  void leave(const std::string& namespace_name);
  void drop_dead_states();

  // What Services contribute to a list of the Snapshot.
  template <class Item>
  class Contributions final {
   public:
    void set(const ObjectName& service, std::vector<Item> items);
    // All of them, in no order, if any has changed since this was last called.
    std::optional<std::vector<Item>> gather();

   private:
    std::map<ObjectName, std::vector<Item>> by_service_;  // only those that have any
    bool changed_ = false;
  };

  Snapshot next_;
  Contributions<Door> doors_;
  Contributions<UnservedPort> unserved_;
  std::map<std::string, std::size_t> namespaces_;  // how many objects each holds, never 0
  bool namespaces_changed_ = false;
  std::set<ObjectName> checked_;
  bool checked_changed_ = false;
  using Place = std::pair<Transport, SocketAddress>;
  struct HashPlace {
    std::size_t operator()(const Place& place) const {
      return hash_value(place.second) * 2 + static_cast<std::size_t>(place.first);
    }
  };
  std::unordered_map<Place, std::weak_ptr<EndpointState>, HashPlace> endpoint_states_;
  std::size_t endpoint_states_kept_ = 0;  // after the last sweep
};

}  // namespace tulle::mesh
