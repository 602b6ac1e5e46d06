// Where a request points: /apis/{group}/{version}/namespaces/{namespace}/{resource}/{name}/{sub}.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tulle::apiserver {

struct ResourcePath {
  std::string group;  // "" for /api
  std::string version;
  std::string namespace_;  // "" for cluster scope, and for all namespaces
  std::string resource;
  std::string name;         // "" for the collection
  std::string subresource;  // "" for the object itself

  friend bool operator==(const ResourcePath&, const ResourcePath&) = default;
};

// Nothing for a path that cannot be a resource's.
std::optional<ResourcePath> parse_resource_path(std::string_view path);

}  // namespace tulle::apiserver
