// The certificate authority of an instance and what it signed: made at the first start, kept in
// <data-dir>/pki, renewed long before it ends.
#pragma once

#include "app/instance.h"
#include "base/time.h"
#include "net/pki.h"

namespace tulle::app {

struct Credentials {
  net::KeyPair authority;
  net::KeyPair server;  // the API server: 127.0.0.1, localhost, kubernetes.default.svc and so on
  net::KeyPair admin;   // system:masters, for the kubeconfig
  net::KeyPair proxy;   // system:tulle-proxy
};

Result<Credentials> ensure_credentials(const Instance& instance, IpAddress kubernetes_address,
                                       WallTime now);

// Writes the kubeconfig of the administrator and the proxy's.
Result<void> write_kubeconfigs(const Instance& instance, const Credentials& credentials,
                               std::uint16_t api_port);

}  // namespace tulle::app
