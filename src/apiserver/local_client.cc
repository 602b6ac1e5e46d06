#include "apiserver/local_client.h"

#include "codec/json.h"
#include "codec/url.h"
#include "kube/object.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

namespace json = boost::json;

using kubeclient::ObjectKey;
using kubeclient::ObjectPtr;
using kubeclient::Resource;
using kubeclient::resource_path;

namespace {

std::string query_text(const kubeclient::ListOptions& options) {
  std::string text;
  if (!options.label_selector.empty()) {
    text += "&labelSelector=" + codec::percent_encode(options.label_selector);
  }
  if (!options.field_selector.empty()) {
    text += "&fieldSelector=" + codec::percent_encode(options.field_selector);
  }
  return text;
}

std::string_view content_type(kubeclient::PatchType type) {
  switch (type) {
    case kubeclient::PatchType::json: return "application/json-patch+json";
    case kubeclient::PatchType::merge: return "application/merge-patch+json";
    case kubeclient::PatchType::strategic: return "application/strategic-merge-patch+json";
  }
  return "";
}

json::object delete_options(const kubeclient::DeleteOptions& options) {
  json::object document{{"kind", "DeleteOptions"}, {"apiVersion", "v1"}};
  if (options.grace_period_seconds) document["gracePeriodSeconds"] = *options.grace_period_seconds;
  if (!options.propagation_policy.empty()) {
    document["propagationPolicy"] = options.propagation_policy;
  }
  json::object preconditions;
  if (!options.uid.empty()) preconditions["uid"] = options.uid;
  if (!options.resource_version.empty()) {
    preconditions["resourceVersion"] = options.resource_version;
  }
  if (!preconditions.empty()) document["preconditions"] = std::move(preconditions);
  return document;
}

// Items of a list carry their kind also where the server leaves it out.
kubeclient::List read_list(const Resource& resource, json::object document) {
  kubeclient::List list{.items = {},
                        .resource_version = std::string(kube::resource_version_of(document))};
  json::array* items = kube::find_array(document, "items");
  if (items == nullptr) return list;
  std::string api_version(resource.version);
  if (!resource.group.empty()) api_version = std::string(resource.group) + "/" + api_version;
  for (json::value& item : *items) {
    if (!item.is_object()) continue;
    auto object = std::make_shared<json::object>(std::move(item.get_object()));
    if (!object->contains("kind")) (*object)["kind"] = resource.kind;
    if (!object->contains("apiVersion")) (*object)["apiVersion"] = api_version;
    list.items.push_back(std::move(object));
  }
  return list;
}

}  // namespace

ApiRequest LocalClient::request(std::string method, std::string path, std::string body) const {
  ApiRequest made{.method = std::move(method), .path = std::move(path)};
  made.body = std::move(body);
  made.user = user_;
  made.user_agent = user_.name;
  return made;
}

rt::Task<kube::ApiResult<json::object>> LocalClient::answer(ApiRequest request) {
  ApiResponse response = co_await api_.call(std::move(request));
  auto document = codec::parse_json(response.body.to_string());
  if (!document || !document->is_object()) {
    co_return kube::internal_error("the answer is not a JSON object");
  }
  json::object& object = document->get_object();
  if (response.status >= 400) co_return kube::parse_status(object, response.status);
  co_return std::move(object);
}

rt::Task<kube::ApiResult<ObjectPtr>> LocalClient::object(ApiRequest request) {
  CO_TRY(json::object document, co_await answer(std::move(request)));
  co_return std::make_shared<const json::object>(std::move(document));
}

rt::Task<kube::ApiResult<ObjectPtr>> LocalClient::get(Resource resource, ObjectKey key) {
  return object(request("GET", resource_path(resource, key.namespace_, key.name)));
}

rt::Task<kube::ApiResult<kubeclient::List>> LocalClient::list(Resource resource,
                                                              kubeclient::ListOptions options) {
  ApiRequest asked = request("GET", resource_path(resource, options.namespace_));
  CO_TRY(asked.query, codec::Query::parse(query_text(options)));
  CO_TRY(json::object document, co_await answer(std::move(asked)));
  co_return read_list(resource, std::move(document));
}

rt::Task<kube::ApiResult<std::unique_ptr<kubeclient::Watch>>> LocalClient::watch(
    Resource resource, kubeclient::ListOptions options, std::string resource_version) {
  ApiRequest asked = request("GET", resource_path(resource, options.namespace_));
  CO_TRY(asked.query, codec::Query::parse("watch=true&allowWatchBookmarks=true&resourceVersion=" +
                                          resource_version + query_text(options)));
  co_return api_.watch(asked);
}

rt::Task<kube::ApiResult<ObjectPtr>> LocalClient::create(Resource resource, json::object document) {
  std::string path = resource_path(resource, kube::namespace_of(document));
  return object(request("POST", std::move(path), codec::to_json(document)));
}

rt::Task<kube::ApiResult<ObjectPtr>> LocalClient::update(Resource resource, json::object document,
                                                         std::string subresource) {
  std::string path =
      resource_path(resource, kube::namespace_of(document), kube::name_of(document), subresource);
  return object(request("PUT", std::move(path), codec::to_json(document)));
}

rt::Task<kube::ApiResult<ObjectPtr>> LocalClient::patch(Resource resource, ObjectKey key,
                                                        kubeclient::PatchType type,
                                                        json::value patch,
                                                        std::string subresource) {
  ApiRequest asked =
      request("PATCH", resource_path(resource, key.namespace_, key.name, subresource),
              codec::to_json(patch));
  asked.content_type = content_type(type);
  return object(std::move(asked));
}

rt::Task<kube::ApiResult<void>> LocalClient::remove(Resource resource, ObjectKey key,
                                                    kubeclient::DeleteOptions options) {
  std::string path = resource_path(resource, key.namespace_, key.name);
  CO_TRY_VOID(
      co_await answer(request("DELETE", std::move(path), codec::to_json(delete_options(options)))));
  co_return kube::ApiResult<void>();
}

}  // namespace tulle::apiserver
