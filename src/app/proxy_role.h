// The proxy process: the data plane and DNS of the node, pointed at a Kubernetes API; or the data
// plane alone, which serves what manifests in files say.
#pragma once

#include "base/address.h"
#include "compile/nearness.h"
#include "dns/forwarder.h"
#include "fastpath/fast_path.h"
#include "mesh/snapshot.h"

#include <optional>
#include <string>
#include <vector>

namespace tulle::app {

struct ProxyOptions {
  std::string kubeconfig = {};
  std::vector<std::string> manifests = {};  // not empty: in place of an API; no pods then
  std::string handover_socket = {};         // where the node agent hands over pods; empty: no pods
  std::string admin_socket = {};            // Unix socket of the admin server
  std::optional<SocketAddress> admin = std::nullopt;  // and its TCP address
  std::optional<SocketAddress> ingress = std::nullopt;
  std::optional<SocketAddress> ingress_tls = std::nullopt;
  bool ingress_proxy_protocol = false;
  std::optional<SocketAddress> host_dns = std::nullopt;  // DNS for the host, beside the pods'
  std::vector<dns::StubDomain> stub_domains = {};
  SocketAddress dns{.ip = IpAddress::v4(10, 96, 0, 10), .port = 53};
  // Whose pods may ask by x-tulle-explain why a request went where it went.
  std::vector<std::string> explain_namespaces = {};
  mesh::Networks networks = {};
  compile::Place here = {};
  std::size_t workers = 0;  // 0: one per core
  fastpath::Mode fast_path = fastpath::Mode::automatic;
  int ready_fd = -1;    // told "ready" once the first Snapshot is in use
  int sockets_fd = -1;  // the channel of net/kept_sockets.h; -1: nobody keeps sockets
};

// Runs until SIGTERM. Returns the exit code; what went wrong is on standard error.
int run_proxy(const ProxyOptions& options);

}  // namespace tulle::app
