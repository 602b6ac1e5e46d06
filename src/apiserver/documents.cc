#include "apiserver/documents.h"

#include "codec/http_message.h"
#include "codec/json.h"
#include "kube/discovery.h"
#include "kube/openapi.h"

#include <boost/json.hpp>

#include <algorithm>
#include <vector>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

// The version of aggregated discovery that the client prefers; "" for the legacy documents.
std::string_view aggregated_version(std::string_view accept) {
  while (!accept.empty()) {
    auto comma = accept.find(',');
    std::string_view entry = accept.substr(0, comma);
    accept = comma == std::string_view::npos ? std::string_view() : accept.substr(comma + 1);
    bool aggregated = entry.find("as=APIGroupDiscoveryList") != std::string_view::npos;
    if (aggregated && entry.find("v=v2beta1") != std::string_view::npos) return "v2beta1";
    if (aggregated && entry.find("v=v2") != std::string_view::npos) return "v2";
    if (!aggregated && entry.find("json") != std::string_view::npos) return "";
  }
  return "";
}

std::string version_document() {
  json::object version{{"major", "1"},
                       {"minor", "35"},
                       {"emulationMajor", "1"},
                       {"emulationMinor", "35"},
                       {"minCompatibilityMajor", "1"},
                       {"minCompatibilityMinor", "34"},
                       {"gitVersion", "v1.35.0+tulle"},
                       {"gitCommit", ""},
                       {"gitTreeState", "clean"},
                       {"buildDate", "1970-01-01T00:00:00Z"},
                       {"goVersion", ""},
                       {"compiler", "clang"},
                       {"platform", "linux/amd64"}};
  return codec::to_json(version);
}

std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    auto slash = path.find('/');
    if (slash != 0) segments.push_back(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return segments;
}

}  // namespace

std::optional<ApiResponse> Documents::get(const ApiRequest& request) {
  if (request.path == "/version" || request.path == "/version/") {
    return answer(request, find("version", version_document), "application/json");
  }
  if (request.path.starts_with("/openapi/v3")) return openapi(request);
  if (request.path.starts_with("/api")) return discovery(request);
  return std::nullopt;
}

std::optional<ApiResponse> Documents::discovery(const ApiRequest& request) {
  std::vector<std::string_view> segments = segments_of(request.path);
  bool core = segments[0] == "api";
  if (!core && segments[0] != "apis") return std::nullopt;
  std::string_view version = aggregated_version(request.accept);
  if (segments.size() == 1 && !version.empty()) {
    auto document = find("aggregated" + request.path + std::string(version), [&] {
      return core ? kube::aggregated_discovery_core(scheme_, version)
                  : kube::aggregated_discovery_groups(scheme_, version);
    });
    return answer(request, document,
                  "application/json;g=apidiscovery.k8s.io;v=" + std::string(version) +
                      ";as=APIGroupDiscoveryList");
  }
  auto document = find(request.path, [&]() -> std::optional<std::string> {
    if (core) {
      if (segments.size() == 1) return kube::api_versions(server_address_);
      if (segments.size() == 2) return kube::api_resource_list(scheme_, "", segments[1]);
      return std::nullopt;
    }
    if (segments.size() == 1) return kube::api_group_list(scheme_);
    if (segments.size() == 2) return kube::api_group(scheme_, segments[1]);
    if (segments.size() == 3) return kube::api_resource_list(scheme_, segments[1], segments[2]);
    return std::nullopt;
  });
  if (!document) return std::nullopt;
  return answer(request, document, "application/json");
}

std::optional<ApiResponse> Documents::openapi(const ApiRequest& request) {
  constexpr std::string_view root = "/openapi/v3";
  std::string_view path = std::string_view(request.path).substr(root.size());
  while (path.starts_with('/')) path.remove_prefix(1);
  auto document = find(request.path, [&]() -> std::optional<std::string> {
    if (path.empty()) return kube::openapi_index(scheme_);
    return kube::openapi_document(scheme_, path);
  });
  if (!document) return std::nullopt;
  ApiResponse response = answer(request, document, "application/json");
  if (auto hash = request.query.get("hash"); hash && document->etag.contains(*hash)) {
    response.headers.emplace_back("Cache-Control", "public, immutable, max-age=31536000");
  }
  return response;
}

Documents::DocumentPtr Documents::find(const std::string& name, const Make& make) {
  if (made_of_ != scheme_.revision()) {
    made_.clear();
    made_of_ = scheme_.revision();
  }
  auto found = made_.find(name);
  if (found != made_.end()) return found->second;
  std::optional<std::string> text = make();
  // What does not exist is not kept: paths are the client's, and without number.
  if (!text) return nullptr;
  std::string etag = "\"" + kube::openapi_hash(*text) + "\"";
  auto document = std::make_shared<const Document>(std::move(*text), std::move(etag));
  return made_[name] = document;
}

ApiResponse Documents::answer(const ApiRequest& request, DocumentPtr document,
                              std::string content_type) {
  ApiResponse response{.content_type = std::move(content_type)};
  response.headers = {{"ETag", document->etag}, {"Vary", "Accept"}};
  if (request.if_none_match == document->etag) {
    response.status = 304;
    return response;
  }
  std::string_view text = document->text;
  response.body.append_shared(std::move(document), text);
  return response;
}

}  // namespace tulle::apiserver
