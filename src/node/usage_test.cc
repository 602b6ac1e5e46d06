#include "node/usage.h"

#include "node/image_test_directory.h"

#include <gtest/gtest.h>

namespace tulle::node {
namespace {

constexpr std::uint64_t kMib = 1024 * 1024;

// A folder with files as the kernel shows them.
class UsageFiles : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) const { root_.write(path, text); }
  void write_v1() const {
    write("cpuacct/tulle/u/web/cpuacct.usage", "1234567890\n");
    write("memory/tulle/u/web/memory.usage_in_bytes", "10485760\n");
    write("memory/tulle/u/web/memory.stat",
          "inactive_file 1\nrss 4096\ntotal_inactive_file 1048576\n");
  }
  void write_v2(const std::string& at) const {
    write(at + "tulle/u/web/cpu.stat", "usage_usec 5000\nuser_usec 4000\nsystem_usec 1000\n");
    write(at + "tulle/u/web/memory.current", "4194304\n");
    write(at + "tulle/u/web/memory.stat", "anon 5\nfile 7\ninactive_file 1048576\n");
  }
  std::optional<Usage> group() const { return read_group_usage(root_ / ".", "/tulle/u/web"); }

  TestDirectory root_;
};

TEST_F(UsageFiles, are_read_of_cgroup_v1) {
  write_v1();
  EXPECT_EQ(group(), (Usage{.cpu_ns = 1'234'567'890, .working_set_bytes = 9 * kMib}));
}

TEST_F(UsageFiles, are_read_of_cgroup_v2) {
  write_v2("");
  EXPECT_EQ(group(), (Usage{.cpu_ns = 5'000'000, .working_set_bytes = 3 * kMib}));
}

TEST_F(UsageFiles, are_read_of_v1_where_both_are_there) {
  write_v1();
  write_v2("unified/");
  EXPECT_EQ(group(), (Usage{.cpu_ns = 1'234'567'890, .working_set_bytes = 9 * kMib}));
}

TEST_F(UsageFiles, tell_nothing_of_a_group_that_is_not_there_or_not_whole) {
  EXPECT_EQ(group(), std::nullopt);
  write("tulle/u/web/cpu.stat", "usage_usec 5000\n");
  EXPECT_EQ(group(), std::nullopt);
  write_v2("");
  write("tulle/u/web/memory.stat", "anon 5\n");
  EXPECT_EQ(group(), std::nullopt);
}

TEST_F(UsageFiles, never_say_less_than_nothing) {
  write_v2("");
  write("tulle/u/web/memory.current", "4096\n");
  EXPECT_EQ(group()->working_set_bytes, 0U);
}

TEST_F(UsageFiles, tell_what_the_machine_uses) {
  write("stat", "cpu  100 1 20 5000 300 4 5 6 50 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n");
  write("meminfo", "MemTotal:       8192 kB\nMemFree:        2048 kB\nInactive(file):  1024 kB\n");
  EXPECT_EQ(read_machine_usage(root_ / "."),
            (Usage{.cpu_ns = 136 * 10'000'000ULL, .working_set_bytes = 5 * kMib}));
  write("stat", "cpu  100 1\n");
  EXPECT_EQ(read_machine_usage(root_ / "."), std::nullopt);
}

TEST(UsageHistory, tells_the_rate_between_its_first_and_last_sample) {
  UsageHistory history;
  EXPECT_FALSE(history.rate());
  const auto add = [&history](int seconds, std::uint64_t cpu_ms) {
    const Duration after = std::chrono::seconds(seconds);
    history.add(Instant() + after, WallTime(after),
                {.cpu_ns = cpu_ms * 1'000'000, .working_set_bytes = cpu_ms});
  };
  add(100, 50'000);
  EXPECT_FALSE(history.rate());
  add(105, 51'000);
  EXPECT_EQ(history.rate()->cpu_nanocores, 200'000'000U);
  EXPECT_EQ(history.rate()->window, std::chrono::seconds(5));
  EXPECT_EQ(history.rate()->working_set_bytes, 51'000U);
  EXPECT_EQ(history.rate()->at, WallTime(std::chrono::seconds(105)));
  // The first falls out of the window.
  for (const int seconds : {110, 115, 120}) add(seconds, 51'000);
  EXPECT_EQ(history.rate()->cpu_nanocores, 0U);
  EXPECT_EQ(history.rate()->window, std::chrono::seconds(15));
}

TEST(UsageHistory, begins_anew_when_less_was_used_than_before) {
  UsageHistory history;
  const auto add = [&history](int seconds, std::uint64_t cpu_ns) {
    history.add(Instant() + std::chrono::seconds(seconds), WallTime(), {.cpu_ns = cpu_ns});
  };
  add(0, 1000);
  add(10, 2000);
  add(20, 10);
  EXPECT_FALSE(history.rate());
  add(30, 20);
  EXPECT_EQ(history.rate()->cpu_nanocores, 1U);
}

}  // namespace
}  // namespace tulle::node
