// Where a probe's httpGet goes, and where the answer may lead it. Pure.
#pragma once

#include "base/address.h"

#include <optional>
#include <string>
#include <string_view>

namespace tulle::node {

struct HttpPlace {
  SocketAddress to = {};
  bool tls = false;
  std::string target = "/";

  friend bool operator==(const HttpPlace&, const HttpPlace&) = default;
};

// Where `location`, of an answer of `from`, leads (RFC 9110 §10.2.2), if that is the same host.
// Nothing for others: they are not asked how the container is.
std::optional<HttpPlace> redirected(const HttpPlace& from, std::string_view location);

}  // namespace tulle::node
