#include "rt/loop_thread.h"

#include <utility>

namespace tulle::rt {

Result<std::unique_ptr<LoopThread>> LoopThread::start(Body body) {
  TRY(EpollDriver driver, EpollDriver::create());
  return std::unique_ptr<LoopThread>(new LoopThread(std::move(driver), std::move(body)));
}

LoopThread::LoopThread(EpollDriver driver, Body body)
    : driver_(std::move(driver)),
      thread_([this, run = std::move(body)]() mutable { run(loop_, driver_); }) {}

LoopThread::~LoopThread() {
  loop_.post([this] { loop_.stop(); });
  thread_.join();
}

}  // namespace tulle::rt
