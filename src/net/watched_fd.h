// A non-blocking descriptor on the loop, with who waits for it. Edge-triggered: after an attempt
// that would block, call would_block() and then wait().
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"
#include "net/stream.h"
#include "rt/epoll_driver.h"

namespace tulle::net {

class WatchedFd final : public rt::FdHandler {
 public:
  WatchedFd(rt::Loop& loop, rt::EpollDriver& driver, OwnedFd fd)
      : loop_(loop), driver_(driver), fd_(std::move(fd)) {}
  ~WatchedFd() { driver_.remove(fd_.get()); }
  WatchedFd(const WatchedFd&) = delete;
  WatchedFd& operator=(const WatchedFd&) = delete;

  // Begins to watch. REQUIRES: called once, before the first wait.
  Result<void> start() { return driver_.add(fd_.get(), *this); }

  int get() const { return fd_.get(); }
  rt::Loop& loop() { return loop_; }

  // False when an attempt is known to block: nothing happened since the last one that did.
  bool may_try(Interest interest) const { return side(interest).ready; }
  void would_block(Interest interest) { side(interest).ready = hung_up_; }
  // A read from a TCP socket got less than it asked for, but something: it took all there was, and
  // what comes later makes an edge (epoll(7), question 9). Two things make none, or stop a read
  // short: an end that was announced together with data, and urgent data.
  void drained() { read_.ready = hung_up_ || read_in_doubt_; }

  void wait(Interest interest, rt::Runnable& waiter) {
    if (side(interest).ready) return loop_.schedule(waiter);
    side(interest).waiters.add(waiter);
  }

  void on_events(std::uint32_t events) override;

 private:
  struct Side {
    bool ready = true;
    rt::WaitList waiters;
  };
  Side& side(Interest interest) { return interest == Interest::read ? read_ : write_; }
  const Side& side(Interest interest) const { return interest == Interest::read ? read_ : write_; }

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  OwnedFd fd_;
  Side read_;
  Side write_;
  bool hung_up_ = false;        // no more edges will come: always worth an attempt
  bool read_in_doubt_ = false;  // the same of reading, where the last one got something
};

// co_await ready(fd, interest): until an attempt is worth making.
class FdReadyAwaiter final : public rt::Resumer {
 public:
  FdReadyAwaiter(WatchedFd& fd, Interest interest) : fd_(fd), interest_(interest) {}
  bool await_ready() { return fd_.may_try(interest_); }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle = waiting;
    fd_.wait(interest_, *this);
  }
  void await_resume() {}

 private:
  WatchedFd& fd_;
  Interest interest_;
};

inline FdReadyAwaiter ready(WatchedFd& fd, Interest interest) { return {fd, interest}; }

}  // namespace tulle::net
