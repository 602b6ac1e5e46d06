#include "mesh/policy.h"

#include <algorithm>
#include <array>

namespace tulle::mesh {

std::string_view to_string(LoadBalancing policy) {
  switch (policy) {
    case LoadBalancing::least_request: return "LeastRequest";
    case LoadBalancing::round_robin: return "RoundRobin";
    case LoadBalancing::random: return "Random";
    case LoadBalancing::peak_ewma: return "PeakEwma";
    case LoadBalancing::ring_hash: return "RingHash";
    case LoadBalancing::maglev: return "Maglev";
  }
  return "";
}

std::optional<LoadBalancing> parse_load_balancing(std::string_view text) {
  constexpr std::array all{LoadBalancing::least_request, LoadBalancing::round_robin,
                           LoadBalancing::random,        LoadBalancing::peak_ewma,
                           LoadBalancing::ring_hash,     LoadBalancing::maglev};
  const auto* const found =
      std::ranges::find_if(all, [text](LoadBalancing known) { return to_string(known) == text; });
  if (found == all.end()) return std::nullopt;
  return *found;
}

const Policy& Policy::none() {
  static const Policy none;
  return none;
}

}  // namespace tulle::mesh
