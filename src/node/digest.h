// SHA-256 digests as OCI writes them: "sha256:" and 64 lower-case hexadecimal digits
// (OCI image-spec, descriptor.md).
#pragma once

#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace tulle::node {

// One running hash over a stream.
class Sha256 final {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::string_view bytes);

  // The digest of all bytes so far. REQUIRES: called once, nothing is added after it.
  std::string finish();

 private:
  evp_md_ctx_st* context_;
};

std::string sha256_digest(std::string_view bytes);

bool is_sha256_digest(std::string_view text);

// The 64 hexadecimal digits alone, for file names. REQUIRES: is_sha256_digest(digest).
std::string digest_hex(std::string_view digest);

}  // namespace tulle::node
