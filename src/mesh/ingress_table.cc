#include "mesh/ingress_table.h"

#include "base/text.h"

#include <algorithm>
#include <array>

namespace tulle::mesh {
namespace {

constexpr std::size_t host_length_max = 255;  // RFC 1035 section 2.3.4

// Lower case, without port and without a dot at the end.
std::string_view normalize_host(std::string_view host, std::array<char, host_length_max>& buffer) {
  std::size_t colon = host.rfind(':');
  bool bracketed = host.ends_with(']');
  if (colon != std::string_view::npos && !bracketed) host = host.substr(0, colon);
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.size() > buffer.size()) return {};
  std::ranges::transform(host, buffer.begin(), [](char c) { return to_lower(c); });
  return {buffer.data(), host.size()};
}

std::string_view without_slashes_at_end(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

}  // namespace

bool IngressTable::add(Rule rule) {
  rule.host = to_lower(rule.host);
  if (rule.path.empty()) rule.path = "/";
  bool wildcard = rule.host.starts_with("*.");
  Paths& paths = rule.host.empty() ? any_host_
                 : wildcard        ? wildcard_hosts_[rule.host.substr(2)]
                                   : exact_hosts_[rule.host];
  bool exact = rule.type == PathType::exact;
  auto& table = exact ? paths.exact : paths.prefix;
  std::string key(exact ? std::string_view(rule.path) : without_slashes_at_end(rule.path));
  bool added = table.try_emplace(std::move(key), std::move(rule)).second;
  rule_count_ += added ? 1 : 0;
  return added;
}

bool IngressTable::set_default(std::string ingress, IngressBackend backend) {
  if (default_) return false;
  default_ = Rule{.ingress = std::move(ingress),
                  .host = {},
                  .path = {},
                  .type = PathType::prefix,
                  .backend = std::move(backend)};
  return true;
}

const IngressTable::Rule* IngressTable::find_path(const Paths& paths, std::string_view path) {
  // An exact path is the longest there can be, so it goes first.
  if (auto found = paths.exact.find(path); found != paths.exact.end()) return &found->second;
  std::string_view prefix = without_slashes_at_end(path);
  while (true) {
    if (auto found = paths.prefix.find(prefix); found != paths.prefix.end()) return &found->second;
    if (prefix.empty()) return nullptr;
    prefix = prefix.substr(0, prefix.rfind('/'));
  }
}

std::optional<IngressMatch> IngressTable::match(std::string_view host,
                                                std::string_view path) const {
  std::array<char, host_length_max> buffer;
  host = normalize_host(host, buffer);
  path = path.substr(0, path.find_first_of("?#"));
  // "*" is the server itself (OPTIONS), and nothing but paths has a rule.
  if (!path.starts_with('/')) path = "/";
  const Rule* rule = nullptr;
  if (auto exact = exact_hosts_.find(host); exact != exact_hosts_.end()) {
    rule = find_path(exact->second, path);
  }
  std::size_t dot = host.find('.');
  if (!rule && dot != std::string_view::npos && dot > 0) {
    auto wildcard = wildcard_hosts_.find(host.substr(dot + 1));
    if (wildcard != wildcard_hosts_.end()) rule = find_path(wildcard->second, path);
  }
  if (!rule) rule = find_path(any_host_, path);
  bool is_default = !rule && default_;
  if (is_default) rule = &*default_;
  if (!rule) return std::nullopt;
  return IngressMatch{.backend = &rule->backend,
                      .ingress = rule->ingress,
                      .path = rule->path,
                      .type = rule->type,
                      .is_default = is_default};
}

}  // namespace tulle::mesh
