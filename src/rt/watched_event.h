// A descriptor that only ever says "something happened" (pidfd, signalfd), as a thing to wait for.
#pragma once

#include "base/owned_fd.h"
#include "rt/epoll_driver.h"
#include "rt/sync.h"

namespace tulle::rt {

class WatchedEvent final : public FdHandler {
 public:
  WatchedEvent(Loop& on, EpollDriver& with, OwnedFd descriptor)
      : loop(on), driver(with), fd(std::move(descriptor)) {}
  ~WatchedEvent() { driver.remove(fd.get()); }
  Result<void> start() { return driver.add(fd.get(), *this); }
  void on_events(std::uint32_t) override { happened.wake_all(loop); }

  Loop& loop;
  EpollDriver& driver;
  OwnedFd fd;
  WaitList happened;
};

}  // namespace tulle::rt
