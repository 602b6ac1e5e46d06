// A request to the API and its answer, whoever carried them: HTTP or a caller in this process.
#pragma once

#include "codec/url.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tulle::apiserver {

struct User {
  std::string name;
  std::vector<std::string> groups;
  std::string uid = {};
};

// The names of upstream's own identities.
inline constexpr std::string_view group_masters = "system:masters";
inline constexpr std::string_view group_authenticated = "system:authenticated";

struct ApiRequest {
  std::string method;  // GET, POST, PUT, PATCH, DELETE
  std::string path;    // decoded: "/api/v1/namespaces/default/pods/web"
  codec::Query query = {};
  std::string content_type = {};  // of the body; empty is JSON
  std::string accept = {};        // empty is JSON
  std::string if_none_match = {};
  std::string user_agent = {};
  std::string body = {};
  User user = {};
};

// Bytes that are sent one after the other: texts of their own and stored values, shared.
class Body final {
 public:
  Body() = default;
  Body(std::string text) { append(std::move(text)); }

  void append(std::string text);
  // `bytes` are within what `owner` keeps alive.
  void append_shared(std::shared_ptr<const void> owner, std::string_view bytes);

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const std::vector<std::string_view>& pieces() const { return pieces_; }
  std::string to_string() const;

 private:
  std::vector<std::shared_ptr<const void>> owners_;
  std::vector<std::string_view> pieces_;
  std::size_t size_ = 0;
};

struct ApiResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};  // beyond Content-Type
  Body body = {};
};

}  // namespace tulle::apiserver
