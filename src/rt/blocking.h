// Work that blocks (fsync, unpacking an image) and must not hold up a loop.
//
//   auto image = co_await run_blocking(blocking, [path] { return unpack(path); });
//
// The function owns all that it uses: when the awaiting coroutine is dropped the work still runs to
// its end, and its result is thrown away.
#pragma once

#include "rt/task.h"

#include <functional>
#include <memory>

namespace tulle::rt {

class Blocking {
 public:
  virtual ~Blocking() = default;
  // Runs `work` elsewhere, then `done` on the loop.
  virtual void submit(std::move_only_function<void()> work,
                      std::move_only_function<void()> done) = 0;
};

template <class Function>
Task<std::invoke_result_t<Function>> run_blocking(Blocking& blocking, Function function) {
  using Value = std::invoke_result_t<Function>;
  struct State {
    explicit State(Function f) : function(std::move(f)) {}
    Function function;
    std::optional<Value> value;
    Resumer* waiter = nullptr;
  };
  struct Awaiter final : Resumer {
    Awaiter(Blocking& on, std::shared_ptr<State> shared) : blocking(on), state(std::move(shared)) {}
    ~Awaiter() { state->waiter = nullptr; }
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
      handle = waiting;
      state->waiter = this;
      blocking.submit([shared = state] { shared->value.emplace(shared->function()); },
                      [shared = state] {
                        if (shared->waiter != nullptr) shared->waiter->run();
                      });
    }
    Value await_resume() { return *std::move(state->value); }
    Blocking& blocking;
    std::shared_ptr<State> state;
  };
  co_return co_await Awaiter(blocking, std::make_shared<State>(std::move(function)));
}

// Runs the work at once, in the caller's turn: for simulation and tests.
class InlineBlocking final : public Blocking {
 public:
  explicit InlineBlocking(Loop& loop) : loop_(loop) {}
  void submit(std::move_only_function<void()> work, std::move_only_function<void()> done) override {
    work();
    loop_.post(std::move(done));
  }

 private:
  Loop& loop_;
};

}  // namespace tulle::rt
