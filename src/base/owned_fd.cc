#include "base/owned_fd.h"

#include <unistd.h>

namespace tulle {

void OwnedFd::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace tulle
