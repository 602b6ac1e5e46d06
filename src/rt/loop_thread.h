// A thread with a loop of its own.
#pragma once

#include "rt/epoll_driver.h"
#include "rt/loop.h"

#include <functional>
#include <memory>
#include <thread>

namespace tulle::rt {

class LoopThread final {
 public:
  // Called on the new thread: makes what lives there and calls loop.run(), which returns when this
  // object is destroyed.
  using Body = std::move_only_function<void(Loop& loop, EpollDriver& driver)>;

  static Result<std::unique_ptr<LoopThread>> start(Body body);
  // Stops the loop and waits for the thread.
  ~LoopThread();

  // Runs `function` on the thread's loop. What is posted before the body runs waits for it.
  void post(std::move_only_function<void()> function) { loop_.post(std::move(function)); }

 private:
  LoopThread(EpollDriver driver, Body body);

  EpollDriver driver_;
  Loop loop_{driver_};
  std::thread thread_;
};

}  // namespace tulle::rt
