#include "codec/url.h"
#include "kubeclient/client.h"

namespace tulle::kubeclient {

std::string resource_path(const Resource& resource, std::string_view namespace_,
                          std::string_view name, std::string_view subresource) {
  std::string path =
      resource.group.empty() ? "/api/" : "/apis/" + std::string(resource.group) + "/";
  path += resource.version;
  if (resource.namespaced && !namespace_.empty()) {
    path += "/namespaces/" + codec::percent_encode(namespace_);
  }
  path.append("/").append(resource.plural);
  if (!name.empty()) path += "/" + codec::percent_encode(name);
  if (!subresource.empty()) path.append("/").append(subresource);
  return path;
}

}  // namespace tulle::kubeclient
