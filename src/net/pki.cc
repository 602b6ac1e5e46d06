#include "net/pki.h"

#include "base/check.h"
#include "net/openssl_ptr.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <array>
#include <memory>

namespace tulle::net {

namespace {

using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpensslDeleter<X509_EXTENSION_free>>;

constexpr int kSerialBytes = 16;

Error crypto_error(std::string_view what) {
  return fail(Code::internal, "OpenSSL: " + std::string(what));
}

std::string take_text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

Result<void> add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return crypto_error("certificate extension " + value);
  }
  return {};
}

void add_name(X509_NAME* name, const char* field, const std::string& value) {
  X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}

std::string alternative_names(const CertificateOptions& options) {
  std::string names;
  for (const auto& dns : options.dns_names) names += (names.empty() ? "DNS:" : ",DNS:") + dns;
  for (const auto& ip : options.ip_addresses) {
    names += (names.empty() ? "IP:" : ",IP:") + ip.to_string();
  }
  return names;
}

std::time_t seconds_of(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

Result<X509Ptr> new_certificate(const CertificateOptions& options, EVP_PKEY* key) {
  X509Ptr certificate(X509_new());
  if (!certificate) return crypto_error("X509_new");
  X509_set_version(certificate.get(), X509_VERSION_3);
  std::array<unsigned char, kSerialBytes> serial{};
  CHECK(RAND_bytes(serial.data(), kSerialBytes) == 1);
  serial[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(serial.data(), kSerialBytes, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get()));
  BN_free(number);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), seconds_of(options.not_before));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()),
                seconds_of(options.not_before + options.lifetime));
  X509_NAME* name = X509_get_subject_name(certificate.get());
  for (const auto& organization : options.organizations) add_name(name, "O", organization);
  add_name(name, "CN", options.common_name);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

Result<KeyPair> sign(X509* certificate, EVP_PKEY* key, EVP_PKEY* signing_key) {
  if (X509_sign(certificate, signing_key, EVP_sha256()) == 0) return crypto_error("X509_sign");
  const BioPtr certificate_out(BIO_new(BIO_s_mem()));
  const BioPtr key_out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(certificate_out.get(), certificate);
  PEM_write_bio_PrivateKey(key_out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return KeyPair{.certificate_pem = take_text(certificate_out.get()),
                 .private_key_pem = take_text(key_out.get())};
}

X509Ptr read_certificate(const std::string& pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

}  // namespace

Result<KeyPair> make_certificate_authority(const CertificateOptions& options) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return crypto_error("EVP_EC_gen");
  TRY(const X509Ptr certificate, new_certificate(options, key.get()));
  X509* own = certificate.get();
  X509_set_issuer_name(own, X509_get_subject_name(own));
  TRY_VOID(add_extension(own, own, NID_basic_constraints, "critical,CA:TRUE"));
  TRY_VOID(add_extension(own, own, NID_key_usage, "critical,keyCertSign,cRLSign"));
  TRY_VOID(add_extension(own, own, NID_subject_key_identifier, "hash"));
  return sign(own, key.get(), key.get());
}

Result<KeyPair> issue_certificate(const KeyPair& authority, const CertificateOptions& options) {
  const X509Ptr issuer = read_certificate(authority.certificate_pem);
  const BioPtr key_bio(BIO_new_mem_buf(authority.private_key_pem.data(),
                                       static_cast<int>(authority.private_key_pem.size())));
  const KeyPtr issuer_key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  if (!issuer || !issuer_key) {
    return fail(Code::malformed, "the certificate authority's files do not parse");
  }
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return crypto_error("EVP_EC_gen");
  TRY(const X509Ptr certificate, new_certificate(options, key.get()));
  X509* own = certificate.get();
  X509_set_issuer_name(own, X509_get_subject_name(issuer.get()));
  TRY_VOID(add_extension(own, issuer.get(), NID_basic_constraints, "critical,CA:FALSE"));
  TRY_VOID(add_extension(own, issuer.get(), NID_key_usage, "critical,digitalSignature"));
  std::string usage;
  if (options.server) usage = "serverAuth";
  if (options.client) usage += usage.empty() ? "clientAuth" : ",clientAuth";
  if (!usage.empty()) TRY_VOID(add_extension(own, issuer.get(), NID_ext_key_usage, usage));
  TRY_VOID(add_extension(own, issuer.get(), NID_authority_key_identifier, "keyid"));
  const std::string names = alternative_names(options);
  if (!names.empty()) {
    TRY_VOID(add_extension(own, issuer.get(), NID_subject_alt_name, names));
  }
  return sign(own, key.get(), issuer_key.get());
}

Result<WallTime> certificate_end(const std::string& certificate_pem) {
  const X509Ptr certificate = read_certificate(certificate_pem);
  std::tm broken_down{};
  if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &broken_down) != 1) {
    return fail(Code::malformed, "not a certificate");
  }
  return WallTime(std::chrono::seconds(::timegm(&broken_down)));
}

std::string random_hex(std::size_t bytes) {
  std::string raw(bytes, '\0');
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(bytes)) == 1);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes * 2);
  for (const char c : raw) {
    const auto byte = static_cast<unsigned char>(c);
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

Random random_seed() {
  std::uint64_t seed = 0;
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed) == 1);
  return Random(seed);
}

}  // namespace tulle::net
