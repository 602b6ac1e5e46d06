#include "rt/combine.h"
#include "rt/epoll_driver.h"
#include "rt/scope.h"
#include "rt/sim_driver.h"
#include "rt/sleep.h"
#include "rt/sync.h"
#include "rt/thread_pool.h"

#include <gtest/gtest.h>

#include <string>

namespace tulle::rt {
namespace {

using namespace std::chrono_literals;

struct Sim {
  SimDriver driver;
  Loop loop{driver};
};

Task<int> after(Loop& loop, Duration duration, int value) {
  co_await sleep(loop, duration);
  co_return value;
}

Task<Result<int>> result_after(Loop& loop, Duration duration, int value) {
  co_await sleep(loop, duration);
  co_return value;
}

Task<void> append_after(Loop& loop, Duration duration, std::string& out, char c) {
  co_await sleep(loop, duration);
  out.push_back(c);
}

struct SetOnDestroy {
  bool& flag;
  ~SetOnDestroy() { flag = true; }
};

Task<int> held(Loop& loop, bool& destroyed) {
  SetOnDestroy guard{destroyed};
  co_await sleep(loop, 1h);
  co_return 1;
}

TEST(Task, simulated_time_jumps_to_the_next_timer) {
  Sim sim;
  const Instant start = sim.loop.now();
  EXPECT_EQ(sim.loop.run(after(sim.loop, 3h, 7)), 7);
  EXPECT_EQ(sim.loop.now() - start, 3h);
}

TEST(Race, gives_the_first_and_drops_the_other) {
  Sim sim;
  bool destroyed = false;
  auto body = [](Loop& loop, bool& dropped) -> Task<int> {
    auto outcome = co_await race(held(loop, dropped), after(loop, 1s, 5));
    co_return outcome.index() == 1 ? std::get<1>(outcome) : -1;
  };
  EXPECT_EQ(sim.loop.run(body(sim.loop, destroyed)), 5);
  EXPECT_TRUE(destroyed);
}

TEST(WithDeadline, ends_what_takes_too_long_and_hands_on_what_does_not) {
  Sim sim;
  const Instant limit = sim.loop.now() + 2s;
  EXPECT_EQ(*sim.loop.run(with_deadline(sim.loop, limit, result_after(sim.loop, 1s, 3))), 3);
  const auto late = sim.loop.run(with_deadline(sim.loop, limit, result_after(sim.loop, 9s, 3)));
  EXPECT_EQ(late.error().code, Code::timed_out);
  EXPECT_EQ(sim.loop.now(), limit);
}

TEST(All, waits_for_every_task_and_keeps_their_order) {
  Sim sim;
  std::vector<Task<int>> tasks;
  for (const int i : {3, 1, 2}) tasks.push_back(after(sim.loop, std::chrono::seconds(i), i));
  EXPECT_EQ(sim.loop.run(all(sim.loop, std::move(tasks))), (std::vector{3, 1, 2}));
}

TEST(Scope, runs_tasks_beside_each_other_and_drops_them_with_itself) {
  Sim sim;
  std::string order;
  {
    Scope scope(sim.loop);
    scope.spawn(append_after(sim.loop, 2s, order, 'b'));
    scope.spawn(append_after(sim.loop, 1s, order, 'a'));
    sim.loop.run(scope.idle());
    EXPECT_EQ(order, "ab");
    scope.spawn(append_after(sim.loop, 1s, order, 'c'));
    EXPECT_EQ(scope.size(), 1U);
  }
  sim.loop.run(append_after(sim.loop, 5s, order, 'd'));
  EXPECT_EQ(order, "abd");
}

TEST(Timer, many_fire_in_order_whatever_is_disarmed_between) {
  Sim sim;
  std::string order;
  Scope kept(sim.loop);
  auto dropped = std::make_unique<Scope>(sim.loop);
  for (int i = 0; i < 26; ++i) {
    const auto at = std::chrono::seconds((i * 7) % 26);
    (i % 3 == 0 ? *dropped : kept)
        .spawn(append_after(sim.loop, at, order, static_cast<char>('a' + (i * 7) % 26)));
  }
  sim.loop.turn_once();
  dropped.reset();
  sim.loop.run(kept.idle());
  EXPECT_EQ(order.size(), 17U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

Task<void> produce(Queue<int>& queue, int count) {
  for (int i = 0; i < count; ++i) co_await queue.push(i);
  queue.close();
}

Task<int> sum(Queue<int>& queue) {
  int total = 0;
  while (auto value = co_await queue.pop()) total += *value;
  co_return total;
}

TEST(Queue, holds_its_writer_back_at_the_limit_and_ends_when_closed) {
  Sim sim;
  Queue<int> queue(sim.loop, 2);
  Scope scope(sim.loop);
  scope.spawn(produce(queue, 100));
  for (int i = 0; i < 10; ++i) sim.loop.turn_once();
  EXPECT_EQ(queue.size(), 2U);
  EXPECT_FALSE(queue.try_push(1));
  EXPECT_EQ(sim.loop.run(sum(queue)), 4950);
}

Task<int> hold(Loop& loop, Semaphore& semaphore, int& inside, int& most) {
  auto permit = co_await semaphore.acquire();
  most = std::max(most, ++inside);
  co_await sleep(loop, 1s);
  --inside;
  co_return 0;
}

TEST(Semaphore, lets_no_more_in_than_it_has_permits) {
  Sim sim;
  Semaphore semaphore(sim.loop, 3);
  int inside = 0;
  int most = 0;
  std::vector<Task<int>> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(hold(sim.loop, semaphore, inside, most));
  sim.loop.run(all(sim.loop, std::move(tasks)));
  EXPECT_EQ(most, 3);
}

TEST(ThreadPool, brings_results_back_to_the_loop) {
  auto driver = EpollDriver::create();
  ASSERT_TRUE(driver);
  Loop loop(*driver);
  ThreadPool pool(loop, 2);
  EXPECT_EQ(loop.run(run_blocking(pool, [] { return 6 * 7; })), 42);
}

TEST(EpollDriver, sleeps_for_real) {
  auto driver = EpollDriver::create();
  ASSERT_TRUE(driver);
  Loop loop(*driver);
  const Instant start = loop.now();
  EXPECT_EQ(loop.run(after(loop, 5ms, 1)), 1);
  EXPECT_GE(loop.now() - start, 5ms);
}

}  // namespace
}  // namespace tulle::rt
