// What the node agent does for the API server: log, exec, attach and portforward of pods.
#pragma once

#include "rt/task.h"

#include <string>

namespace tulle::http {
struct Request;
class Exchange;
}  // namespace tulle::http

namespace tulle::apiserver {

struct PodStreamTarget {
  std::string namespace_;
  std::string pod;
  std::string subresource;  // "log", "exec", "attach", "portforward"
};

class PodStreams {
 public:
  virtual ~PodStreams() = default;
  // Answers the request, failures included (a Status). The caller is authenticated, and the pod
  // exists in the store. `request` and `exchange` outlive the task.
  virtual rt::Task<void> handle(http::Request& request, http::Exchange& exchange,
                                PodStreamTarget target) = 0;
};

}  // namespace tulle::apiserver
