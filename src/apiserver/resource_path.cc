#include "apiserver/resource_path.h"

#include <algorithm>
#include <span>
#include <vector>

namespace tulle::apiserver {

namespace {

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    auto slash = path.find('/');
    std::string_view segment = path.substr(0, slash);
    if (!segment.empty()) segments.push_back(segment);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return segments;
}

bool is_subresource_of_namespaces(std::string_view segment) {
  return segment == "status" || segment == "finalize";
}

}  // namespace

std::optional<ResourcePath> parse_resource_path(std::string_view path) {
  std::vector<std::string_view> segments = split(path);
  std::span<std::string_view> rest(segments);
  ResourcePath parsed;
  if (rest.size() >= 3 && rest[0] == "api") {
    parsed.version = rest[1];
    rest = rest.subspan(2);
  } else if (rest.size() >= 4 && rest[0] == "apis") {
    parsed.group = rest[1];
    parsed.version = rest[2];
    rest = rest.subspan(3);
  } else {
    return std::nullopt;
  }
  bool is_namespace_itself =
      parsed.group.empty() &&
      (rest.size() == 2 || (rest.size() == 3 && is_subresource_of_namespaces(rest[2])));
  if (rest[0] == "namespaces" && rest.size() > 1 && !is_namespace_itself) {
    parsed.namespace_ = rest[1];
    rest = rest.subspan(2);
  }
  if (rest.empty() || rest.size() > 3) return std::nullopt;
  parsed.resource = rest[0];
  if (rest.size() > 1) parsed.name = rest[1];
  if (rest.size() > 2) parsed.subresource = rest[2];
  return parsed;
}

}  // namespace tulle::apiserver
