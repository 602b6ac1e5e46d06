#include "kubeclient/kubeconfig.h"

#include "codec/base64.h"
#include "codec/url.h"
#include "codec/yaml.h"
#include "kube/object.h"

#include <boost/json.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace tulle::kubeclient {

namespace {

namespace fs = std::filesystem;
using kube::string_at;

Result<std::string> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return fail(Code::not_found, "cannot read " + path.string());
  return std::move(text).str();
}

// The entry called `name` of a list such as clusters; its part `what` ("cluster").
Result<const boost::json::object*> named(const boost::json::object& config, std::string_view list,
                                         std::string_view name, std::string_view what) {
  for (const auto& entry : kube::array_at(config, list)) {
    const auto& object = kube::object_or_empty(entry);
    if (string_at(object, "name") == name) return &kube::object_at(object, what);
  }
  return fail(Code::invalid_argument,
              std::string(list) + " has no entry called \"" + std::string(name) + "\"");
}

// "X-data" holds base64 in place, "X" names a file.
Result<std::string> data_or_file(const boost::json::object& from, const std::string& field,
                                 const fs::path& folder) {
  const std::string_view data = string_at(from, field + "-data");
  if (!data.empty()) {
    auto decoded = codec::base64_decode(data);
    if (!decoded) return std::move(decoded).error().context(field + "-data");
    return decoded;
  }
  const std::string_view file = string_at(from, field);
  if (file.empty()) return std::string();
  return read_file(folder / file);
}

Result<void> read_server(std::string_view url, Kubeconfig& config) {
  constexpr std::string_view kHttps = "https://";
  constexpr std::string_view kHttp = "http://";
  config.tls = url.starts_with(kHttps);
  if (!config.tls && !url.starts_with(kHttp)) {
    return fail(Code::invalid_argument,
                "cluster.server must begin with https:// or http://: \"" + std::string(url) + "\"");
  }
  url.remove_prefix(config.tls ? kHttps.size() : kHttp.size());
  while (url.ends_with('/')) url.remove_suffix(1);
  auto authority = codec::parse_host_port(url);
  if (!authority) return std::move(authority).error().context("cluster.server");
  config.host = authority->host;
  config.port = authority->port.value_or(config.tls ? 443 : 80);
  return {};
}

Result<Kubeconfig> read_config(const boost::json::object& document, const fs::path& folder) {
  TRY(const auto* context,
      named(document, "contexts", string_at(document, "current-context"), "context"));
  TRY(const auto* cluster, named(document, "clusters", string_at(*context, "cluster"), "cluster"));
  TRY(const auto* user, named(document, "users", string_at(*context, "user"), "user"));
  Kubeconfig config;
  TRY_VOID(read_server(string_at(*cluster, "server"), config));
  config.verify_peer = !kube::bool_at(*cluster, "insecure-skip-tls-verify");
  config.server_name = string_at(*cluster, "tls-server-name");
  TRY(config.ca_pem, data_or_file(*cluster, "certificate-authority", folder));
  TRY(config.client_certificate_pem, data_or_file(*user, "client-certificate", folder));
  TRY(config.client_key_pem, data_or_file(*user, "client-key", folder));
  config.token = string_at(*user, "token");
  if (const auto file = string_at(*user, "tokenFile"); config.token.empty() && !file.empty()) {
    TRY(config.token, read_file(folder / file));
    while (config.token.ends_with('\n')) config.token.pop_back();
  }
  return config;
}

}  // namespace

Result<Kubeconfig> load_kubeconfig(const std::string& path) {
  TRY(const std::string text, read_file(path));
  auto documents = codec::parse_yaml(text);
  if (!documents) return std::move(documents).error().context(path);
  if (documents->size() != 1 || !documents->front().value.is_object()) {
    return fail(Code::malformed, path + ": not a kubeconfig");
  }
  auto config = read_config(documents->front().value.get_object(), fs::path(path).parent_path());
  if (!config) return std::move(config).error().context(path);
  return config;
}

std::string to_text(const Kubeconfig& config, const std::string& name) {
  const bool v6 = config.host.find(':') != std::string::npos;
  std::string text =
      "apiVersion: v1\nkind: Config\ncurrent-context: " + name + "\nclusters:\n- name: " + name +
      "\n  cluster:\n    server: " + (config.tls ? "https://" : "http://") +
      (v6 ? "[" + config.host + "]" : config.host) + ":" + std::to_string(config.port) +
      "\n    certificate-authority-data: " + codec::base64_encode(config.ca_pem) +
      "\ncontexts:\n- name: " + name + "\n  context:\n    cluster: " + name +
      "\n    user: " + name + "\nusers:\n- name: " + name + "\n  user:\n";
  if (!config.client_certificate_pem.empty()) {
    text += "    client-certificate-data: " + codec::base64_encode(config.client_certificate_pem) +
            "\n    client-key-data: " + codec::base64_encode(config.client_key_pem) + "\n";
  }
  if (!config.token.empty()) text += "    token: " + config.token + "\n";
  return text;
}

}  // namespace tulle::kubeclient
