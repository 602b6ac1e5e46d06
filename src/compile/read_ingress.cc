#include "compile/facts.h"

#include "base/text.h"
#include "codec/base64.h"
#include "kube/object.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>

namespace tulle::compile {
namespace {

using kube::string_at;

std::optional<mesh::IngressBackend> read_backend(const boost::json::object& backend,
                                                 std::string_view space) {
  std::string_view service = string_at(backend, "service.name");
  if (service.empty()) return std::nullopt;
  std::string_view port_name = string_at(backend, "service.port.name");
  std::int64_t number = kube::integer_at(backend, "service.port.number");
  if (port_name.empty() && (number < 1 || number > 65535)) return std::nullopt;
  return mesh::IngressBackend{
      .service = {.namespace_name = std::string(space), .name = std::string(service)},
      .port_name = std::string(port_name),
      .port_number = static_cast<std::uint16_t>(port_name.empty() ? number : 0)};
}

void read_paths(const boost::json::object& rule, const mesh::ObjectName& ingress,
                IngressFacts& facts, Problems& problems) {
  std::string_view host = string_at(rule, "host");
  for (const boost::json::value& value : kube::array_at(rule, "http.paths")) {
    const boost::json::object& path = kube::object_or_empty(value);
    std::string_view text = string_at(path, "path", "/");
    auto backend = read_backend(kube::object_at(path, "backend"), ingress.namespace_name);
    if (!backend || (!text.empty() && text.front() != '/')) {
      problems.push_back(fmt::format(
          "host \"{}\" path \"{}\": needs an absolute path and a backend that is a service with a "
          "port; left out",
          host, text));
      continue;
    }
    bool exact = string_at(path, "pathType") == "Exact";
    facts.rules.push_back({.ingress = ingress.to_string(),
                           .host = std::string(host),
                           .path = std::string(text),
                           .type = exact ? mesh::PathType::exact : mesh::PathType::prefix,
                           .backend = *std::move(backend)});
  }
}

// Without hosts it is for those of the rules.
void read_tls(const boost::json::object& object, IngressFacts& facts) {
  for (const boost::json::value& value : kube::array_at(object, "spec.tls")) {
    const boost::json::object& entry = kube::object_or_empty(value);
    IngressFacts::Tls tls{.secret = std::string(string_at(entry, "secretName"))};
    for (const boost::json::value& host : kube::array_at(entry, "hosts")) {
      tls.hosts.push_back(to_lower(kube::string_or(host)));
    }
    if (tls.hosts.empty()) {
      for (const auto& rule : facts.rules) tls.hosts.push_back(to_lower(rule.host));
    }
    facts.tls.push_back(std::move(tls));
  }
}

// `stringData` is what a file may say; a stored secret has it in `data`.
std::string decoded(const boost::json::object& object, std::string_view key) {
  const boost::json::object& plain = kube::object_at(object, "stringData");
  if (const auto* text = plain.if_contains(key)) return std::string(kube::string_or(*text));
  const boost::json::object& data = kube::object_at(object, "data");
  const auto* text = data.if_contains(key);
  auto bytes = codec::base64_decode(text != nullptr ? kube::string_or(*text) : "");
  return bytes ? *std::move(bytes) : std::string();
}

std::optional<std::string> read_class(const boost::json::object& object) {
  if (std::string_view name = string_at(object, "spec.ingressClassName"); !name.empty()) {
    return std::string(name);
  }
  std::string_view annotation = kube::annotation_of(object, "kubernetes.io/ingress.class");
  return annotation.empty() ? std::nullopt : std::optional<std::string>(annotation);
}

}  // namespace

IngressFacts read_ingress(const boost::json::object& object, Problems& problems) {
  mesh::ObjectName name = object_name(object);
  IngressFacts facts{.ingress_class = read_class(object),
                     .created = std::string(string_at(object, "metadata.creationTimestamp"))};
  for (const boost::json::value& rule : kube::array_at(object, "spec.rules")) {
    read_paths(kube::object_or_empty(rule), name, facts, problems);
  }
  read_tls(object, facts);
  facts.tls_passthrough = kube::annotation_of(object, tls_passthrough_annotation) == "true";
  if (const auto* backend = kube::find_object(object, "spec.defaultBackend")) {
    facts.default_backend = read_backend(*backend, name.namespace_name);
    if (!facts.default_backend) {
      problems.push_back("the default backend is not a service with a port; left out");
    }
  }
  return facts;
}

std::shared_ptr<const mesh::Certificate> read_certificate(const boost::json::object& object) {
  mesh::Certificate certificate{.secret = object_name(object).to_string(),
                                .chain_pem = decoded(object, "tls.crt"),
                                .private_key_pem = decoded(object, "tls.key")};
  if (certificate.chain_pem.empty() || certificate.private_key_pem.empty()) return nullptr;
  return std::make_shared<const mesh::Certificate>(std::move(certificate));
}

IngressClassFacts read_ingress_class(const boost::json::object& object) {
  constexpr std::string_view is_default = "ingressclass.kubernetes.io/is-default-class";
  return {.is_ours = string_at(object, "spec.controller") == ingress_controller_name ||
                     kube::name_of(object) == ingress_class_name,
          .is_default = kube::annotation_of(object, is_default) == "true"};
}

}  // namespace tulle::compile
