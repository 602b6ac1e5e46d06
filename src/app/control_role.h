// The control process: API server, controllers and node agent of an instance.
#pragma once

#include "app/instance.h"
#include "base/address.h"

#include <string>

namespace tulle::app {

struct ControlOptions {
  Instance instance;
  std::uint16_t api_port = 6443;    // 0: a free one, see <data-dir>/kubeconfig
  std::uint16_t ingress_port = 80;  // what the status of Ingresses says
  Cidr services{.network = IpAddress::v4(10, 96, 0, 0), .prefix_length = 12};
  Cidr pods{.network = IpAddress::v4(10, 244, 0, 0), .prefix_length = 16};
  IpAddress dns = IpAddress::v4(10, 96, 0, 10);
  std::string runtime = {};  // of containers; empty: one that works
  int ready_fd = -1;         // told "ready" when the API answers
  int sockets_fd = -1;       // the channel of net/kept_sockets.h; -1: nobody keeps sockets
};

// Runs until SIGTERM, which ends every pod. When it is killed otherwise pods go on, and the next
// one takes them over. Returns the exit code; what went wrong is on standard error.
int run_control(const ControlOptions& options);

}  // namespace tulle::app
