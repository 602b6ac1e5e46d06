#include "apiserver/negotiate.h"

#include "base/text.h"
#include "codec/http_message.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "kube/protobuf.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

namespace {

std::string_view take_piece(std::string_view& text, char separator) {
  return trim(take_until(text, separator));
}

// One entry of an Accept field: its type and the parameters that Kubernetes gives a meaning.
struct MediaType {
  std::string_view type;
  std::string_view as;
  std::string_view version;
  std::string_view group;
};

MediaType parse_media_type(std::string_view text) {
  MediaType media{.type = take_piece(text, ';'), .as = {}, .version = {}, .group = {}};
  while (!text.empty()) {
    std::string_view value = take_piece(text, ';');
    std::string_view name = take_piece(value, '=');
    if (name == "as") media.as = value;
    if (name == "v") media.version = value;
    if (name == "g") media.group = value;
  }
  return media;
}

bool is_json(std::string_view type) {
  return type == "application/json" || type == "*/*" || type == "application/*";
}

const std::vector<std::string>& readable_types() {
  static const std::vector<std::string> types{"application/json", "application/yaml",
                                              "application/vnd.kubernetes.protobuf"};
  return types;
}

const std::vector<std::string>& patch_types() {
  static const std::vector<std::string> types{
      "application/json-patch+json", "application/merge-patch+json",
      "application/strategic-merge-patch+json", "application/apply-patch+yaml"};
  return types;
}

kube::ApiResult<boost::json::value> decode_yaml(std::string_view body,
                                                std::vector<std::string>& duplicate_fields) {
  auto documents = codec::parse_yaml(body);
  if (!documents) {
    return kube::bad_request("error converting YAML to JSON: " + documents.error().message);
  }
  if (documents->size() != 1) {
    return kube::bad_request("the body must hold exactly one YAML document");
  }
  duplicate_fields = std::move(documents->front().duplicate_keys);
  return std::move(documents->front().value);
}

}  // namespace

kube::ApiResult<Representation> negotiate(std::string_view accept) {
  if (trim(accept).empty()) return Representation::object;
  while (!accept.empty()) {
    MediaType media = parse_media_type(take_piece(accept, ','));
    if (!is_json(media.type)) continue;
    if (media.as.empty()) return Representation::object;
    if (media.group != "meta.k8s.io" || media.version != "v1") continue;
    if (media.as == "Table") return Representation::table;
    if (media.as == "PartialObjectMetadata" || media.as == "PartialObjectMetadataList") {
      return Representation::metadata;
    }
  }
  return kube::not_acceptable({"application/json"});
}

kube::ApiResult<PatchType> patch_type(std::string_view content_type) {
  std::string_view type = take_piece(content_type, ';');
  for (std::size_t i = 0; i < patch_types().size(); ++i) {
    if (codec::equals_ignoring_case(type, patch_types()[i])) return static_cast<PatchType>(i);
  }
  return kube::unsupported_media_type(type, patch_types());
}

kube::ApiResult<boost::json::value> decode_body(const kube::Scheme& scheme,
                                                std::string_view content_type,
                                                std::string_view body,
                                                std::vector<std::string>& duplicate_fields) {
  std::string_view type = take_piece(content_type, ';');
  if (type.empty() || type == "application/json" || type.ends_with("+json")) {
    auto value = codec::parse_json(body, {.duplicate_keys = &duplicate_fields});
    if (!value) return kube::bad_request("the body is not valid JSON: " + value.error().message);
    return *std::move(value);
  }
  if (type == "application/yaml" || type.ends_with("+yaml")) {
    return decode_yaml(body, duplicate_fields);
  }
  if (type == "application/vnd.kubernetes.protobuf") {
    auto value = kube::decode_protobuf(scheme, body);
    if (!value) return kube::bad_request("the body cannot be decoded: " + value.error().message);
    return *std::move(value);
  }
  return kube::unsupported_media_type(type, readable_types());
}

}  // namespace tulle::apiserver
