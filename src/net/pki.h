// Keys and certificates: a certificate authority and what it signs (ECDSA P-256, X.509 v3).
#pragma once

#include "base/address.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"

#include <string>
#include <vector>

namespace tulle::net {

struct KeyPair {
  std::string certificate_pem;
  std::string private_key_pem;
};

struct CertificateOptions {
  std::string common_name;
  std::vector<std::string> organizations = {};
  std::vector<std::string> dns_names = {};
  std::vector<IpAddress> ip_addresses = {};
  bool server = false;  // extended key usage
  bool client = false;
  WallTime not_before;
  Duration lifetime;
};

Result<KeyPair> make_certificate_authority(const CertificateOptions& options);
Result<KeyPair> issue_certificate(const KeyPair& authority, const CertificateOptions& options);

// When the first certificate of a PEM text ends.
Result<WallTime> certificate_end(const std::string& certificate_pem);

// Cryptographically secure bytes, as lower-case hex of `bytes` bytes.
std::string random_hex(std::size_t bytes);

// A generator seeded by the system's randomness: where nothing has to be repeated.
Random random_seed();

}  // namespace tulle::net
