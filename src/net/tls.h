// TLS by OpenSSL over any Stream. TLS 1.2 and 1.3.
#pragma once

#include "base/result.h"
#include "net/stream.h"
#include "rt/task.h"

#include <memory>
#include <string>
#include <vector>

namespace tulle::net {

// Settings and keys shared by many connections. Immutable once made.
class TlsContext final {
 public:
  struct Server {
    std::string certificate_chain_pem;
    std::string private_key_pem;
    std::string client_ca_pem = {};  // set: client certificates are asked for and checked
    bool client_certificate_required = false;
    std::vector<std::string> alpn = {};  // in order of preference
  };
  struct Client {
    std::string ca_pem = {};  // empty: the system's
    std::string certificate_chain_pem = {};
    std::string private_key_pem = {};
    bool verify_peer = true;
    std::vector<std::string> alpn = {};
  };
  static Result<std::shared_ptr<const TlsContext>> server(const Server& options);
  static Result<std::shared_ptr<const TlsContext>> client(const Client& options);

  explicit TlsContext(void* native) : native_(native) {}
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  void* native() const { return native_; }

 private:
  void* native_;  // SSL_CTX*, owned
};

// Who the peer proved to be: the subject of its verified certificate.
struct TlsPeer {
  std::string common_name;
  std::vector<std::string> organizations;
};

class TlsStream : public Stream {
 public:
  // Empty common_name where the peer showed no certificate.
  virtual const TlsPeer& peer() const = 0;
  virtual std::string_view alpn() const = 0;
};

// Handshakes. Dropping them closes `inner`.
rt::Task<Result<std::unique_ptr<TlsStream>>> tls_accept(rt::Loop& loop,
                                                        std::unique_ptr<Stream> inner,
                                                        std::shared_ptr<const TlsContext> context);
// `server_name` must match the certificate; it is sent as SNI unless it is an IP address.
rt::Task<Result<std::unique_ptr<TlsStream>>> tls_connect(rt::Loop& loop,
                                                         std::unique_ptr<Stream> inner,
                                                         std::shared_ptr<const TlsContext> context,
                                                         std::string server_name);

}  // namespace tulle::net
