#include "node/http_place.h"

#include "codec/url.h"

namespace tulle::node {

namespace {

std::optional<HttpPlace> at_authority(const HttpPlace& from, std::string_view url, bool tls) {
  const codec::Target parts = codec::split_target(url);
  const auto authority = codec::parse_host_port(parts.authority);
  if (!authority || authority->host != from.to.ip.to_string()) return std::nullopt;
  HttpPlace place{.to = {.ip = from.to.ip, .port = authority->port.value_or(tls ? 443 : 80)},
                  .tls = tls,
                  .target = std::string(parts.path)};
  if (parts.has_query) place.target.append("?").append(parts.query);
  return place;
}

}  // namespace

std::optional<HttpPlace> redirected(const HttpPlace& from, std::string_view location) {
  location = location.substr(0, location.find('#'));
  if (location.empty()) return std::nullopt;
  if (location.starts_with("http://")) return at_authority(from, location, false);
  if (location.starts_with("https://")) return at_authority(from, location, true);
  if (location.starts_with("//")) {
    const std::string url = (from.tls ? "https:" : "http:") + std::string(location);
    return at_authority(from, url, from.tls);
  }
  HttpPlace place = from;
  if (location.starts_with('/')) {
    place.target = location;
  } else {
    // Beside the path that was asked for.
    const std::size_t path_end = std::min(from.target.find('?'), from.target.size());
    place.target.resize(from.target.rfind('/', path_end) + 1);
    place.target += location;
  }
  return place;
}

}  // namespace tulle::node
