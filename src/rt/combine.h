// The two combinators, race and all, and with_deadline on top of race.
#pragma once

#include "base/result.h"
#include "rt/scope.h"
#include "rt/sleep.h"
#include "rt/task.h"

#include <optional>
#include <type_traits>
#include <variant>
#include <vector>

namespace tulle::rt {

namespace detail {

template <class T>
struct Stored {
  using type = T;
};
template <>
struct Stored<void> {
  using type = std::monostate;
};

template <class T>
typename Stored<T>::type take_stored(Task<T>& task) {
  if constexpr (std::is_void_v<T>) {
    task.take();
    return {};
  } else {
    return task.take();
  }
}

template <class T>
Task<void> store(Task<T> task, std::optional<T>& slot) {
  slot.emplace(co_await std::move(task));
}

}  // namespace detail

// A time limit for race().
inline Task<void> until(Loop& loop, Instant instant) { co_await sleep_until(loop, instant); }

// Runs both; the first to finish gives the result (index() says which), the other is dropped. When
// both finish at once the first wins.
template <class A, class B>
auto race(Task<A> first, Task<B> second) {
  using Value = std::variant<typename detail::Stored<A>::type, typename detail::Stored<B>::type>;
  struct Awaiter {
    Task<A> a;
    Task<B> b;

    bool await_ready() { return false; }
    bool await_suspend(std::coroutine_handle<> parent) {
      a.start(std::noop_coroutine());
      if (a.done()) return false;
      b.start(std::noop_coroutine());
      if (b.done()) return false;
      // Neither ended while starting; from now on whoever ends resumes the parent.
      a.set_continuation(parent);
      b.set_continuation(parent);
      return true;
    }
    Value await_resume() {
      if (a.done()) return Value(std::in_place_index<0>, detail::take_stored(a));
      return Value(std::in_place_index<1>, detail::take_stored(b));
    }
  };
  return Awaiter{std::move(first), std::move(second)};
}

// Runs all of `tasks` to the end; their values in order.
template <class T>
Task<std::vector<T>> all(Loop& loop, std::vector<Task<T>> tasks) {
  std::vector<std::optional<T>> slots(tasks.size());
  Scope scope(loop);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    scope.spawn(detail::store(std::move(tasks[i]), slots[i]));
  }
  co_await scope.idle();
  std::vector<T> values;
  values.reserve(slots.size());
  for (auto& slot : slots) values.push_back(*std::move(slot));
  co_return values;
}

// The result of `task`, or Code::timed_out if `deadline` came first; the task is then dropped.
template <class T>
Task<Result<T>> with_deadline(Loop& loop, Instant deadline, Task<Result<T>> task) {
  auto outcome = co_await race(std::move(task), until(loop, deadline));
  if (outcome.index() == 0) co_return std::get<0>(std::move(outcome));
  co_return fail(Code::timed_out, "timed out");
}

}  // namespace tulle::rt
