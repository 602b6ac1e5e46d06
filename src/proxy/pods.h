// The pods of this node, as the node agent handed them over: who they are and where their sockets
// are made.
#pragma once

#include "base/address.h"
#include "mesh/live_state.h"
#include "mesh/object_name.h"
#include "net/network.h"

#include <memory>
#include <string>
#include <unordered_map>

namespace tulle::proxy {

struct Pod {
  std::string uid;
  mesh::ObjectName name;
  IpAddress address;
  net::NamespacePtr space;
  // Counts the connections to the pod's own address, which belong to no service.
  std::shared_ptr<mesh::EndpointState> direct = std::make_shared<mesh::EndpointState>();
};

// Immutable and shared by all workers; replaced as a whole when a pod comes or goes.
using PodTable = std::unordered_map<IpAddress, std::shared_ptr<const Pod>>;
using PodTablePtr = std::shared_ptr<const PodTable>;

}  // namespace tulle::proxy
