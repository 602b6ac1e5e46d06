// Client over HTTP: any Kubernetes API server.
#pragma once

#include "http/client.h"
#include "kubeclient/client.h"
#include "kubeclient/kubeconfig.h"
#include "net/network.h"

namespace tulle::kubeclient {

class HttpClient final : public Client {
 public:
  // `loop` and `network` must outlive the client. The kubeconfig's host must be an IP address or
  // "localhost": names are not resolved here.
  static Result<std::unique_ptr<HttpClient>> create(rt::Loop& loop, net::Network& network,
                                                    const Kubeconfig& config);

  rt::Task<kube::ApiResult<ObjectPtr>> get(Resource resource, ObjectKey key) override;
  rt::Task<kube::ApiResult<List>> list(Resource resource, ListOptions options) override;
  rt::Task<kube::ApiResult<std::unique_ptr<Watch>>> watch(Resource resource, ListOptions options,
                                                          std::string resource_version) override;
  rt::Task<kube::ApiResult<ObjectPtr>> create(Resource resource,
                                              boost::json::object object) override;
  rt::Task<kube::ApiResult<ObjectPtr>> update(Resource resource, boost::json::object object,
                                              std::string subresource) override;
  rt::Task<kube::ApiResult<ObjectPtr>> patch(Resource resource, ObjectKey key, PatchType type,
                                             boost::json::value patch,
                                             std::string subresource) override;
  rt::Task<kube::ApiResult<void>> remove(Resource resource, ObjectKey key,
                                         DeleteOptions options) override;

 private:
  HttpClient(rt::Loop& loop, net::Network& network, http::Client::Options options,
             std::string token);

  codec::RequestHead head(std::string method, std::string target,
                          std::string_view content_type) const;
  rt::Task<kube::ApiResult<ObjectPtr>> call(codec::RequestHead head, std::string body);

  http::Client http_;
  const std::string token_;
};

}  // namespace tulle::kubeclient
