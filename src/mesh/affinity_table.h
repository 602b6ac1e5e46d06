// Which endpoint a client of a service port was sent to last: Kubernetes' sessionAffinity ClientIP.
#pragma once

#include "base/address.h"
#include "base/time.h"

#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace tulle::mesh {

// A resource, shared by all loops of a process (it locks; services without affinity never touch
// it).
class AffinityTable final {
 public:
  // When full, the client that has been silent longest is forgotten.
  static constexpr std::size_t clients_max = 65536;

  AffinityTable() = default;
  AffinityTable(const AffinityTable&) = delete;
  AffinityTable& operator=(const AffinityTable&) = delete;

  // The endpoint `client` is bound to, unless it has been silent for `timeout`.
  std::optional<SocketAddress> find(const IpAddress& client, Duration timeout, Instant now);

  // Binds, or renews, and forgets clients that have been silent for `timeout`.
  void bind(const IpAddress& client, const SocketAddress& endpoint, Duration timeout, Instant now);

  std::size_t size() const;

 private:
  struct Entry {
    IpAddress client;
    SocketAddress endpoint;
    Instant used_at;
  };

  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // longest silent first
  std::unordered_map<IpAddress, std::list<Entry>::iterator> by_client_;
};

}  // namespace tulle::mesh
