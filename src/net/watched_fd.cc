#include "net/watched_fd.h"

#include <sys/epoll.h>

namespace tulle::net {

void WatchedFd::on_events(std::uint32_t events) {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) hung_up_ = true;
  if ((events & (EPOLLRDHUP | EPOLLPRI)) != 0) read_in_doubt_ = true;
  if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
    read_.ready = true;
    read_.waiters.wake_all(loop_);
  }
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
    write_.ready = true;
    write_.waiters.wake_all(loop_);
  }
}

}  // namespace tulle::net
