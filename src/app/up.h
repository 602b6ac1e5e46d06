// `tulle up`: a whole instance in the foreground.
#pragma once

#include "app/instance.h"

#include <string>
#include <vector>

namespace tulle::app {

struct UpOptions {
  Instance instance;
  std::vector<std::string> manifests = {};  // files and folders
  std::uint16_t api_port = 6443;
  std::uint16_t ingress_port = 80;
  std::uint16_t ingress_tls_port = 443;
  std::uint16_t admin_port = 15020;
  std::string fast_path = "auto";  // as the flag of `tulle proxy`
  // As the flags of `tulle proxy`.
  bool ingress_proxy_protocol = false;
  std::vector<std::string> dns_stubs = {};
  std::vector<std::string> explain_namespaces = {};
  std::string runtime = {};
  // As main() got them, for the program that an upgrade puts in the place of this one.
  std::vector<std::string> arguments = {};
  int resume_fd = -1;  // what the program before has left (app/succession.h); -1: there was none
};

// Runs until SIGINT or SIGTERM, and then leaves nothing behind but the data directory. Returns the
// exit code; each failure is one line on standard error that says what to do.
int run_up(const UpOptions& options);

}  // namespace tulle::app
