// Which seeds a simulated story is told with.
//
// TULLE_SIM_SEED=n tells it with that seed alone, TULLE_SIM_SEEDS=first-last with all of a range
// (what ./dev sim does), TULLE_SIM_TRACE=1 shows what happened.
#pragma once

#include "cluster.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace tulle::sim {

struct Seeds {
  std::uint64_t count = 0;                // 1 to count
  std::vector<std::uint64_t> found = {};  // and those that once showed a mistake
};

// The seeds to use: these, or those of the environment.
std::vector<std::uint64_t> chosen(const Seeds& usual);

// What failed in the cluster becomes a failure of the test, which says how to see it again.
void report(const Cluster& cluster, std::uint64_t seed);

// A cluster of its own for each seed, until one fails.
void tell(const Seeds& usual, const std::function<rt::Task<void>(Cluster&)>& story);

}  // namespace tulle::sim
