#include "app/report.h"

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

}  // namespace tulle::app
