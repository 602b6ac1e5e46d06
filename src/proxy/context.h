// What every flow of a worker shares, and what a flow knows of its caller.
#pragma once

#include "base/random.h"
#include "http/server.h"
#include "mesh/route.h"
#include "mesh/snapshot.h"
#include "proxy/certificates.h"
#include "proxy/metrics.h"
#include "proxy/upstreams.h"

#include <optional>
#include <string>
#include <vector>

namespace tulle::proxy {

// Owned by the worker, which outlives its flows. Belongs to the worker's loop.
struct Context {
  rt::Loop& loop;
  Upstreams& upstreams;
  Random& random;
  Metrics& metrics;
  Certificates& certificates;
  const http::ServerOptions& server_options;
  const std::vector<std::string>& explain_namespaces;  // whose pods may ask by x-tulle-explain
  mesh::SnapshotPtr snapshot;                          // the one in use; never null
};

struct Downstream {
  mesh::ListenerKind listener = mesh::ListenerKind::capture;
  SocketAddress destination = {};  // what was dialled
  SocketAddress peer = {};         // who dialled, or so its PROXY header says
  // What that header says was dialled; none: there was no header.
  std::optional<SocketAddress> announced_destination = {};
  IpAddress workload_address = {};  // the calling pod's; 0.0.0.0: from outside
  std::string workload = {};        // "namespace/name"; empty: from outside
  bool tls = false;                 // it came over TLS, which ended here
  std::string server_name = {};     // of TLS that is passed through
  http::IdleList* idle = nullptr;   // where it waits for a request
};

}  // namespace tulle::proxy
