#include "apiserver/context.h"

#include "codec/json.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

ApiResponse json_response(int status, const boost::json::object& document) {
  return json_response(status, codec::to_json(document) + "\n");
}

ApiResponse json_response(int status, std::string text) {
  return {.status = status, .body = Body(std::move(text))};
}

ApiResponse failure_response(const kube::ApiStatus& status) {
  ApiResponse response = json_response(status.code, kube::to_text(status));
  if (status.retry_after_seconds > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(status.retry_after_seconds));
  }
  return response;
}

std::pair<std::string, std::string> warning_header(std::string_view text) {
  std::string quoted = "299 - \"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return {"Warning", quoted + "\""};
}

}  // namespace tulle::apiserver
