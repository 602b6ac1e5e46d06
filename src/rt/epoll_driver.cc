#include "rt/epoll_driver.h"

#include "base/check.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

namespace tulle::rt {

namespace {

constexpr int kEventsPerWaitMax = 256;
constexpr std::int64_t kWaitMsMax = 60'000;

Duration read_clock(clockid_t clock) {
  timespec now{};
  CHECK(::clock_gettime(clock, &now) == 0);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

Result<EpollDriver> EpollDriver::create() {
  OwnedFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return os_error(errno, "epoll_create1");
  OwnedFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return os_error(errno, "eventfd");
  epoll_event interest{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.get(), &interest) != 0) {
    return os_error(errno, "epoll_ctl");
  }
  return EpollDriver(std::move(epoll), std::move(event));
}

Instant EpollDriver::now() { return Instant(read_clock(CLOCK_MONOTONIC)); }

WallTime EpollDriver::wall_now() { return WallTime(read_clock(CLOCK_REALTIME)); }

bool EpollDriver::wait(Instant deadline) {
  timespec timeout{};
  timespec* limit = nullptr;
  if (deadline != kNever) {
    const Duration left = deadline == Instant::min() ? Duration::zero() : deadline - now();
    if (left > Duration::zero()) {
      timeout.tv_sec = static_cast<std::time_t>(left / std::chrono::seconds(1));
      timeout.tv_nsec = static_cast<long>((left % std::chrono::seconds(1)).count());
    }
    limit = &timeout;
  }
  std::array<epoll_event, kEventsPerWaitMax> events;
  int count = ::epoll_pwait2(epoll_.get(), events.data(), kEventsPerWaitMax, limit, nullptr);
  if (count < 0 && errno == ENOSYS) {
    // Kernels before 5.11, and valgrind: milliseconds, rounded up.
    const int ms =
        limit == nullptr
            ? -1
            : static_cast<int>(std::min<std::int64_t>(
                  timeout.tv_sec * 1000 + (timeout.tv_nsec + 999'999) / 1'000'000, kWaitMsMax));
    count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerWaitMax, ms);
  }
  CHECK(count >= 0 || errno == EINTR);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) {
      std::uint64_t drained = 0;
      (void)!::read(event_.get(), &drained, sizeof drained);
    } else {
      static_cast<FdHandler*>(event.data.ptr)->on_events(event.events);
    }
  }
  return true;
}

void EpollDriver::wake() {
  const std::uint64_t one = 1;
  (void)!::write(event_.get(), &one, sizeof one);
}

Result<void> EpollDriver::add(int fd, FdHandler& handler) {
  epoll_event interest{.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                       .data = {.ptr = &handler}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &interest) != 0) {
    return os_error(errno, "epoll_ctl");
  }
  return {};
}

void EpollDriver::remove(int fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

}  // namespace tulle::rt
