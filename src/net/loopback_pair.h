// Two connected TCP sockets of this process, to ask the kernel how it treats such sockets.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"

#include <functional>

namespace tulle::net {

struct LoopbackPair {
  OwnedFd client;  // both block
  OwnedFd server;
};

// Over 127.0.0.1, in the namespace of the process. `before_connect` gets the client's descriptor.
Result<LoopbackPair> make_loopback_pair(const std::function<void(int fd)>& before_connect);

}  // namespace tulle::net
