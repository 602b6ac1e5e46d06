#include "app/report.h"

#include <fcntl.h>
#include <unistd.h>
#include <cstdio>

namespace tulle::app {

int report(const Error& error) {
  std::fprintf(stderr, "tulle: %s\n", error.message.c_str());
  return kExitFailure;
}

void notify_ready(int fd) {
  if (fd < 0) return;
  constexpr char kReady = 'r';
  (void)!::write(fd, &kReady, 1);
  ::close(fd);
}

Result<std::unique_ptr<net::KeptSockets>> inherit_sockets(rt::Loop& loop, rt::EpollDriver& driver,
                                                          int fd) {
  if (fd < 0) return std::unique_ptr<net::KeptSockets>();
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return loop.run(net::KeptSockets::inherit(loop, driver, OwnedFd(fd)));
}

}  // namespace tulle::app
