// A small pool of threads for blocking work.
#pragma once

#include "rt/blocking.h"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace tulle::rt {

class ThreadPool final : public Blocking {
 public:
  // `loop` must outlive the pool.
  ThreadPool(Loop& loop, std::size_t threads);
  // Waits for work in progress; work not begun is dropped.
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  void submit(std::move_only_function<void()> work, std::move_only_function<void()> done) override;

 private:
  struct Job {
    std::move_only_function<void()> work;
    std::move_only_function<void()> done;
  };
  void work_through();

  Loop& loop_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tulle::rt
