// kubeconfig files (kubectl's configuration, v1 Config): where a server is and who we are there.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace tulle::kubeclient {

struct Kubeconfig {
  std::string host;  // of the server's URL: an address or a name
  std::uint16_t port = 443;
  bool tls = true;
  std::string ca_pem = {};
  bool verify_peer = true;
  std::string server_name = {};  // what the certificate must say; empty: host
  std::string client_certificate_pem = {};
  std::string client_key_pem = {};
  std::string token = {};
};

// Reads the current context. Files that it names are read relative to the file's folder. Error:
// says which field of which file is wrong.
Result<Kubeconfig> load_kubeconfig(const std::string& path);

// The text of a kubeconfig with one cluster, one user and one context, all named `name`.
std::string to_text(const Kubeconfig& config, const std::string& name);

}  // namespace tulle::kubeclient
