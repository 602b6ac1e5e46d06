// The latencies of a service port, for the question how long all but a few of them take.
#pragma once

#include "base/time.h"

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace tulle::mesh {

// Buckets of an eighth of a power of two, from 1 µs on: an answer is at most an eighth too high.
// What is old counts less: all counts are halved now and then. Callable from all loops at once.
class LatencyHistogram final {
 public:
  static constexpr std::uint32_t enough = 64;  // observations, for an answer

  void observe(Duration latency) {
    counts_[bucket_of(latency)].fetch_add(1, std::memory_order_relaxed);
    if (total_.fetch_add(1, std::memory_order_relaxed) + 1 == halve_at) halve();
  }

  // What `percent` of the latencies do not exceed. None until there are enough of them.
  std::optional<Duration> percentile(std::uint32_t percent) const {
    const std::uint64_t total = total_.load(std::memory_order_relaxed);
    if (total < enough) return std::nullopt;
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      below += counts_[i].load(std::memory_order_relaxed);
      if (below * 100 >= total * percent) return upper_end(i);
    }
    return upper_end(counts_.size() - 1);
  }

 private:
  static constexpr std::uint32_t halve_at = 8192;
  static constexpr std::size_t per_power = 8;
  static constexpr std::size_t powers = 26;  // up to a minute

  static std::size_t bucket_of(Duration latency) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(latency).count();
    const std::uint64_t value = us < 1 ? 1 : static_cast<std::uint64_t>(us);
    const auto power = static_cast<std::size_t>(std::bit_width(value) - 1);
    const std::uint64_t part = ((value << 3) >> power) & (per_power - 1);
    const std::size_t bucket = power * per_power + static_cast<std::size_t>(part);
    return bucket < powers * per_power ? bucket : powers * per_power - 1;
  }
  static Duration upper_end(std::size_t bucket) {
    const std::uint64_t steps = per_power + bucket % per_power + 1;
    return std::chrono::nanoseconds(((steps << (bucket / per_power)) * 1000) >> 3);
  }
  void halve() {
    std::uint32_t left = 0;
    for (auto& count : counts_) {
      const std::uint32_t half = count.load(std::memory_order_relaxed) / 2;
      count.store(half, std::memory_order_relaxed);
      left += half;
    }
    total_.store(left, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint32_t>, per_power * powers> counts_{};
  std::atomic<std::uint32_t> total_{0};
};

}  // namespace tulle::mesh
