#include "proxy/certificates.h"

#include "base/log.h"

namespace tulle::proxy {

Result<std::shared_ptr<const net::TlsContext>> Certificates::context_for(
    const std::shared_ptr<const mesh::Certificate>& certificate) {
  if (const auto found = contexts_.find(certificate); found != contexts_.end()) {
    return found->second;
  }
  auto made = net::TlsContext::server({.certificate_chain_pem = certificate->chain_pem,
                                       .private_key_pem = certificate->private_key_pem,
                                       .alpn = {"h2", "http/1.1"}});
  if (!made) {
    log::warn("a certificate of an Ingress cannot be used",
              {{"secret", certificate->secret}, {"why", made.error().message}});
  }
  return contexts_.emplace(certificate, std::move(made)).first->second;
}

void Certificates::forget_unused() {
  std::erase_if(contexts_, [](const auto& entry) { return entry.first.use_count() == 1; });
}

}  // namespace tulle::proxy
