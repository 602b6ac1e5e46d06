#include "kubeclient/work_queue.h"

#include "http/test_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tulle::kubeclient {
namespace {

using namespace std::chrono_literals;
using kube::ApiResult;
using testing::ElementsAre;
using testing::IsEmpty;

NamespacedName key(std::string_view name) {
  return {.namespace_ = "default", .name = std::string(name)};
}

// A reader that takes keys for ever and does not finish them.
rt::Task<void> take_all(WorkQueue& queue, std::vector<std::string>& taken) {
  for (;;) taken.push_back((co_await queue.next()).name);
}

class WorkQueueTest : public testing::Test {
 protected:
  void read() { scope.spawn(take_all(queue, taken)); }
  std::vector<std::string> take() {
    sim.settle();
    return std::exchange(taken, {});
  }

  http::Sim sim;
  WorkQueue queue{sim.loop};
  std::vector<std::string> taken;
  rt::Scope scope{sim.loop};
};

TEST_F(WorkQueueTest, gives_each_key_once_in_order_of_arrival) {
  for (const auto name : {"a", "b", "a", "c", "b"}) queue.add(key(name));
  EXPECT_EQ(queue.size(), 3U);
  read();
  EXPECT_THAT(take(), ElementsAre("a", "b", "c"));
}

TEST_F(WorkQueueTest, a_key_added_while_it_is_worked_on_comes_again_when_done) {
  read();
  queue.add(key("a"));
  EXPECT_THAT(take(), ElementsAre("a"));
  queue.add(key("a"));
  queue.add(key("a"));
  EXPECT_THAT(take(), IsEmpty());
  queue.done(key("a"), false);
  EXPECT_THAT(take(), ElementsAre("a"));
  queue.done(key("a"), false);
  EXPECT_THAT(take(), IsEmpty());
}

TEST_F(WorkQueueTest, failures_come_again_after_pauses_that_double_up_to_the_longest) {
  read();
  queue.add(key("a"));
  EXPECT_THAT(take(), ElementsAre("a"));
  Duration pause = 5ms;
  for (int failures = 0; failures < 40; ++failures) {
    queue.done(key("a"), true);
    sim.advance(pause - 1ns);
    EXPECT_THAT(take(), IsEmpty()) << failures;
    sim.advance(1ns);
    EXPECT_THAT(take(), ElementsAre("a")) << failures;
    pause = std::min<Duration>(pause * 2, 60s);
  }
  // Success begins anew.
  queue.done(key("a"), false);
  queue.add(key("a"));
  EXPECT_THAT(take(), ElementsAre("a"));
  queue.done(key("a"), true);
  sim.advance(5ms);
  EXPECT_THAT(take(), ElementsAre("a"));
}

TEST_F(WorkQueueTest, of_several_delays_the_earliest_counts) {
  read();
  queue.add_after(key("a"), 10s);
  queue.add_after(key("a"), 2s);
  queue.add_after(key("a"), 5s);
  sim.advance(2s);
  EXPECT_THAT(take(), ElementsAre("a"));
  queue.done(key("a"), false);
  sim.advance(20s);
  EXPECT_THAT(take(), IsEmpty());
  queue.add_after(key("b"), Duration::zero());
  EXPECT_THAT(take(), ElementsAre("b"));
}

struct Work {
  std::vector<std::string> log;
  int working = 0;
  int most = 0;
};

rt::Task<ApiResult<Reconciled>> reconcile(rt::Loop& loop, Work& work, NamespacedName key) {
  work.most = std::max(work.most, ++work.working);
  co_await rt::sleep(loop, 1s);
  --work.working;
  work.log.push_back(key.name);
  const auto times = std::ranges::count(work.log, key.name);
  if (key.name == "conflict" && times < 3) co_return kube::conflict({}, key.name, "changed");
  if (key.name == "again" && times < 2) co_return Reconciled{.again_after = 1min};
  co_return Reconciled{};
}

TEST_F(WorkQueueTest, workers_reconcile_some_keys_at_once_and_come_back_to_those_that_ask) {
  Work work;
  const Reconcile function = [this, &work](NamespacedName of) {
    return reconcile(sim.loop, work, std::move(of));
  };
  rt::Scope workers(sim.loop);
  workers.spawn(run_workers(sim.loop, queue, "test", function, 2));
  for (const auto name : {"conflict", "again", "plain"}) queue.add(key(name));
  sim.advance(30s);
  EXPECT_THAT(work.log, ElementsAre("conflict", "again", "plain", "conflict", "conflict"));
  EXPECT_EQ(work.most, 2);
  sim.advance(1min);
  EXPECT_EQ(work.log.back(), "again");
  EXPECT_EQ(work.log.size(), 6U);
}

}  // namespace
}  // namespace tulle::kubeclient
