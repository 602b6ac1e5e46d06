// What every cluster has from its first moment.
#include "apiserver/api_server.h"
#include "apiserver/event_expiry.h"
#include "codec/json.h"
#include "kube/object.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

constexpr std::uint16_t https_port = 443;

std::string namespace_document(std::string_view name) {
  return codec::to_json(json::object{{"metadata", {{"name", name}}}});
}

std::string kubernetes_service(const IpAddress& address, std::uint16_t target) {
  json::object port{
      {"name", "https"}, {"port", https_port}, {"protocol", "TCP"}, {"targetPort", target}};
  json::object service{
      {"metadata",
       {{"name", "kubernetes"},
        {"labels", {{"component", "apiserver"}, {"provider", "kubernetes"}}}}},
      {"spec", {{"clusterIP", address.to_string()}, {"ports", json::array{std::move(port)}}}}};
  return codec::to_json(service);
}

// Those that Kubernetes has of itself (scheduling/v1).
struct SystemPriority {
  std::string_view name;
  std::int64_t value;
};
constexpr SystemPriority system_priorities[] = {{"system-cluster-critical", 2'000'000'000},
                                                {"system-node-critical", 2'000'001'000}};

}  // namespace

rt::Task<kube::ApiResult<void>> ApiServer::bootstrap() {
  for (const char* name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    CO_TRY_VOID(co_await create_if_absent("/api/v1/namespaces", namespace_document(name)));
  }
  auto address = SocketAddress::parse(options_.server_address);
  std::uint16_t port = address ? address->port : https_port;
  CO_TRY_VOID(co_await create_if_absent("/api/v1/namespaces/default/services",
                                        kubernetes_service(options_.kubernetes_address, port)));
  for (const SystemPriority& priority : system_priorities) {
    CO_TRY_VOID(co_await create_if_absent(
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        codec::to_json(
            json::object{{"metadata", {{"name", priority.name}}}, {"value", priority.value}})));
  }
  background_.spawn(expire_events(context_));
  bootstrapped_ = true;
  co_return kube::ApiResult<void>();
}

rt::Task<kube::ApiResult<void>> ApiServer::create_if_absent(std::string path, std::string body) {
  ApiRequest request{
      .method = "POST",
      .path = std::move(path),
      .body = std::move(body),
      .user = {.name = std::string(user_admin), .groups = {std::string(group_masters)}}};
  auto created = co_await respond(request);
  if (!created && !created.error().is(kube::Reason::already_exists)) co_return created.error();
  co_return kube::ApiResult<void>();
}

}  // namespace tulle::apiserver
