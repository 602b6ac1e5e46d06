#include "app/credentials.h"

#include "kubeclient/kubeconfig.h"

namespace tulle::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration kYear = 24h * 365;
constexpr Duration kAuthorityLifetime = kYear * 10;
constexpr Duration kLifetime = kYear;
// What has less than this left is made anew at start.
constexpr Duration kRenewBefore = 24h * 60;
// Clocks of clients may be behind ours.
constexpr Duration kClockSkew = 1h;

Result<net::KeyPair> load(const std::string& path) {
  TRY(std::string certificate, read_file(path + ".crt"));
  TRY(std::string key, read_file(path + ".key"));
  return net::KeyPair{.certificate_pem = std::move(certificate), .private_key_pem = std::move(key)};
}

Result<void> save(const std::string& path, const net::KeyPair& pair) {
  TRY_VOID(write_file(path + ".key", pair.private_key_pem));
  return write_file(path + ".crt", pair.certificate_pem);
}

// Whether it is valid, and for long. One that was made when the clock was ahead may have too much
// left: it is not valid yet.
bool lasts(const Result<net::KeyPair>& pair, Duration lifetime, WallTime now) {
  if (!pair) return false;
  const auto end = net::certificate_end(pair->certificate_pem);
  return end && *end - now > kRenewBefore && *end - now <= lifetime;
}

Result<net::KeyPair> ensure(const std::string& path, const net::KeyPair& authority, bool renew,
                            net::CertificateOptions options, WallTime now) {
  auto known = load(path);
  if (!renew && lasts(known, kLifetime, now)) return known;
  options.not_before = now - kClockSkew;
  options.lifetime = kLifetime;
  TRY(net::KeyPair made, net::issue_certificate(authority, options));
  TRY_VOID(save(path, made));
  return made;
}

}  // namespace

Result<Credentials> ensure_credentials(const Instance& instance, IpAddress kubernetes_address,
                                       WallTime now) {
  const std::string folder = instance.pki() + "/";
  Credentials credentials;
  auto authority = load(folder + "ca");
  const bool renew = !lasts(authority, kAuthorityLifetime, now);
  if (renew) {
    authority = net::make_certificate_authority({.common_name = "tulle-ca",
                                                 .not_before = now - kClockSkew,
                                                 .lifetime = kAuthorityLifetime});
    if (!authority) return std::move(authority).error();
    TRY_VOID(save(folder + "ca", *authority));
  }
  credentials.authority = *std::move(authority);
  TRY(credentials.server,
      ensure(folder + "server", credentials.authority, renew,
             {.common_name = "tulle",
              .dns_names = {"localhost", "kubernetes", "kubernetes.default",
                            "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
              .ip_addresses = {IpAddress::v4(127, 0, 0, 1), kubernetes_address},
              .server = true,
              .not_before = {},
              .lifetime = {}},
             now));
  TRY(credentials.admin, ensure(folder + "admin", credentials.authority, renew,
                                {.common_name = "tulle-admin",
                                 .organizations = {"system:masters"},
                                 .client = true,
                                 .not_before = {},
                                 .lifetime = {}},
                                now));
  TRY(credentials.proxy, ensure(folder + "proxy", credentials.authority, renew,
                                {.common_name = "system:tulle-proxy",
                                 .organizations = {"system:tulle"},
                                 .client = true,
                                 .not_before = {},
                                 .lifetime = {}},
                                now));
  return credentials;
}

Result<void> write_kubeconfigs(const Instance& instance, const Credentials& credentials,
                               std::uint16_t api_port) {
  kubeclient::Kubeconfig config{.host = "127.0.0.1",
                                .port = api_port,
                                .ca_pem = credentials.authority.certificate_pem,
                                .client_certificate_pem = credentials.admin.certificate_pem,
                                .client_key_pem = credentials.admin.private_key_pem};
  TRY_VOID(write_file(instance.kubeconfig(), kubeclient::to_text(config, "tulle")));
  config.client_certificate_pem = credentials.proxy.certificate_pem;
  config.client_key_pem = credentials.proxy.private_key_pem;
  return write_file(instance.proxy_kubeconfig(), kubeclient::to_text(config, "tulle"));
}

}  // namespace tulle::app
