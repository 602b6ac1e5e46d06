#include "node/digest.h"

#include "base/check.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace tulle::node {
namespace {

constexpr std::string_view prefix = "sha256:";
constexpr std::size_t hex_size = 64;

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  CHECK(EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_); }

void Sha256::update(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context_, bytes.data(), &size) == 1);
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string text(prefix);
  for (const unsigned char byte : std::string_view(reinterpret_cast<char*>(bytes.data()), size)) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::string sha256_digest(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

bool is_sha256_digest(std::string_view text) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return text.size() == hex_size && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string digest_hex(std::string_view digest) {
  CHECK(is_sha256_digest(digest));
  return std::string(digest.substr(prefix.size()));
}

}  // namespace tulle::node
