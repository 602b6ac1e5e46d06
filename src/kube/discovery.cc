#include "kube/discovery.h"

#include <boost/json.hpp>

#include <algorithm>

namespace json = boost::json;

namespace tulle::kube {
namespace {

json::array strings(const std::vector<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

json::object group_version_kind(std::string_view group, std::string_view version,
                                std::string_view kind) {
  return {{"group", group}, {"version", version}, {"kind", kind}};
}

// apidiscovery.k8s.io/v2 APIResourceDiscovery.
json::object aggregated_resource(const KindDefinition& kind) {
  json::object resource{{"resource", kind.plural},
                        {"responseKind", group_version_kind(kind.group, kind.version, kind.kind)},
                        {"scope", kind.namespaced ? "Namespaced" : "Cluster"},
                        {"singularResource", kind.singular},
                        {"verbs", strings(kind.verbs)}};
  if (!kind.short_names.empty()) resource["shortNames"] = strings(kind.short_names);
  if (!kind.categories.empty()) resource["categories"] = strings(kind.categories);
  if (kind.subresources.empty()) return resource;
  json::array& subresources = resource["subresources"].emplace_array();
  for (const Subresource& each : kind.subresources) {
    subresources.push_back(
        json::object{{"subresource", each.name},
                     {"responseKind", group_version_kind(each.group, each.version, each.kind)},
                     {"verbs", strings(each.verbs)}});
  }
  return resource;
}

// One APIGroupDiscovery per group that `wanted` takes, its versions in the scheme's order.
template <class Wanted>
std::string aggregated(const Scheme& scheme, std::string_view list_version, Wanted wanted) {
  json::array items;
  std::vector<std::string> groups;
  for (const auto& [group, version] : scheme.group_versions()) {
    if (!wanted(group)) continue;
    auto known = std::ranges::find(groups, group);
    auto index = static_cast<std::size_t>(known - groups.begin());
    if (known == groups.end()) {
      groups.push_back(group);
      json::object metadata;
      if (!group.empty()) metadata["name"] = group;
      items.push_back(json::object{{"metadata", metadata}, {"versions", json::array()}});
    }
    json::array resources;
    for (const KindRef& kind : scheme.kinds()) {
      if (kind->group == group && kind->version == version) {
        resources.push_back(aggregated_resource(*kind));
      }
    }
    items[index].get_object()["versions"].get_array().push_back(json::object{
        {"version", version}, {"resources", std::move(resources)}, {"freshness", "Current"}});
  }
  return json::serialize(
      json::object{{"kind", "APIGroupDiscoveryList"},
                   {"apiVersion", "apidiscovery.k8s.io/" + std::string(list_version)},
                   {"metadata", json::object()},
                   {"items", std::move(items)}});
}

json::object legacy_group(const Scheme& scheme, std::string_view group) {
  json::array versions;
  for (const auto& [name, version] : scheme.group_versions()) {
    if (name != group) continue;
    versions.push_back(json::object{{"groupVersion", name + "/" + version}, {"version", version}});
  }
  json::value preferred = versions.empty() ? json::value(json::object()) : versions[0];
  return {{"name", group}, {"versions", std::move(versions)}, {"preferredVersion", preferred}};
}

void append_legacy_resource(json::array& resources, const KindDefinition& kind) {
  json::object resource{{"name", kind.plural},
                        {"singularName", kind.singular},
                        {"namespaced", kind.namespaced},
                        {"kind", kind.kind},
                        {"verbs", strings(kind.verbs)}};
  if (!kind.short_names.empty()) resource["shortNames"] = strings(kind.short_names);
  if (!kind.categories.empty()) resource["categories"] = strings(kind.categories);
  resources.push_back(std::move(resource));
  for (const Subresource& each : kind.subresources) {
    json::object subresource{{"name", kind.plural + "/" + each.name},
                             {"singularName", ""},
                             {"namespaced", kind.namespaced},
                             {"kind", each.kind},
                             {"verbs", strings(each.verbs)}};
    if (each.group != kind.group || each.version != kind.version) {
      subresource["group"] = each.group;
      subresource["version"] = each.version;
    }
    resources.push_back(std::move(subresource));
  }
}

}  // namespace

std::string aggregated_discovery_core(const Scheme& scheme, std::string_view version) {
  return aggregated(scheme, version, [](std::string_view group) { return group.empty(); });
}

std::string aggregated_discovery_groups(const Scheme& scheme, std::string_view version) {
  return aggregated(scheme, version, [](std::string_view group) { return !group.empty(); });
}

std::string api_versions(std::string_view server_address) {
  json::array addresses{
      json::object{{"clientCIDR", "0.0.0.0/0"}, {"serverAddress", server_address}}};
  return json::serialize(json::object{{"kind", "APIVersions"},
                                      {"versions", json::array{"v1"}},
                                      {"serverAddressByClientCIDRs", std::move(addresses)}});
}

std::string api_group_list(const Scheme& scheme) {
  json::array groups;
  for (const auto& [group, version] : scheme.group_versions()) {
    bool seen = std::ranges::any_of(groups, [&](const json::value& each) {
      return each.get_object().at("name").get_string() == group;
    });
    if (!group.empty() && !seen) groups.push_back(legacy_group(scheme, group));
  }
  return json::serialize(
      json::object{{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}});
}

std::optional<std::string> api_group(const Scheme& scheme, std::string_view group) {
  json::object found = legacy_group(scheme, group);
  if (group.empty() || found["versions"].get_array().empty()) return std::nullopt;
  json::object document{{"kind", "APIGroup"}, {"apiVersion", "v1"}};
  for (auto& [key, value] : found) document[key] = std::move(value);
  return json::serialize(document);
}

std::optional<std::string> api_resource_list(const Scheme& scheme, std::string_view group,
                                             std::string_view version) {
  json::array resources;
  std::string group_version;
  for (const KindRef& kind : scheme.kinds()) {
    if (kind->group != group || kind->version != version) continue;
    group_version = kind->api_version();
    append_legacy_resource(resources, *kind);
  }
  if (resources.empty()) return std::nullopt;
  return json::serialize(json::object{{"kind", "APIResourceList"},
                                      {"apiVersion", "v1"},
                                      {"groupVersion", group_version},
                                      {"resources", std::move(resources)}});
}

}  // namespace tulle::kube
