// The subresources of pods that are streams: log, exec, attach and portforward.
#pragma once

#include "base/random.h"
#include "http/server.h"
#include "node/node.h"

#include <string>

namespace tulle::node {

struct PodStreamTarget {
  kubeclient::ObjectPtr pod;  // null: not known here
  std::string subresource;
};

class PodStreamServer final {
 public:
  // `node` must outlive it.
  PodStreamServer(Node& node, Random random) : node_(node), random_(random) {}

  // Answers the request, failures included. `request` and `exchange` must outlive the task.
  rt::Task<void> handle(http::Request& request, http::Exchange& exchange, PodStreamTarget target);

 private:
  Node& node_;
  Random random_;  // of WebSocket masks
};

}  // namespace tulle::node
