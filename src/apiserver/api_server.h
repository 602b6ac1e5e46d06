// The Kubernetes API over a store: generic over every kind of the scheme.
//
// One code path serves HTTP (handle) and the components of this process (call, watch).
#pragma once

#include "apiserver/authenticator.h"
#include "apiserver/context.h"
#include "apiserver/documents.h"
#include "apiserver/local.h"
#include "apiserver/pod_streams.h"
#include "apiserver/resource_metrics.h"
#include "base/address.h"
#include "http/server.h"
#include "rt/scope.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace tulle::apiserver {

// As upstream: what a body may be.
inline constexpr std::size_t body_bytes_max = 3 * 1024 * 1024;

class ApiServer final : public http::Handler, public LocalApi {
 public:
  struct Options {
    Cidr service_addresses;        // 10.96.0.0/12
    IpAddress kubernetes_address;  // of Service default/kubernetes
    IpAddress dns_address;         // kept for the cluster's DNS
    std::string server_address;    // "127.0.0.1:6443", for discovery
    Authenticator::Options authentication = {};
    PodStreams* pod_streams = nullptr;         // null: 503 for log, exec, attach and portforward
    const ResourceMetrics* metrics = nullptr;  // null: 503 for metrics.k8s.io
    // What /readyz waits for besides bootstrap(); an error's message is its answer.
    std::function<Result<void>()> ready = {};
  };

  // `loop`, `store`, `scheme`, the pod streams and the metrics must outlive the server. `random`
  // makes uids and names, no secrets.
  ApiServer(rt::Loop& loop, store::Store& store, kube::Scheme& scheme, Random random,
            Options options);

  // Creates what every cluster has: namespaces and the Service of the API itself; from then on old
  // Events are removed. Once, at start.
  rt::Task<kube::ApiResult<void>> bootstrap();

  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override;
  rt::Task<ApiResponse> call(ApiRequest request) override;
  kube::ApiResult<std::unique_ptr<kubeclient::Watch>> watch(const ApiRequest& request) override;

 private:
  // What the path and method mean; 404 or 405 if nothing.
  kube::ApiResult<Call> resolve(const ApiRequest& request) const;
  rt::Task<kube::ApiResult<ApiResponse>> respond(const ApiRequest& request);
  rt::Task<kube::ApiResult<ApiResponse>> dispatch(const Call& call);
  rt::Task<kube::ApiResult<ApiResponse>> dispatch_subresource(const Call& call);
  std::optional<ApiResponse> health(const ApiRequest& request) const;

  // Streams: watches and what pods do. Returns what is still to be answered.
  rt::Task<kube::ApiResult<void>> serve_stream(http::Request& request, http::Exchange& exchange,
                                               const Call& call);
  rt::Task<kube::ApiResult<void>> serve(http::Request& request, http::Exchange& exchange);
  rt::Task<kube::ApiResult<void>> create_if_absent(std::string path, std::string body);

  Random random_;
  Objects objects_;
  ServiceAllocator services_;
  Context context_;
  Documents documents_;
  const Authenticator authenticator_;
  const Options options_;
  bool bootstrapped_ = false;
  rt::Scope background_;
};

}  // namespace tulle::apiserver
