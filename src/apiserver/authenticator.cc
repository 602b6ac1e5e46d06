#include "apiserver/authenticator.h"

#include "http/server.h"

#include <algorithm>

namespace tulle::apiserver {

namespace {

constexpr std::string_view bearer = "Bearer ";

// Takes as long for a good guess as for a bad one.
bool equal_secrets(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  }
  return difference == 0;
}

User authenticated(User user) {
  user.groups.emplace_back(group_authenticated);
  return user;
}

bool is_master(const User& user) {
  return std::ranges::find(user.groups, group_masters) != user.groups.end();
}

}  // namespace

kube::ApiResult<User> Authenticator::authenticate(const http::Request& request) const {
  TRY(User user, identify(request));
  auto impersonated = request.head.headers.get("Impersonate-User");
  if (!impersonated) return user;
  if (!is_master(user)) {
    return kube::forbidden({"", "users"}, *impersonated,
                           "User \"" + user.name + "\" cannot impersonate");
  }
  User other{.name = std::string(*impersonated), .groups = {}};
  for (codec::Header header : request.head.headers) {
    if (codec::equals_ignoring_case(header.name, "Impersonate-Group")) {
      other.groups.emplace_back(header.value);
    }
  }
  return authenticated(std::move(other));
}

kube::ApiResult<User> Authenticator::identify(const http::Request& request) const {
  std::string_view authorization = request.head.headers.get("Authorization").value_or("");
  if (authorization.starts_with(bearer)) return by_token(authorization.substr(bearer.size()));
  if (request.tls_peer != nullptr && !request.tls_peer->common_name.empty()) {
    return authenticated(
        {.name = request.tls_peer->common_name, .groups = request.tls_peer->organizations});
  }
  if (request.tls_peer == nullptr && options_.trust_without_tls) {
    return authenticated({.name = std::string(user_admin), .groups = {std::string(group_masters)}});
  }
  return kube::unauthorized();
}

kube::ApiResult<User> Authenticator::by_token(std::string_view token) const {
  for (const auto& [known, user] : options_.tokens) {
    if (equal_secrets(known, token)) return authenticated(user);
  }
  return kube::unauthorized();
}

}  // namespace tulle::apiserver
