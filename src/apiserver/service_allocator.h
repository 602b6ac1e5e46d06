// Cluster addresses and node ports of Services, given out while the Service is written, so that the
// answer to the write holds them.
#pragma once

#include "base/address.h"
#include "kube/status.h"
#include "store/store.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::apiserver {

inline constexpr std::uint16_t node_port_first = 30000;
inline constexpr std::uint16_t node_port_last = 32767;

// An allocation is a fact of the stored Services: it is read from the store's log, never stored by
// itself. Only what is on its way to the store is kept beside that. Belongs to the store's loop.
class ServiceAllocator final {
 public:
  struct Options {
    Cidr cluster_addresses;                // "10.96.0.0/12"
    std::vector<IpAddress> reserved = {};  // given only to those who ask for them by name
  };

  // `store` must outlive it.
  ServiceAllocator(store::Store& store, Options options);

  // Completes `service`: cluster addresses, families and node ports, as upstream does; 422 where
  // one that the client chose is taken, out of range or may not change. `old` is null for a
  // creation. What was given is held until the write shows in the store, or release().
  kube::ApiResult<void> admit(const store::Key& key, const boost::json::object* old,
                              boost::json::object& service);
  // The write that was admitted did not happen.
  void release(const store::Key& key);

 private:
  // What one Service has.
  struct Holding {
    std::vector<IpAddress> addresses;
    std::vector<std::uint16_t> ports;
    friend bool operator==(const Holding&, const Holding&) = default;
  };
  using Holdings = std::map<store::Key, Holding>;
  // One call of admit().
  class Admission;

  static Holding holding_of(const boost::json::object& service);
  void catch_up();
  void reload();
  void learn(const store::Event& event);
  void hold(Holdings& holdings, const store::Key& key, Holding holding);
  void drop(Holdings& holdings, const store::Key& key);

  store::Store& store_;
  const Options options_;
  std::unique_ptr<store::Watch> watch_;
  Holdings stored_;
  Holdings admitted_;  // not seen in the store yet
  // Who has what, by both.
  std::map<IpAddress, std::multiset<store::Key>> addresses_;
  std::map<std::uint16_t, std::multiset<store::Key>> ports_;
};

}  // namespace tulle::apiserver
