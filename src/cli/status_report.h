// What `tulle status` shows: one screen, made from the API's objects and the proxy's metrics.
#pragma once

#include "base/time.h"
#include "cli/status_metrics.h"
#include "kube/time.h"
#include "kubeclient/client.h"

#include <optional>
#include <string>
#include <vector>

namespace tulle::cli {

// Two readings of the proxy's counters, `between` apart.
struct Traffic {
  Samples before;
  Samples now;
  Duration between = {};
};

// All that the screen is made from.
struct StatusFacts {
  std::string api_address = {};  // "https://127.0.0.1:6443"
  std::string data_dir = {};
  std::optional<kube::Time> started = std::nullopt;
  kube::Time now = {};
  std::vector<kubeclient::ObjectPtr> services = {};
  std::vector<kubeclient::ObjectPtr> endpoint_slices = {};
  std::vector<kubeclient::ObjectPtr> pods = {};
  std::vector<kubeclient::ObjectPtr> ingresses = {};
  // The error says why the proxy tells nothing.
  Result<Traffic> traffic = fail(Code::unavailable, "nobody asked");
};

// REQUESTS/S counts HTTP requests and, where traffic is no HTTP, connections; ERRORS/S those that
// were answered with 5xx or not at all; RETRIES all since the proxy started. A dash stands for what
// is not known. Lines end with '\n'.
std::string describe_status(const StatusFacts& facts);

}  // namespace tulle::cli
