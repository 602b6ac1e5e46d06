#include "apiserver/api_server.h"

#include "apiserver/evict.h"
#include "apiserver/list_query.h"
#include "apiserver/measured.h"
#include "apiserver/read.h"
#include "apiserver/remove.h"
#include "apiserver/resource_path.h"
#include "apiserver/reviews.h"
#include "apiserver/subresources.h"
#include "apiserver/watch.h"
#include "apiserver/write.h"
#include "base/log.h"
#include "codec/url.h"

#include <algorithm>
#include <array>

namespace tulle::apiserver {

namespace {

constexpr std::array<std::string_view, 4> streamed_subresources{"log", "exec", "attach",
                                                                "portforward"};
// Subresources that are parts of their object and have its kind.
constexpr std::array<std::string_view, 3> part_subresources{"status", "finalize",
                                                            "ephemeralcontainers"};

bool is_streamed(const Call& call) {
  return std::ranges::find(streamed_subresources, call.subresource) != streamed_subresources.end();
}

bool is_part(const Call& call) {
  return std::ranges::find(part_subresources, call.subresource) != part_subresources.end();
}

bool is_health_path(std::string_view path) {
  return path == "/healthz" || path == "/livez" || path == "/readyz";
}

// The verb of the API that a request is; "" for a method it does not know.
std::string_view verb_of(const ApiRequest& request, const ResourcePath& path) {
  bool collection = path.name.empty();
  if (request.method == "GET" && asks_for_watch(request.query)) return "watch";
  if (request.method == "GET") return collection ? "list" : "get";
  if (request.method == "POST") return "create";
  if (request.method == "PUT") return "update";
  if (request.method == "PATCH") return "patch";
  if (request.method == "DELETE") return collection ? "deletecollection" : "delete";
  return "";
}

bool contains(const std::vector<std::string>& verbs, std::string_view verb) {
  return std::ranges::find(verbs, verb) != verbs.end();
}

// Whether the method fits what the path names: POST goes to collections, PUT to objects.
bool fits(std::string_view verb, const ResourcePath& path) {
  bool object = !path.name.empty();
  if (verb == "create") return object == !path.subresource.empty();
  if (verb == "update" || verb == "patch") return object;
  return true;
}

ApiResponse text_response(int status, std::string text) {
  return {.status = status,
          .content_type = "text/plain; charset=utf-8",
          .headers = {{"X-Content-Type-Options", "nosniff"}},
          .body = Body(std::move(text))};
}

kube::ApiResult<ApiRequest> read_head(const http::Request& request) {
  ApiRequest parsed{.method = request.head.method, .path = {}};
  codec::Target target = codec::split_target(request.head.target);
  auto path = codec::normalize_path(target.path);
  auto decoded = path ? codec::percent_decode(*path) : std::move(path);
  if (!decoded) return kube::bad_request("the path is malformed: " + decoded.error().message);
  parsed.path = *std::move(decoded);
  auto query = codec::Query::parse(target.query);
  if (!query) return kube::bad_request("the query is malformed: " + query.error().message);
  parsed.query = *std::move(query);
  const codec::Headers& headers = request.head.headers;
  parsed.content_type = headers.get("Content-Type").value_or("");
  parsed.if_none_match = headers.get("If-None-Match").value_or("");
  parsed.user_agent = headers.get("User-Agent").value_or("");
  for (codec::Header header : headers) {
    if (!codec::equals_ignoring_case(header.name, "Accept")) continue;
    if (!parsed.accept.empty()) parsed.accept += ",";
    parsed.accept += header.value;
  }
  return parsed;
}

// The only place where failures become answers and lines of the log.
ApiResponse answer_failure(const ApiRequest& request, const kube::ApiStatus& status) {
  if (status.code >= 500 && !status.is(kube::Reason::timeout)) {
    log::error("a request failed", {{"method", request.method},
                                    {"path", request.path},
                                    {"code", std::to_string(status.code)},
                                    {"reason", status.message}});
  }
  return failure_response(status);
}

// What the client does with an answer it cannot be sent is its own affair: it is gone.
rt::Task<void> send(http::Exchange& exchange, ApiResponse response) {
  codec::ResponseHead head;
  head.status = response.status;
  if (response.status != 304) head.headers.set("Content-Type", response.content_type);
  head.headers.set("Cache-Control", "no-cache, private");
  for (const auto& [name, value] : response.headers) {
    if (name == "Cache-Control") {
      head.headers.set(name, value);
    } else {
      head.headers.append(name, value);
    }
  }
  (void)co_await exchange.send(head, response.body.pieces());
}

kube::ApiStatus body_failure(const Error& error) {
  if (error.code == Code::exhausted) {
    return kube::request_entity_too_large("Request entity too large: limit is " +
                                          std::to_string(body_bytes_max));
  }
  return kube::bad_request("the body cannot be read: " + error.message);
}

}  // namespace

ApiServer::ApiServer(rt::Loop& loop, store::Store& store, kube::Scheme& scheme, Random random,
                     Options options)
    : random_(random),
      objects_(store),
      services_(store, {.cluster_addresses = options.service_addresses,
                        .reserved = {options.kubernetes_address, options.dns_address}}),
      context_{.loop = loop,
               .store = store,
               .scheme = scheme,
               .random = random_,
               .objects = objects_,
               .services = services_,
               .metrics = options.metrics},
      documents_(scheme, options.server_address),
      authenticator_(options.authentication),
      options_(std::move(options)),
      background_(loop) {}

rt::Task<void> ApiServer::handle(http::Request& request, http::Exchange& exchange) {
  auto served = co_await serve(request, exchange);
  if (served || exchange.started()) co_return;
  ApiRequest about{.method = request.head.method, .path = request.head.target};
  co_await send(exchange, answer_failure(about, served.error()));
}

rt::Task<kube::ApiResult<void>> ApiServer::serve(http::Request& request, http::Exchange& exchange) {
  CO_TRY(ApiRequest parsed, read_head(request));
  if (auto healthy = health(parsed)) {
    co_await send(exchange, *std::move(healthy));
    co_return kube::ApiResult<void>();
  }
  CO_TRY(parsed.user, authenticator_.authenticate(request));

  auto call = resolve(parsed);
  bool watches = call && request.head.method == "GET" && call->subresource.empty() &&
                 asks_for_watch(parsed.query);
  if (watches || (call && is_streamed(*call))) {
    co_return co_await serve_stream(request, exchange, *call);
  }
  auto body = co_await http::read_all(request.body, body_bytes_max);
  if (!body) co_return body_failure(body.error());
  parsed.body = *std::move(body);
  co_await send(exchange, co_await this->call(std::move(parsed)));
  co_return kube::ApiResult<void>();
}

rt::Task<kube::ApiResult<void>> ApiServer::serve_stream(http::Request& request,
                                                        http::Exchange& exchange,
                                                        const Call& call) {
  if (!is_streamed(call)) co_return co_await serve_watch(context_, call, exchange);
  if (!context_.store.get(call.key())) co_return kube::not_found(call.resource(), call.name);
  if (options_.pod_streams == nullptr) {
    co_return kube::service_unavailable("no node agent runs in this process");
  }
  co_await options_.pod_streams->handle(
      request, exchange,
      {.namespace_ = call.namespace_, .pod = call.name, .subresource = call.subresource});
  co_return kube::ApiResult<void>();
}

rt::Task<ApiResponse> ApiServer::call(ApiRequest request) {
  auto response = co_await respond(request);
  if (response) co_return *std::move(response);
  co_return answer_failure(request, response.error());
}

kube::ApiResult<std::unique_ptr<kubeclient::Watch>> ApiServer::watch(const ApiRequest& request) {
  TRY(Call call, resolve(request));
  return open_local_watch(context_, call);
}

rt::Task<kube::ApiResult<ApiResponse>> ApiServer::respond(const ApiRequest& request) {
  if (request.method == "GET") {
    if (auto healthy = health(request)) co_return *std::move(healthy);
    if (auto document = documents_.get(request)) co_return *std::move(document);
  }
  CO_TRY(Call call, resolve(request));
  if (call.subresource.empty()) co_return co_await dispatch(call);
  co_return co_await dispatch_subresource(call);
}

std::optional<ApiResponse> ApiServer::health(const ApiRequest& request) const {
  if (!is_health_path(request.path)) return std::nullopt;
  if (request.path != "/readyz") return text_response(200, "ok");
  if (!bootstrapped_) return text_response(500, "[-]bootstrap failed: not finished\n");
  if (options_.ready) {
    if (auto ready = options_.ready(); !ready) {
      return text_response(500, "[-]not ready: " + ready.error().message + "\n");
    }
  }
  return text_response(200, "ok");
}

kube::ApiResult<Call> ApiServer::resolve(const ApiRequest& request) const {
  auto path = parse_resource_path(request.path);
  if (!path) return kube::path_not_found();
  kube::KindRef kind = context_.scheme.find_resource(path->group, path->version, path->resource);
  if (!kind) return kube::path_not_found();
  bool object = !path->name.empty();
  if (!kind->namespaced && !path->namespace_.empty()) return kube::path_not_found();
  bool needs_namespace = kind->namespaced && (object || request.method == "POST");
  if (needs_namespace && path->namespace_.empty() && kind->stored) return kube::path_not_found();

  std::string_view verb = verb_of(request, *path);
  const std::vector<std::string>* verbs = &kind->verbs;
  if (!path->subresource.empty()) {
    const kube::Subresource* subresource = kind->find_subresource(path->subresource);
    if (subresource == nullptr) return kube::path_not_found();
    verbs = &subresource->verbs;
  }
  if (verb.empty() || !contains(*verbs, verb) || !fits(verb, *path)) {
    return kube::method_not_allowed({kind->group, kind->plural},
                                    verb.empty() ? request.method : verb);
  }
  return Call{.request = request,
              .kind = std::move(kind),
              .namespace_ = std::move(path->namespace_),
              .name = std::move(path->name),
              .subresource = std::move(path->subresource)};
}

rt::Task<kube::ApiResult<ApiResponse>> ApiServer::dispatch(const Call& call) {
  const std::string& method = call.request.method;
  bool object = !call.name.empty();
  if (method == "POST" && !call.kind->stored) co_return answer_review(context_, call);
  if (method == "GET" && !call.kind->stored) co_return answer_measured(context_, call);
  if (method == "POST") co_return co_await create_object(context_, call);
  if (method == "PUT") co_return co_await update_object(context_, call);
  if (method == "PATCH") co_return co_await patch_object(context_, call);
  if (method == "DELETE" && object) co_return co_await delete_object(context_, call);
  if (method == "DELETE") co_return co_await delete_collection(context_, call);
  if (object) co_return get_object(context_, call);
  co_return list_objects(context_, call);
}

rt::Task<kube::ApiResult<ApiResponse>> ApiServer::dispatch_subresource(const Call& call) {
  const std::string& method = call.request.method;
  if (call.subresource == "scale" && call.kind->scale) {
    co_return co_await serve_scale(context_, call);
  }
  if (is_part(call)) {
    if (method == "PUT") co_return co_await update_object(context_, call);
    if (method == "PATCH") co_return co_await patch_object(context_, call);
    if (method == "GET") co_return get_object(context_, call);
  }
  if (call.subresource == "eviction") co_return co_await evict_pod(context_, call);
  if (call.subresource == "binding") co_return co_await bind_pod(context_, call);
  co_return kube::path_not_found();
}

}  // namespace tulle::apiserver
