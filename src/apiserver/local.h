// The API for callers in this process: the same code path as HTTP, without HTTP.
//
// kubeclient (a layer below) does not include this: its in-process client is
// apiserver/local_client.h, a thin adapter over LocalApi.
#pragma once

#include "apiserver/api.h"
#include "kube/status.h"
#include "rt/task.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <memory>

namespace tulle::apiserver {

enum class WatchType : std::uint8_t { added, modified, deleted, bookmark };

struct LocalEvent {
  WatchType type = WatchType::added;
  std::shared_ptr<const boost::json::object> object;  // shared with other watchers: never null
};

class LocalWatch {
 public:
  virtual ~LocalWatch() = default;
  // The next event. An error ends the watch: Reason::expired means list again, Reason::timeout that
  // timeoutSeconds passed. Dropping the task is safe.
  virtual rt::Task<kube::ApiResult<LocalEvent>> next() = 0;
};

class LocalApi {
 public:
  virtual ~LocalApi() = default;
  // Everything but watch, log, exec, attach and portforward. The user is trusted as given. Failures
  // are answers with a Status as body.
  virtual rt::Task<ApiResponse> call(ApiRequest request) = 0;
  // GET of a collection with watch=true: events in the order of their revisions. The watch must
  // not outlive the server.
  virtual kube::ApiResult<std::unique_ptr<LocalWatch>> watch(ApiRequest request) = 0;
};

}  // namespace tulle::apiserver
