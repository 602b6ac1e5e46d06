// Task<T>: a coroutine that is lazy, owned and cancelled by dropping it.
//
// Nothing runs until it is awaited (or given to a Scope or Loop::run). The Task object owns the
// frame: destroying it destroys the frame where it stands, which destroys what it was awaiting. A
// task must not be destroyed from inside itself. Exceptions must not escape: they end the process.
#pragma once

#include "base/check.h"
#include "rt/loop.h"
#include "rt/thread_memory.h"

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace tulle::rt {

template <class T = void>
class Task;

namespace detail {

struct PromiseBase {
  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      return self.promise().continuation;
    }
    void await_resume() noexcept {}
  };

  static void* operator new(std::size_t size) { return rt::allocate(size); }
  static void operator delete(void* frame, std::size_t size) { rt::deallocate(frame, size); }

  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::terminate(); }

  std::coroutine_handle<> continuation = std::noop_coroutine();
};

template <class T>
struct Promise final : PromiseBase {
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& value) {
    result.emplace(std::forward<U>(value));
  }
  T take() { return *std::move(result); }
  std::optional<T> result;
};

template <>
struct Promise<void> final : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
  void take() {}
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task final {
 public:
  using promise_type = detail::Promise<T>;
  using value_type = T;

  Task() = default;
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  explicit operator bool() const { return static_cast<bool>(handle_); }

  auto operator co_await() & = delete;  // await it as an rvalue: std::move(task)
  auto operator co_await() && {
    struct Awaiter {
      std::coroutine_handle<promise_type> handle;
      bool await_ready() { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) {
        handle.promise().continuation = parent;
        return handle;
      }
      T await_resume() { return handle.promise().take(); }
    };
    CHECK(handle_);
    return Awaiter{handle_};
  }

  // For combinators: starts the coroutine here and now, with whom to resume when it ends.
  void start(std::coroutine_handle<> continuation) {
    handle_.promise().continuation = continuation;
    handle_.resume();
  }
  void set_continuation(std::coroutine_handle<> continuation) {
    handle_.promise().continuation = continuation;
  }
  bool done() const { return handle_ && handle_.done(); }
  // REQUIRES: done().
  T take() { return handle_.promise().take(); }

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}

  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

}  // namespace detail

// Resumes a suspended coroutine when the loop runs it; the base of hand-written awaiters.
class Resumer : public Runnable {
 public:
  void run() override { handle.resume(); }
  std::coroutine_handle<> handle;

 protected:
  ~Resumer() = default;
};

template <class T>
T Loop::run(Task<T> task) {
  task.start(std::noop_coroutine());
  bool alive = true;
  while (!task.done()) {
    CHECK(alive);  // a deadlock: nothing can happen and the task still waits
    turn(true, alive);
  }
  return task.take();
}

}  // namespace tulle::rt
