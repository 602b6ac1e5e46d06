#include "mesh/retry_tokens.h"

#include <algorithm>

namespace tulle::mesh {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr std::int64_t second = std::chrono::nanoseconds(std::chrono::seconds(1)).count();

}  // namespace

bool RetryTokens::take(const RetryBudget& budget, std::uint64_t active, Instant now) {
  const std::uint64_t retrying = retrying_.fetch_add(1, relaxed) + 1;
  if (retrying * 100 <= budget.percent * active) return true;
  if (take_of_minimum(budget.per_second_min, now)) return true;
  retrying_.fetch_sub(1, relaxed);
  return false;
}

// A second's worth may be taken at once.
bool RetryTokens::take_of_minimum(std::uint32_t per_second, Instant now) {
  if (per_second == 0) return false;
  const std::int64_t time = now.time_since_epoch().count();
  std::int64_t paid = paid_until_.load(relaxed);
  for (;;) {
    const std::int64_t next = std::max(paid, time - second) + second / per_second;
    if (next > time) return false;
    if (paid_until_.compare_exchange_weak(paid, next, relaxed)) return true;
  }
}

}  // namespace tulle::mesh
