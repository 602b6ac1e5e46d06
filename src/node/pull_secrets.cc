#include "node/pull_secrets.h"

#include "base/format.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "kube/object.h"
#include "kubeclient/resources.h"

#include <fmt/ranges.h>
#include <boost/json.hpp>

#include <fnmatch.h>

#include <algorithm>
#include <functional>
#include <optional>

namespace tulle::node {
namespace {

namespace json = boost::json;
using kube::string_at;

constexpr std::size_t json_depth_max = 16;

// The name of a registry in a login: "https://ghcr.io/v2/team" is host "ghcr.io", path "team".
struct LoginName {
  std::string host;
  std::string path;
};

LoginName parse_login_name(std::string_view text) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
  }
  const std::size_t slash = std::min(text.find('/'), text.size());
  LoginName name{.host = std::string(text.substr(0, slash)), .path = ""};
  if (name.host == "index.docker.io" || name.host == "registry-1.docker.io") {
    name.host = default_registry;
  }
  std::string_view path = text.substr(slash);
  for (const std::string_view version : {"/v1/", "/v2/"}) {
    if (path.starts_with(version)) path.remove_prefix(version.size() - 1);
  }
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  name.path = path;
  return name;
}

// Part by part: a `*` stands for no dot, and for no port.
bool fits_host(std::string_view pattern, std::string_view host) {
  constexpr auto split = [](std::string_view& text) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    const std::string part(text.substr(0, dot));
    text.remove_prefix(std::min(dot + 1, text.size()));
    return part;
  };
  const auto port_of = [](std::string_view& text) {
    const std::size_t colon = std::min(text.find(':'), text.size());
    const std::string_view port = text.substr(colon);
    text = text.substr(0, colon);
    return port;
  };
  if (port_of(pattern) != port_of(host)) return false;
  if (std::ranges::count(pattern, '.') != std::ranges::count(host, '.')) return false;
  while (!pattern.empty() || !host.empty()) {
    if (::fnmatch(split(pattern).c_str(), split(host).c_str(), 0) != 0) return false;
  }
  return true;
}

bool fits(const LoginName& name, const ImageReference& reference) {
  if (!fits_host(name.host, reference.registry)) return false;
  if (name.path.empty() || name.path == reference.repository) return true;
  return reference.repository.starts_with(name.path + "/");
}

// Nothing where the entry holds no login.
std::optional<std::string> auth_file(const json::object& entry, const ImageReference& reference) {
  json::object login;
  const std::string_view user = string_at(entry, "username");
  if (!user.empty()) {
    login["auth"] = codec::base64_encode(fmt::format("{}:{}", user, string_at(entry, "password")));
  } else if (const auto auth = string_at(entry, "auth"); !auth.empty()) {
    login["auth"] = auth;
  }
  if (const auto token = string_at(entry, "identitytoken"); !token.empty()) {
    login["identitytoken"] = token;
  }
  if (login.empty()) return std::nullopt;
  return codec::to_json(
      json::object{{"auths", json::object{{reference.registry, std::move(login)}}}});
}

Result<json::object> read_logins(const json::object& secret) {
  const bool old = string_at(secret, "type") == "kubernetes.io/dockercfg";
  TRY(const std::string text, read_key(secret, old ? ".dockercfg" : ".dockerconfigjson"));
  TRY(const json::value value, codec::parse_json(text, {.depth_max = json_depth_max}));
  const json::object* root = value.if_object();
  const json::object* logins = root;
  if (root != nullptr && !old) logins = kube::find_object(*root, "auths");
  if (logins == nullptr) return fail(Code::malformed, "it holds no logins (auths)");
  return *logins;
}

}  // namespace

Result<std::vector<std::string>> logins_for(const json::object& secret,
                                            const ImageReference& reference) {
  TRY(const json::object logins, read_logins(secret));
  std::vector<std::pair<std::string, std::string>> fitting;
  for (const auto& [name, entry] : logins) {
    const LoginName parsed = parse_login_name(name);
    if (!fits(parsed, reference)) continue;
    if (auto file = auth_file(kube::object_or_empty(entry), reference)) {
      fitting.emplace_back(parsed.host + "/" + parsed.path, *std::move(file));
    }
  }
  // As upstream: the longer name of two that begin alike comes first.
  std::ranges::sort(fitting, std::greater(), &std::pair<std::string, std::string>::first);
  std::vector<std::string> files;
  files.reserve(fitting.size());
  for (auto& [name, file] : fitting) files.push_back(std::move(file));
  return files;
}

rt::Task<std::vector<std::string>> pull_logins(PodContext& context, std::string reference) {
  std::vector<std::string> logins;
  const auto parsed = parse_image_reference(reference);
  if (!parsed) co_return logins;
  const kubeclient::ObjectPtr pod = context.pod;
  std::vector<std::string> missing;
  for (const json::value& each : kube::array_at(*pod, "spec.imagePullSecrets")) {
    std::string name(string_at(kube::object_or_empty(each), "name"));
    const auto secret = co_await context.node.client.get(
        kubeclient::kSecrets, {.namespace_ = context.place.namespace_, .name = name});
    if (!secret) {
      missing.push_back(std::move(name));
      continue;
    }
    auto found = logins_for(**secret, *parsed);
    if (!found) {
      context.warning(
          "FailedToRetrieveImagePullSecret",
          fmt::format("Unable to use image pull secret {}: {}", name, found.error().message));
      continue;
    }
    logins.insert(logins.end(), std::make_move_iterator(found->begin()),
                  std::make_move_iterator(found->end()));
  }
  if (!missing.empty()) {
    context.warning("FailedToRetrieveImagePullSecret",
                    fmt::format("Unable to retrieve some image pull secrets ({}); attempting to "
                                "pull the image may not succeed.",
                                fmt::join(missing, ", ")));
  }
  co_return logins;
}

}  // namespace tulle::node
