#include "kubeclient/http_client.h"

#include "codec/json.h"
#include "codec/url.h"
#include "kube/object.h"

#include <boost/json.hpp>

namespace tulle::kubeclient {

namespace {

using kube::ApiResult;

constexpr std::size_t kEventBytesMax = 8 * 1024 * 1024;
// The server ends a watch after this long; the next one goes on where it ended.
constexpr int kWatchSeconds = 540;

std::string query_of(const ListOptions& options) {
  std::string query;
  const auto add = [&query](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    query.append(query.empty() ? "?" : "&").append(name).append("=");
    query.append(codec::percent_encode(value));
  };
  add("labelSelector", options.label_selector);
  add("fieldSelector", options.field_selector);
  return query;
}

ApiResult<boost::json::object> parse_object(std::string_view body) {
  TRY(auto value, codec::parse_json(body));
  auto* object = value.if_object();
  if (object == nullptr) return kube::internal_error("the server's answer is no JSON object");
  return std::move(*object);
}

kube::ApiStatus status_of(int code, std::string_view body) {
  const auto document = parse_object(body);
  return kube::parse_status(document ? *document : boost::json::object(), code);
}

// Items of a typed list carry neither apiVersion nor kind: they follow from the list's own.
ObjectPtr take_item(boost::json::value& item, const Resource& resource) {
  auto object = std::make_shared<boost::json::object>(std::move(item.get_object()));
  if (!object->contains("kind")) {
    object->emplace("kind", resource.kind);
    const std::string group(resource.group);
    object->emplace("apiVersion", group.empty() ? std::string(resource.version)
                                                : group + "/" + std::string(resource.version));
  }
  return object;
}

// One JSON document per line.
class HttpWatch final : public Watch {
 public:
  explicit HttpWatch(http::StreamedResponse response) : response_(std::move(response)) {}

  rt::Task<ApiResult<WatchEvent>> next() override {
    for (;;) {
      const std::size_t end = buffer_.find('\n', scanned_);
      if (end != std::string::npos) {
        auto event = parse_event(std::string_view(buffer_).substr(0, end));
        buffer_.erase(0, end + 1);
        scanned_ = 0;
        co_return event;
      }
      scanned_ = buffer_.size();
      if (buffer_.size() > kEventBytesMax) {
        co_return kube::internal_error("a watch event is larger than 8 MiB");
      }
      CO_TRY(const std::string_view piece, co_await response_.body().read());
      if (piece.empty()) co_return kube::timeout("the server ended the watch");
      buffer_.append(piece);
    }
  }

 private:
  static ApiResult<WatchEvent> parse_event(std::string_view line) {
    TRY(const auto document, parse_object(line));
    const std::string_view type = kube::string_at(document, "type");
    const auto& object = kube::object_at(document, "object");
    if (type == "ERROR") return kube::parse_status(object, 500);
    WatchEvent event{.type = WatchType::added,
                     .object = std::make_shared<const boost::json::object>(object)};
    if (type == "MODIFIED") event.type = WatchType::modified;
    if (type == "DELETED") event.type = WatchType::deleted;
    if (type == "BOOKMARK") event.type = WatchType::bookmark;
    return event;
  }

  http::StreamedResponse response_;
  std::string buffer_;
  std::size_t scanned_ = 0;
};

std::string_view content_type_of(PatchType type) {
  switch (type) {
    case PatchType::json: return "application/json-patch+json";
    case PatchType::merge: return "application/merge-patch+json";
    case PatchType::strategic: return "application/strategic-merge-patch+json";
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<HttpClient>> HttpClient::create(rt::Loop& loop, net::Network& network,
                                                       const Kubeconfig& config) {
  const std::string host = config.host == "localhost" ? "127.0.0.1" : config.host;
  auto ip = IpAddress::parse(host);
  if (!ip) return fail(Code::invalid_argument, "cluster.server must be an IP address: " + host);
  http::Client::Options options;
  options.address = {.ip = *ip, .port = config.port};
  options.server_name = config.server_name.empty() ? config.host : config.server_name;
  options.pool.idle_per_key_max = 8;
  if (config.tls) {
    TRY(options.tls,
        net::TlsContext::client({.ca_pem = config.ca_pem,
                                 .certificate_chain_pem = config.client_certificate_pem,
                                 .private_key_pem = config.client_key_pem,
                                 .verify_peer = config.verify_peer}));
  }
  return std::unique_ptr<HttpClient>(
      new HttpClient(loop, network, std::move(options), config.token));
}

HttpClient::HttpClient(rt::Loop& loop, net::Network& network, http::Client::Options options,
                       std::string token)
    : http_(loop, network, std::move(options)), token_(std::move(token)) {}

codec::RequestHead HttpClient::head(std::string method, std::string target,
                                    std::string_view content_type) const {
  codec::RequestHead head{.method = std::move(method), .target = std::move(target)};
  head.headers.append("Accept", "application/json");
  head.headers.append("User-Agent", "tulle");
  if (!content_type.empty()) head.headers.append("Content-Type", content_type);
  if (!token_.empty()) head.headers.append("Authorization", "Bearer " + token_);
  return head;
}

rt::Task<ApiResult<ObjectPtr>> HttpClient::call(codec::RequestHead head, std::string body) {
  CO_TRY(const http::Reply reply, co_await http_.request(std::move(head), std::move(body)));
  if (reply.head.status >= 300) co_return status_of(reply.head.status, reply.body);
  CO_TRY(auto object, parse_object(reply.body));
  co_return ObjectPtr(std::make_shared<const boost::json::object>(std::move(object)));
}

rt::Task<ApiResult<ObjectPtr>> HttpClient::get(Resource resource, ObjectKey key) {
  co_return co_await call(head("GET", resource_path(resource, key.namespace_, key.name), {}), {});
}

rt::Task<ApiResult<List>> HttpClient::list(Resource resource, ListOptions options) {
  const std::string target = resource_path(resource, options.namespace_) + query_of(options);
  CO_TRY(const http::Reply reply, co_await http_.request(head("GET", target, {})));
  if (reply.head.status >= 300) co_return status_of(reply.head.status, reply.body);
  CO_TRY(auto document, parse_object(reply.body));
  List list{.items = {}, .resource_version = std::string(kube::resource_version_of(document))};
  if (auto* items = kube::find_array(document, "items")) {
    list.items.reserve(items->size());
    for (auto& item : *items) {
      if (item.is_object()) list.items.push_back(take_item(item, resource));
    }
  }
  co_return list;
}

rt::Task<ApiResult<std::unique_ptr<Watch>>> HttpClient::watch(Resource resource,
                                                              ListOptions options,
                                                              std::string resource_version) {
  std::string query = query_of(options);
  query += (query.empty() ? "?" : "&") + std::string("watch=true&allowWatchBookmarks=true") +
           "&timeoutSeconds=" + std::to_string(kWatchSeconds) +
           "&resourceVersion=" + resource_version;
  CO_TRY(auto response,
         co_await http_.open(head("GET", resource_path(resource, options.namespace_) + query, {})));
  if (response.head().status >= 300) {
    CO_TRY(const std::string body, co_await http::read_all(response.body(), kEventBytesMax));
    co_return status_of(response.head().status, body);
  }
  co_return std::unique_ptr<Watch>(std::make_unique<HttpWatch>(std::move(response)));
}

rt::Task<ApiResult<ObjectPtr>> HttpClient::create(Resource resource, boost::json::object object) {
  const std::string target = resource_path(resource, kube::namespace_of(object));
  co_return co_await call(head("POST", target, "application/json"), codec::to_json(object));
}

rt::Task<ApiResult<ObjectPtr>> HttpClient::update(Resource resource, boost::json::object object,
                                                  std::string subresource) {
  const std::string target =
      resource_path(resource, kube::namespace_of(object), kube::name_of(object), subresource);
  co_return co_await call(head("PUT", target, "application/json"), codec::to_json(object));
}

rt::Task<ApiResult<ObjectPtr>> HttpClient::patch(Resource resource, ObjectKey key, PatchType type,
                                                 boost::json::value patch,
                                                 std::string subresource) {
  const std::string target = resource_path(resource, key.namespace_, key.name, subresource);
  co_return co_await call(head("PATCH", target, content_type_of(type)), codec::to_json(patch));
}

rt::Task<ApiResult<void>> HttpClient::remove(Resource resource, ObjectKey key,
                                             DeleteOptions options) {
  boost::json::object body{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  if (options.grace_period_seconds) body["gracePeriodSeconds"] = *options.grace_period_seconds;
  if (!options.propagation_policy.empty()) body["propagationPolicy"] = options.propagation_policy;
  if (!options.uid.empty())
    kube::set_at(body, "preconditions.uid", boost::json::value(options.uid));
  if (!options.resource_version.empty()) {
    kube::set_at(body, "preconditions.resourceVersion",
                 boost::json::value(options.resource_version));
  }
  const std::string target = resource_path(resource, key.namespace_, key.name);
  const auto outcome =
      co_await call(head("DELETE", target, "application/json"), codec::to_json(body));
  if (!outcome) co_return outcome.error();
  co_return ApiResult<void>();
}

}  // namespace tulle::kubeclient
