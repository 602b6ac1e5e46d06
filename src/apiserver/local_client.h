// A client of the API server in the same process.
#pragma once

#include "apiserver/local.h"
#include "kubeclient/client.h"

namespace tulle::apiserver {

class LocalClient final : public kubeclient::Client {
 public:
  // `api` must outlive the client. `user` is who its requests come from: one per component.
  LocalClient(LocalApi& api, User user) : api_(api), user_(std::move(user)) {}

  rt::Task<kube::ApiResult<kubeclient::ObjectPtr>> get(kubeclient::Resource resource,
                                                       kubeclient::ObjectKey key) override;
  rt::Task<kube::ApiResult<kubeclient::List>> list(kubeclient::Resource resource,
                                                   kubeclient::ListOptions options) override;
  rt::Task<kube::ApiResult<std::unique_ptr<kubeclient::Watch>>> watch(
      kubeclient::Resource resource, kubeclient::ListOptions options,
      std::string resource_version) override;
  rt::Task<kube::ApiResult<kubeclient::ObjectPtr>> create(kubeclient::Resource resource,
                                                          boost::json::object object) override;
  rt::Task<kube::ApiResult<kubeclient::ObjectPtr>> update(kubeclient::Resource resource,
                                                          boost::json::object object,
                                                          std::string subresource) override;
  rt::Task<kube::ApiResult<kubeclient::ObjectPtr>> patch(kubeclient::Resource resource,
                                                         kubeclient::ObjectKey key,
                                                         kubeclient::PatchType type,
                                                         boost::json::value patch,
                                                         std::string subresource) override;
  rt::Task<kube::ApiResult<void>> remove(kubeclient::Resource resource, kubeclient::ObjectKey key,
                                         kubeclient::DeleteOptions options) override;

 private:
  ApiRequest request(std::string method, std::string path, std::string body = {}) const;
  rt::Task<kube::ApiResult<boost::json::object>> answer(ApiRequest request);
  rt::Task<kube::ApiResult<kubeclient::ObjectPtr>> object(ApiRequest request);

  LocalApi& api_;
  const User user_;
};

}  // namespace tulle::apiserver
