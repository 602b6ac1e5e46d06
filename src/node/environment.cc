#include "node/environment.h"

#include "base/format.h"
#include "base/text.h"
#include "codec/base64.h"
#include "kube/object.h"
#include "kube/storage.h"
#include "node/downward.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;

void note(std::set<std::string>& names, const json::object& object, std::string_view path) {
  const std::string_view name = string_at(object, path);
  if (!name.empty()) names.emplace(name);
}

void note_container(const json::object& container, ReferenceNames& names) {
  for (const json::value& each : kube::array_at(container, "env")) {
    const json::object& variable = kube::object_or_empty(each);
    note(names.config_maps, variable, "valueFrom.configMapKeyRef.name");
    note(names.secrets, variable, "valueFrom.secretKeyRef.name");
  }
  for (const json::value& each : kube::array_at(container, "envFrom")) {
    note(names.config_maps, kube::object_or_empty(each), "configMapRef.name");
    note(names.secrets, kube::object_or_empty(each), "secretRef.name");
  }
}

// HELLO_WORLD of hello-world.
std::string variable_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '-' || c == '.') {
      out += '_';
    } else {
      out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
  }
  return out;
}

void add_service(const json::object& service, Environment& environment) {
  const std::string_view address = string_at(service, "spec.clusterIP");
  const json::array& ports = kube::array_at(service, "spec.ports");
  if (address.empty() || address == "None" || ports.empty()) return;
  const std::string prefix = variable_name(kube::name_of(service));
  environment.set(prefix + "_SERVICE_HOST", std::string(address));
  bool first = true;
  for (const json::value& each : ports) {
    const json::object& port = kube::object_or_empty(each);
    const std::string number = std::to_string(kube::integer_at(port, "port"));
    std::string protocol(string_at(port, "protocol", "TCP"));
    if (first) environment.set(prefix + "_SERVICE_PORT", number);
    const std::string_view name = string_at(port, "name");
    if (!name.empty()) environment.set(prefix + "_SERVICE_PORT_" + variable_name(name), number);
    const std::string lower = to_lower(protocol);
    const std::string url = fmt::format("{}://{}:{}", lower, address, number);
    if (first) environment.set(prefix + "_PORT", url);
    const std::string link = fmt::format("{}_PORT_{}_{}", prefix, number, protocol);
    environment.set(link, url);
    environment.set(link + "_PROTO", lower);
    environment.set(link + "_PORT", number);
    environment.set(link + "_ADDR", std::string(address));
    first = false;
  }
}

// The object of a reference; null when it is missing but optional.
Result<kubeclient::ObjectPtr> referred(const std::map<std::string, kubeclient::ObjectPtr>& objects,
                                       std::string_view kind, const json::object& reference) {
  const std::string name(string_at(reference, "name"));
  const auto found = objects.find(name);
  if (found != objects.end() && found->second) return found->second;
  if (kube::bool_at(reference, "optional")) return kubeclient::ObjectPtr();
  return failf(Code::not_found, "{} \"{}\" not found", kind, name);
}

Result<std::optional<std::string>> key_value(
    const std::map<std::string, kubeclient::ObjectPtr>& objects, std::string_view kind,
    const json::object& reference) {
  TRY(const kubeclient::ObjectPtr object, referred(objects, kind, reference));
  if (!object) return std::optional<std::string>();
  const std::string_view key = string_at(reference, "key");
  auto value = read_key(*object, key);
  if (value) return std::optional<std::string>(*std::move(value));
  if (value.error().code == Code::not_found && kube::bool_at(reference, "optional")) {
    return std::optional<std::string>();
  }
  return std::move(value).error();
}

// The value of `valueFrom`; nothing for an optional one that is missing.
Result<std::optional<std::string>> value_from(const json::object& container,
                                              const json::object& from,
                                              const EnvironmentSources& sources) {
  if (const json::object* field = kube::find_object(from, "fieldRef")) {
    TRY(std::string value, field_value(sources, string_at(*field, "fieldPath")));
    return std::optional(std::move(value));
  }
  if (const json::object* key = kube::find_object(from, "configMapKeyRef")) {
    return key_value(sources.references.config_maps, "configmap", *key);
  }
  if (const json::object* key = kube::find_object(from, "secretKeyRef")) {
    return key_value(sources.references.secrets, "secret", *key);
  }
  if (const json::object* resource = kube::find_object(from, "resourceFieldRef")) {
    TRY(std::string value, resource_value(sources, container, *resource));
    return std::optional(std::move(value));
  }
  return fail(Code::unsupported, "this kind of valueFrom is not supported");
}

Result<void> add_env_from(const json::object& from, const EnvironmentSources& sources,
                          Environment& environment) {
  const bool is_map = from.contains("configMapRef");
  const json::object& reference = kube::object_at(from, is_map ? "configMapRef" : "secretRef");
  TRY(const kubeclient::ObjectPtr object,
      is_map ? referred(sources.references.config_maps, "configmap", reference)
             : referred(sources.references.secrets, "secret", reference));
  if (!object) return {};
  TRY(const auto values, read_keys(*object));
  const std::string prefix(string_at(from, "prefix"));
  for (const auto& [key, value] : values) environment.set(prefix + key, value);
  return {};
}

}  // namespace

void Environment::set(std::string name, std::string value) {
  for (auto& [known, old] : variables_) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  variables_.emplace_back(std::move(name), std::move(value));
}

std::string_view Environment::get(std::string_view name) const {
  for (const auto& [known, value] : variables_) {
    if (known == name) return value;
  }
  return {};
}

bool Environment::contains(std::string_view name) const {
  return std::ranges::any_of(variables_, [name](const auto& each) { return each.first == name; });
}

std::vector<std::string> Environment::assignments() const {
  std::vector<std::string> out;
  out.reserve(variables_.size());
  for (const auto& [name, value] : variables_) out.push_back(fmt::format("{}={}", name, value));
  return out;
}

std::string expand(std::string_view text, const Environment& variables) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '$' || at + 1 == text.size()) {
      out += text[at];
      continue;
    }
    if (text[at + 1] == '$') {
      out += '$';
      ++at;
      continue;
    }
    const std::size_t end = text[at + 1] == '(' ? text.find(')', at) : std::string_view::npos;
    if (end == std::string_view::npos) {
      out += '$';
      continue;
    }
    const std::string_view name = text.substr(at + 2, end - at - 2);
    out += variables.contains(name) ? variables.get(name) : text.substr(at, end - at + 1);
    at = end;
  }
  return out;
}

ReferenceNames references_of_volumes(const json::object& pod) {
  ReferenceNames names;
  for (const json::value& each : kube::array_at(pod, "spec.volumes")) {
    const json::object& volume = kube::object_or_empty(each);
    note(names.config_maps, volume, "configMap.name");
    note(names.secrets, volume, "secret.secretName");
    std::string claim = kube::claim_name(volume, kube::name_of(pod));
    if (!claim.empty()) names.claims.insert(std::move(claim));
    for (const json::value& source : kube::array_at(volume, "projected.sources")) {
      note(names.config_maps, kube::object_or_empty(source), "configMap.name");
      note(names.secrets, kube::object_or_empty(source), "secret.name");
    }
  }
  return names;
}

ReferenceNames references_of(const json::object& pod) {
  ReferenceNames names = references_of_volumes(pod);
  for (const std::string_view list :
       {"spec.initContainers", "spec.containers", "spec.ephemeralContainers"}) {
    for (const json::value& each : kube::array_at(pod, list)) {
      note_container(kube::object_or_empty(each), names);
    }
  }
  return names;
}

Result<std::string> read_key(const json::object& object, std::string_view key) {
  const bool secret = kube::kind_of(object) == "Secret";
  if (const json::value* value = kube::object_at(object, "data").if_contains(key)) {
    const std::string_view text = kube::string_or(*value);
    return secret ? codec::base64_decode(text) : Result<std::string>(std::string(text));
  }
  if (const json::value* value = kube::object_at(object, "binaryData").if_contains(key)) {
    return codec::base64_decode(kube::string_or(*value));
  }
  return failf(Code::not_found, "couldn't find key {} in {} {}/{}", key,
               secret ? "Secret" : "ConfigMap", kube::namespace_of(object), kube::name_of(object));
}

Result<std::map<std::string, std::string>> read_keys(const json::object& object) {
  std::map<std::string, std::string> out;
  for (const std::string_view field : {"data", "binaryData"}) {
    for (const auto& member : kube::object_at(object, field)) {
      TRY(out[std::string(member.key())], read_key(object, member.key()));
    }
  }
  return out;
}

void add_service_variables(const std::vector<kubeclient::ObjectPtr>& services,
                           Environment& environment) {
  for (const kubeclient::ObjectPtr& service : services) add_service(*service, environment);
}

Result<Environment> make_environment(const json::object& container,
                                     const std::vector<std::string>& image_variables,
                                     const EnvironmentSources& sources) {
  Environment environment;
  environment.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  environment.set("HOSTNAME", std::string(kube::name_of(sources.pod)));
  for (const std::string& assignment : image_variables) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos) continue;
    environment.set(assignment.substr(0, equals), assignment.substr(equals + 1));
  }
  add_service_variables(sources.services, environment);
  for (const json::value& each : kube::array_at(container, "envFrom")) {
    TRY_VOID(add_env_from(kube::object_or_empty(each), sources, environment));
  }
  for (const json::value& each : kube::array_at(container, "env")) {
    const json::object& variable = kube::object_or_empty(each);
    std::string name(string_at(variable, "name"));
    if (const json::object* from = kube::find_object(variable, "valueFrom")) {
      TRY(auto value, value_from(container, *from, sources));
      if (value) environment.set(std::move(name), *std::move(value));
    } else {
      environment.set(std::move(name), expand(string_at(variable, "value"), environment));
    }
  }
  return environment;
}

}  // namespace tulle::node
