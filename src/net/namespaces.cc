#include "base/check.h"
#include "net/kernel_network.h"

#include <fcntl.h>
#include <sched.h>
#include <cerrno>

namespace tulle::net {

Result<NamespacePtr> open_namespace(const std::string& path, std::string name) {
  OwnedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return os_error(errno, "opening network namespace " + path);
  return NamespacePtr(std::make_shared<Namespace>(std::move(name), std::move(fd)));
}

Result<OwnedFd> in_namespace(const NamespacePtr& in, const std::function<Result<OwnedFd>()>& make) {
  if (!in || !in->fd) return make();
  const OwnedFd home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home) return os_error(errno, "opening our own network namespace");
  if (::setns(in->fd.get(), CLONE_NEWNET) != 0) {
    return os_error(errno, "entering network namespace " + in->name);
  }
  auto made = make();
  CHECK(::setns(home.get(), CLONE_NEWNET) == 0);
  return made;
}

}  // namespace tulle::net
