#include "seeds.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace tulle::sim {

std::vector<std::uint64_t> chosen(const Seeds& usual) {
  if (const char* one = std::getenv("TULLE_SIM_SEED")) return {std::strtoull(one, nullptr, 10)};
  std::uint64_t first = 1;
  std::uint64_t last = usual.count;
  std::vector<std::uint64_t> all = usual.found;
  if (const char* range = std::getenv("TULLE_SIM_SEEDS")) {
    char* rest = nullptr;
    first = std::strtoull(range, &rest, 10);
    last = *rest == '-' ? std::strtoull(rest + 1, nullptr, 10) : first;
    all.clear();
  }
  for (std::uint64_t seed = first; seed <= last; ++seed) all.push_back(seed);
  return all;
}

void report(const Cluster& cluster, std::uint64_t seed) {
  constexpr std::size_t kFailuresShown = 5;
  for (std::size_t i = 0; i < cluster.failures.size() && i < kFailuresShown; ++i) {
    ADD_FAILURE() << "TULLE_SIM_SEED=" << seed << ": " << cluster.failures[i];
  }
  if (std::getenv("TULLE_SIM_TRACE") == nullptr) return;
  for (const std::string& line : cluster.history) std::printf("%s\n", line.c_str());
}

void tell(const Seeds& usual, const std::function<rt::Task<void>(Cluster&)>& story) {
  for (const std::uint64_t seed : chosen(usual)) {
    SCOPED_TRACE(testing::Message() << "TULLE_SIM_SEED=" << seed);
    Cluster cluster(seed);
    cluster.run(story(cluster));
    report(cluster, seed);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace tulle::sim
