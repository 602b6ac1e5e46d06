// What is done with a TLS connection to the Ingress, by the server name that it asks for: ended
// here with a certificate, or passed through as it is.
#pragma once

#include "mesh/ingress_table.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace tulle::mesh {

struct Certificate {
  std::string secret = {};  // "namespace/name"
  std::string chain_pem = {};
  std::string private_key_pem = {};

  friend bool operator==(const Certificate&, const Certificate&) = default;
};

struct TlsHost {
  std::string ingress = {};                             // "namespace/name"
  std::shared_ptr<const Certificate> certificate = {};  // null: passed through to `backend`
  IngressBackend backend = {};

  friend bool operator==(const TlsHost&, const TlsHost&) = default;
};

// A value; immutable once it is part of a Snapshot.
class TlsTable final {
 public:
  // `host`: "a.b" or "*.b", which stands for one more label. False when there is one already: the
  // first one stays.
  bool add(std::string host, TlsHost entry) {
    return hosts_.try_emplace(std::move(host), std::move(entry)).second;
  }
  // Of the name itself, or of the wildcard above it; null: nobody has the name. The name is in
  // lower case, as parse_client_hello() gives it. A client that names nobody (curl with an address)
  // gets the first certificate there is: it cannot check whose it is anyway.
  const TlsHost* find(std::string_view server_name) const {
    if (server_name.empty()) {
      const auto any = std::ranges::find_if(
          hosts_, [](const auto& entry) { return entry.second.certificate != nullptr; });
      return any != hosts_.end() ? &any->second : nullptr;
    }
    if (const auto exact = hosts_.find(server_name); exact != hosts_.end()) return &exact->second;
    const std::size_t dot = server_name.find('.');
    if (dot == 0 || dot == std::string_view::npos) return nullptr;
    const auto wildcard = hosts_.find("*" + std::string(server_name.substr(dot)));
    return wildcard != hosts_.end() ? &wildcard->second : nullptr;
  }
  bool empty() const { return hosts_.empty(); }

  friend bool operator==(const TlsTable&, const TlsTable&) = default;

 private:
  std::map<std::string, TlsHost, std::less<>> hosts_;
};

}  // namespace tulle::mesh
