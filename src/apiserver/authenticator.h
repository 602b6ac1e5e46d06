// Who is asking.
#pragma once

#include "apiserver/api.h"
#include "kube/status.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tulle::http {
struct Request;
}

namespace tulle::apiserver {

inline constexpr std::string_view user_admin = "system:admin";

class Authenticator final {
 public:
  struct Options {
    std::vector<std::pair<std::string, User>> tokens = {};  // bearer tokens
    // Whether a connection without TLS is the administrator: for Unix sockets that only he can
    // open.
    bool trust_without_tls = false;
  };

  explicit Authenticator(Options options) : options_(std::move(options)) {}

  // A bearer token, else the certificate of the connection. 401 for neither; 403 for somebody who
  // asks to be seen as another (Impersonate-User) and is not of system:masters.
  kube::ApiResult<User> authenticate(const http::Request& request) const;

 private:
  kube::ApiResult<User> identify(const http::Request& request) const;
  kube::ApiResult<User> by_token(std::string_view token) const;

  const Options options_;
};

}  // namespace tulle::apiserver
