// The node agent: runs the pods that the API declares, on this machine.
//
// What runs belongs to the machine, not to the agent: containers hang on their shims, network
// namespaces and root file systems on mounts, and all of it is described by files under
// <data-dir>/run and <data-dir>/pods. An agent that starts takes over what it finds there.
#pragma once

#include "base/address.h"
#include "base/random.h"
#include "base/result.h"
#include "kubeclient/client.h"
#include "net/kernel_network.h"
#include "node/image_store.h"
#include "rt/blocking.h"
#include "rt/epoll_driver.h"
#include "rt/task.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tulle::http {
struct Request;
class Exchange;
}  // namespace tulle::http

namespace tulle::node {

// The name of a container runtime that works here: crun or runc. Blocking. Error: unavailable,
// which says what was tried and what to install.
Result<std::string> find_runtime();

struct AgentOptions {
  std::string data_dir;
  std::string node_name;
  Cidr pod_network = Cidr::of(IpAddress::v4(10, 244, 0, 0), 16);
  Cidr service_network = Cidr::of(IpAddress::v4(10, 96, 0, 0), 12);
  IpAddress dns_address = IpAddress::v4(10, 96, 0, 10);
  std::uint16_t capture_port = 15001;
  std::string proxy_socket;  // where the proxy takes pods over (mesh/handover.h)
  std::string cluster_domain = "cluster.local";
  std::string runtime = {};                   // a path or a name in PATH; empty: find_runtime()
  std::string executable = "/proc/self/exe";  // runs `shim` (node/shim.h)
};

class Agent final {
 public:
  // All references must outlive the agent.
  Agent(rt::Loop& loop, rt::EpollDriver& driver, rt::Blocking& blocking,
        net::KernelNetwork& network, kubeclient::Client& client, ImageStore images, Random random,
        AgentOptions options);
  // Without stop(), pods go on running and the next agent takes them over.
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Registers the node, takes over what runs, and from then on works in the background. Done when
  // that has begun, not when pods run. Errors: what keeps any pod from running here.
  rt::Task<Result<void>> start();

  // Ends every pod, but leaves the API's objects as they are: no process, namespace, mount, cgroup
  // or table of ours is left. Containers get SIGTERM and a few seconds.
  rt::Task<void> stop();

  // Answers /api/v1/namespaces/NAMESPACE/pods/POD/SUBRESOURCE of a pod that exists: log, exec,
  // attach and portforward. `request` and `exchange` must outlive the task.
  rt::Task<void> handle(http::Request& request, http::Exchange& exchange, std::string namespace_,
                        std::string pod, std::string subresource);

  // What pods and the node use, as documents of metrics.k8s.io (node/usage_sampler.h).
  std::vector<kubeclient::ObjectPtr> pod_metrics() const;
  std::vector<kubeclient::ObjectPtr> node_metrics() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tulle::node
