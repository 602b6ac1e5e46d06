// The network of a pod: a namespace with nothing but `lo`, in which everything the pod sends over
// TCP or UDP ends at the proxy's capture port. Blocking functions; they need root.
#pragma once

#include "base/address.h"
#include "base/result.h"

#include <cstdint>
#include <set>
#include <string>

namespace tulle::node {

struct PodNetwork {
  IpAddress address;      // of the pod
  IpAddress dns_address;  // answered inside the namespace, not redirected
  std::uint16_t capture_port = 0;
};

// Makes the namespace and keeps it by a bind mount at `path`, which outlives this process. The
// calling thread is in it meanwhile; a thread that cannot come back ends the process.
Result<void> make_pod_network(const std::string& path, const PodNetwork& network);

// Whether a namespace is kept at `path` (after a reboot only the file is left).
bool is_pod_network(const std::string& path);

// Nothing there is no error. The namespace goes when its last process and socket have gone.
Result<void> remove_pod_network(const std::string& path);

// Hands out the addresses of the pods of this node. A value.
class AddressPool final {
 public:
  explicit AddressPool(const Cidr& network) : network_(network) {}

  // One that was free for as long as possible. Code::exhausted when there is none.
  Result<IpAddress> take();
  // Marks the address of a pod that runs already.
  void mark(const IpAddress& address) { used_.insert(address); }
  void give_back(const IpAddress& address) { used_.erase(address); }

 private:
  const Cidr network_;
  std::uint64_t next_ = 0;
  std::set<IpAddress> used_;
};

}  // namespace tulle::node
