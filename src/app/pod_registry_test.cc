#include "app/pod_registry.h"

#include "node/handover_client.h"
#include "rt/combine.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <filesystem>

namespace tulle::app {
namespace {

using namespace std::chrono_literals;

// A proxy that does at once what it is asked, but for drains.
struct Proxy {
  Proxy(rt::Loop& on, rt::EpollDriver& driver, const std::string& path) : loop(on) {
    auto listening = net::FdChannelListener::listen(on, driver, path);
    EXPECT_TRUE(listening);
    listener = *std::move(listening);
    serving.spawn(registry.serve(*listener));
  }
  // As the role does it.
  void retire(const std::string& path) {
    std::filesystem::rename(path, path + std::string(mesh::kRetiredSocket) + "1");
    registry.retire();
  }

  rt::Loop& loop;
  std::size_t attached = 0;
  std::size_t synced = 0;
  std::vector<std::function<void()>> drains;
  PodRegistry registry{
      loop,
      {.publish = [](const proxy::PodTablePtr&) {},
       .attach =
           [this](const std::shared_ptr<const proxy::Pod>&,
                  const PodRegistry::Actions::Done& done) {
             ++attached;
             done({});
           },
       .detach = [](const std::string&, const PodRegistry::Actions::Done& done) { done({}); },
       .synced =
           [this] {
             EXPECT_GT(attached, 0U) << "all that was offered before";
             ++synced;
           },
       .drain = [this](const proxy::Pod&,
                       std::function<void()> done) { drains.push_back(std::move(done)); }}};
  std::unique_ptr<net::FdChannelListener> listener;
  rt::Scope serving{loop};
};

class PodRegistryTest : public testing::Test {
 protected:
  PodRegistryTest() {
    std::string name = ::testing::TempDir() + "tulle-handover-XXXXXX";
    folder = ::mkdtemp(name.data());
  }
  ~PodRegistryTest() override { std::filesystem::remove_all(folder); }

  std::string path() const { return folder / "s"; }
  void hold(node::HandoverClient& agent, const std::string& uid) {
    OwnedFd own(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    agent.hold({.uid = uid,
                .name = {"default", uid},
                .address = IpAddress::v4(10, 244, 0, 2),
                .space = std::make_shared<net::Namespace>(uid, std::move(own))});
  }
  std::unique_ptr<node::HandoverClient> start_agent() {
    auto agent = std::make_unique<node::HandoverClient>(loop, *driver, path());
    hold(*agent, "a");
    agent->start();
    EXPECT_TRUE(loop.run(agent->accepted("a")));
    return agent;
  }
  static rt::Task<Result<void>> becomes(rt::Loop& loop, std::function<bool()> condition) {
    while (!condition()) co_await rt::sleep(loop, 1ms);
    co_return Result<void>();
  }
  void expect(std::function<bool()> condition) {
    EXPECT_TRUE(
        loop.run(rt::with_deadline(loop, loop.now() + 5s, becomes(loop, std::move(condition)))));
  }

  std::filesystem::path folder;
  Result<rt::EpollDriver> driver = rt::EpollDriver::create();
  rt::Loop loop{*driver};
};

TEST_F(PodRegistryTest, pods_offered_before_all_are_known_are_attached_then) {
  Proxy proxy(loop, *driver, path());
  node::HandoverClient agent(loop, *driver, path());
  hold(agent, "a");
  hold(agent, "b");
  agent.start();
  EXPECT_TRUE(loop.run(agent.accepted("b")));
  EXPECT_EQ(proxy.synced, 1U);
  EXPECT_EQ(proxy.attached, 2U);
  hold(agent, "c");
  EXPECT_TRUE(loop.run(agent.accepted("c")));
  EXPECT_EQ(proxy.synced, 1U);
}

TEST_F(PodRegistryTest, a_pod_is_drained_when_a_replaced_proxy_has_done_with_it_as_well) {
  for (const bool agent_comes_later : {false, true}) {
    Proxy first(loop, *driver, path());
    auto agent = start_agent();
    first.retire(path());
    Proxy second(loop, *driver, path());
    if (agent_comes_later) agent = start_agent();
    expect([&] { return second.attached == 1; });

    rt::Scope draining(loop);
    draining.spawn(agent->drained("a"));
    expect([&] { return first.drains.size() == 1 && second.drains.size() == 1; });
    second.drains[0]();
    for (int turn = 0; turn < 100; ++turn) loop.turn_once();
    EXPECT_EQ(draining.size(), 1U) << "the first still has work for it";
    first.drains[0]();
    expect([&] { return draining.size() == 0; });
    EXPECT_EQ(first.attached, 1U);
    loop.run(agent->withdraw("a"));
  }
}

}  // namespace
}  // namespace tulle::app
