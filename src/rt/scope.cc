#include "rt/scope.h"

#include "rt/sleep.h"

namespace tulle::rt {

// The coroutine around a spawned task: a member of the scope's list, gone when the task is.
struct Scope::Runner {
  struct promise_type final : Link {
    struct FinalAwaiter {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        Scope& owner = *self.promise().scope;
        self.destroy();
        if (--owner.size_ == 0) owner.idle_.wake_all(owner.loop_);
      }
      void await_resume() noexcept {}
    };
    Runner get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    FinalAwaiter final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() noexcept { std::terminate(); }

    Scope* scope = nullptr;
  };

  static Runner make(Loop& loop, Task<void> task) {
    co_await yield(loop);
    co_await std::move(task);
  }

  std::coroutine_handle<promise_type> handle;
};

Scope::~Scope() { cancel(); }

void Scope::spawn(Task<void> task) {
  auto runner = Runner::make(loop_, std::move(task));
  auto& promise = runner.handle.promise();
  promise.scope = this;
  promise.insert_before(running_);
  ++size_;
  runner.handle.resume();
}

void Scope::cancel() {
  while (running_.linked()) {
    auto& promise = static_cast<Runner::promise_type&>(running_.next());
    --size_;
    std::coroutine_handle<Runner::promise_type>::from_promise(promise).destroy();
  }
  if (size_ == 0) idle_.wake_all(loop_);
}

Task<void> Scope::idle() {
  while (size_ != 0) co_await wait_on(idle_);
}

}  // namespace tulle::rt
