// What the server says about itself: discovery, OpenAPI, version. Made from the scheme when first
// asked for, kept until the scheme changes.
#pragma once

#include "apiserver/api.h"
#include "kube/scheme.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tulle::apiserver {

class Documents final {
 public:
  // `scheme` must outlive it. `server_address` is "host:port", as clients reach the server.
  Documents(const kube::Scheme& scheme, std::string server_address)
      : scheme_(scheme), server_address_(std::move(server_address)) {}

  // The answer to a GET, or nothing where the path is not one of these documents.
  std::optional<ApiResponse> get(const ApiRequest& request);

 private:
  struct Document {
    std::string text;
    std::string etag;  // with its quotes
  };
  using DocumentPtr = std::shared_ptr<const Document>;
  using Make = std::function<std::optional<std::string>()>;

  std::optional<ApiResponse> discovery(const ApiRequest& request);
  std::optional<ApiResponse> openapi(const ApiRequest& request);
  // Null where there is no such document.
  DocumentPtr find(const std::string& name, const Make& make);
  static ApiResponse answer(const ApiRequest& request, DocumentPtr document,
                            std::string content_type);

  const kube::Scheme& scheme_;
  const std::string server_address_;
  std::map<std::string, DocumentPtr> made_;
  std::uint64_t made_of_ = 0;  // the scheme's revision
};

}  // namespace tulle::apiserver
