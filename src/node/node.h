// What the parts of the agent share. A bundle of references: the agent owns all of it, and it
// outlives everything that is given a Node.
#pragma once

#include "kubeclient/cache.h"
#include "kubeclient/events.h"
#include "net/kernel_network.h"
#include "node/agent.h"
#include "node/handover_client.h"
#include "node/images.h"
#include "node/pod_network.h"
#include "node/runtime.h"
#include "rt/blocking.h"
#include "rt/scope.h"

namespace tulle::node {

struct Node {
  rt::Loop& loop;
  rt::EpollDriver& driver;
  rt::Blocking& blocking;
  net::KernelNetwork& network;
  kubeclient::Client& client;
  const AgentOptions& options;
  const Runtime& runtime;
  Images& images;
  kubeclient::EventRecorder& events;
  kubeclient::Cache& pods;
  kubeclient::Cache& services;
  HandoverClient& proxy;
  AddressPool& addresses;
  rt::Scope& background;           // what nobody waits for any more
  std::uint64_t next_command = 0;  // names the files of container_command.cc
};

// The address that pods and the API see of this machine.
inline constexpr IpAddress kHostAddress = IpAddress::v4(127, 0, 0, 1);

// The wall clock as the API writes times.
inline kube::Time api_now(const rt::Loop& loop) {
  return std::chrono::time_point_cast<std::chrono::microseconds>(loop.wall_now());
}

}  // namespace tulle::node
