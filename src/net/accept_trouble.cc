#include "net/accept_trouble.h"

#include "base/log.h"

#include <utility>

namespace tulle::net {

void AcceptTrouble::failed(const SocketAddress& at, const Error& why) {
  if (std::exchange(said_, true)) return;
  log::warn("connections cannot be accepted and wait; is the limit of open files too low?",
            {{"at", at.to_string()}, {"why", why.message}});
}

}  // namespace tulle::net
