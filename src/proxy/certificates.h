// Certificates of the Ingress, made ready for handshakes.
#pragma once

#include "base/result.h"
#include "mesh/tls_table.h"
#include "net/tls.h"

#include <map>
#include <memory>

namespace tulle::proxy {

// Belongs to one worker.
class Certificates final {
 public:
  // What handshakes with this certificate take. An error where it is not one, or the key is not its
  // own; said in the log once.
  Result<std::shared_ptr<const net::TlsContext>> context_for(
      const std::shared_ptr<const mesh::Certificate>& certificate);

  // Those that nobody else holds any more are forgotten.
  void forget_unused();

 private:
  std::map<std::shared_ptr<const mesh::Certificate>, Result<std::shared_ptr<const net::TlsContext>>>
      contexts_;
};

}  // namespace tulle::proxy
