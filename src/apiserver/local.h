// The API for callers in this process: the same code path as HTTP, without HTTP.
// apiserver/local_client.h makes a kubeclient::Client of it.
#pragma once

#include "apiserver/api.h"
#include "kube/status.h"
#include "kubeclient/client.h"
#include "rt/task.h"

#include <memory>

namespace tulle::apiserver {

class LocalApi {
 public:
  virtual ~LocalApi() = default;
  // Everything but watch, log, exec, attach and portforward. The user is trusted as given. Failures
  // are answers with a Status as body.
  virtual rt::Task<ApiResponse> call(ApiRequest request) = 0;
  // GET of a collection with watch=true: events in the order of their revisions. The watch must
  // not outlive the server.
  virtual kube::ApiResult<std::unique_ptr<kubeclient::Watch>> watch(const ApiRequest& request) = 0;
};

}  // namespace tulle::apiserver
