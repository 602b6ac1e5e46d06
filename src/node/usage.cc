#include "node/usage.h"

#include "base/text.h"
#include "node/image_files.h"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace tulle::node {

namespace {

constexpr std::uint64_t kFileBytesMax = 1024 * 1024;

std::optional<std::uint64_t> number(std::string_view text) {
  text = trim(text);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> number_in_file(const std::string& path) {
  const auto text = read_small_file(path, kFileBytesMax);
  return text ? number(*text) : std::nullopt;
}

// The number behind `key` in lines like "inactive_file 4096" and "MemFree:  123 kB".
std::optional<std::uint64_t> number_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = take_until(text, '\n');
    if (line.starts_with(key)) return number(line.substr(key.size()));
  }
  return std::nullopt;
}

std::optional<std::uint64_t> number_of_file(const std::string& path, std::string_view key) {
  const auto text = read_small_file(path, kFileBytesMax);
  return text ? number_of(*text, key) : std::nullopt;
}

std::optional<std::uint64_t> less(std::optional<std::uint64_t> all,
                                  std::optional<std::uint64_t> part) {
  if (!all || !part) return std::nullopt;
  return *all - std::min(*all, *part);
}

// Both or nothing.
std::optional<Usage> usage(std::optional<std::uint64_t> cpu_ns,
                           std::optional<std::uint64_t> working_set_bytes) {
  if (!cpu_ns || !working_set_bytes) return std::nullopt;
  return Usage{.cpu_ns = *cpu_ns, .working_set_bytes = *working_set_bytes};
}

std::optional<Usage> read_v1(const std::string& root, const std::string& group) {
  const std::string memory = root + "/memory" + group;
  return usage(number_in_file(root + "/cpuacct" + group + "/cpuacct.usage"),
               less(number_in_file(memory + "/memory.usage_in_bytes"),
                    number_of_file(memory + "/memory.stat", "total_inactive_file ")));
}

std::optional<Usage> read_v2(const std::string& root, const std::string& group) {
  auto cpu = number_of_file(root + group + "/cpu.stat", "usage_usec ");
  if (cpu) *cpu *= 1000;
  return usage(cpu, less(number_in_file(root + group + "/memory.current"),
                         number_of_file(root + group + "/memory.stat", "inactive_file ")));
}

// proc(5): the first line of stat is user, nice, system, idle, iowait, irq, softirq and steal, in
// ticks; guests are in user already.
std::optional<std::uint64_t> busy_ns(std::string_view stat) {
  std::string_view line = take_until(stat, '\n');
  if (take_until(line, ' ') != "cpu") return std::nullopt;
  std::array<std::uint64_t, 8> ticks{};
  for (std::uint64_t& each : ticks) {
    line = trim(line);
    const auto value = number(take_until(line, ' '));
    if (!value) return std::nullopt;
    each = *value;
  }
  const auto [user, nice, system, idle, wait, irq, softirq, steal] = ticks;
  const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return (user + nice + system + irq + softirq + steal) * (1'000'000'000 / per_second);
}

}  // namespace

std::optional<Usage> read_group_usage(const std::string& root, const std::string& group) {
  const auto found = read_v1(root, group);
  return found ? found : read_v2(root, group);
}

std::optional<Usage> read_machine_usage(const std::string& proc) {
  const auto stat = read_small_file(proc + "/stat", kFileBytesMax);
  const auto memory = read_small_file(proc + "/meminfo", kFileBytesMax);
  if (!stat || !memory) return std::nullopt;
  auto used = less(less(number_of(*memory, "MemTotal:"), number_of(*memory, "MemFree:")),
                   number_of(*memory, "Inactive(file):"));
  if (used) *used *= 1024;
  return usage(busy_ns(*stat), used);
}

void UsageHistory::add(Instant now, WallTime wall_now, const Usage& usage) {
  // Another group of the same name.
  if (!samples_.empty() && usage.cpu_ns < samples_.back().usage.cpu_ns) samples_.clear();
  samples_.push_back({.at = now, .wall = wall_now, .usage = usage});
  if (samples_.size() > samples_max) samples_.pop_front();
}

std::optional<UsageRate> UsageHistory::rate() const {
  if (samples_.empty()) return std::nullopt;
  const Sample& first = samples_.front();
  const Sample& last = samples_.back();
  const Duration window = last.at - first.at;
  if (window < window_min) return std::nullopt;
  const double seconds = std::chrono::duration<double>(window).count();
  const auto used = static_cast<double>(last.usage.cpu_ns - first.usage.cpu_ns);
  return UsageRate{.cpu_nanocores = static_cast<std::uint64_t>(used / seconds),
                   .working_set_bytes = last.usage.working_set_bytes,
                   .at = last.wall,
                   .window = window};
}

}  // namespace tulle::node
