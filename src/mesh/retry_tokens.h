// The retry budget of one service port, kept by all workers together.
//
// Retries under way may be a share of the requests under way; beyond that a few per second are
// always allowed, so that a quiet service has retries too. An outage is so never multiplied by
// those who try again.
#pragma once

#include "base/time.h"
#include "mesh/policy.h"

#include <atomic>
#include <cstdint>
#include <limits>

namespace tulle::mesh {

class RetryTokens final {
 public:
  // Leave for one more retry, which give_back() ends. `active`: requests under way.
  bool take(const RetryBudget& budget, std::uint64_t active, Instant now);
  void give_back() { retrying_.fetch_sub(1, std::memory_order_relaxed); }

  std::uint32_t retrying() const { return retrying_.load(std::memory_order_relaxed); }

 private:
  bool take_of_minimum(std::uint32_t per_second, Instant now);

  std::atomic<std::uint32_t> retrying_{0};
  // When the retries of the minimum so far would be used up, at its rate; nanoseconds.
  std::atomic<std::int64_t> paid_until_{std::numeric_limits<std::int64_t>::min()};
};

}  // namespace tulle::mesh
