// Kernel time and kernel events: epoll, edge-triggered.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"
#include "rt/driver.h"

#include <cstdint>

namespace tulle::rt {

// Told about readiness from inside Driver::wait(): it may only note it and schedule Runnables.
class FdHandler {
 public:
  // `events` as of epoll_wait(2).
  virtual void on_events(std::uint32_t events) = 0;

 protected:
  ~FdHandler() = default;
};

class EpollDriver final : public Driver {
 public:
  static Result<EpollDriver> create();
  EpollDriver(EpollDriver&&) = default;

  Instant now() override;
  WallTime wall_now() override;
  bool wait(Instant deadline) override;
  void wake() override;

  // Watches `fd` for input, output and hang-up, edge-triggered, until remove() or the descriptor
  // and all its duplicates are closed. `handler` must outlive that.
  Result<void> add(int fd, FdHandler& handler);
  void remove(int fd);

 private:
  EpollDriver(OwnedFd epoll, OwnedFd event) : epoll_(std::move(epoll)), event_(std::move(event)) {}

  OwnedFd epoll_;
  OwnedFd event_;  // eventfd behind wake()
};

}  // namespace tulle::rt
