#include "mesh/consistent_hash.h"

#include "mesh/snapshot.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <utility>

namespace tulle::mesh {
namespace {

constexpr std::uint64_t points_per_unit = 160;
constexpr std::uint64_t ring_points_max = 128 * 1024;
// A slot is a hundredth of an endpoint's share or less, as the paper has it.
constexpr std::uint64_t slots_per_unit = 100;
constexpr std::array<std::uint32_t, 7> table_sizes{1021, 2039, 4093, 8191, 16381, 32749, 65521};

// The finaliser of SplitMix64 (Steele et al., 2014).
constexpr std::uint64_t mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

std::uint64_t hash_text(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return mix(hash);
}

ConsistentHash ConsistentHash::make(Kind kind, std::span<const Endpoint> endpoints,
                                    std::span<const std::uint64_t> units) {
  return kind == Kind::ring ? make_ring(endpoints, units) : make_maglev(endpoints, units);
}

ConsistentHash ConsistentHash::make_ring(std::span<const Endpoint> endpoints,
                                         std::span<const std::uint64_t> units) {
  const std::uint64_t total = std::accumulate(units.begin(), units.end(), std::uint64_t{0});
  const std::uint64_t each = std::clamp<std::uint64_t>(ring_points_max / total, 1, points_per_unit);
  std::vector<std::pair<std::uint64_t, std::uint32_t>> ring;
  ring.reserve(total * each);
  for (std::uint32_t i = 0; i < endpoints.size(); ++i) {
    const std::uint64_t own = hash_value(endpoints[i].address);
    for (std::uint64_t j = 0; j < units[i] * each; ++j) ring.emplace_back(mix(own ^ mix(j)), i);
  }
  std::ranges::sort(ring);
  ConsistentHash made;
  made.points_.reserve(ring.size());
  made.endpoints_.reserve(ring.size());
  for (const auto& [point, endpoint] : ring) {
    made.points_.push_back(point);
    made.endpoints_.push_back(endpoint);
  }
  return made;
}

ConsistentHash ConsistentHash::make_maglev(std::span<const Endpoint> endpoints,
                                           std::span<const std::uint64_t> units) {
  constexpr std::uint32_t free = std::numeric_limits<std::uint32_t>::max();
  const std::uint64_t total = std::accumulate(units.begin(), units.end(), std::uint64_t{0});
  const auto* const enough = std::ranges::find_if(
      table_sizes, [total](std::uint32_t size) { return size >= total * slots_per_unit; });
  const std::uint64_t size = enough != table_sizes.end() ? *enough : table_sizes.back();

  // Each goes through the slots in an order of its own.
  struct Turn {
    std::uint64_t slot;
    std::uint64_t skip;
  };
  std::vector<Turn> turns;
  turns.reserve(endpoints.size());
  for (const Endpoint& endpoint : endpoints) {
    const std::uint64_t own = hash_value(endpoint.address);
    turns.push_back({.slot = mix(own) % size, .skip = mix(~own) % (size - 1) + 1});
  }
  ConsistentHash made;
  made.endpoints_.assign(size, free);
  for (std::uint64_t filled = 0; filled < size;) {
    for (std::uint32_t i = 0; i < turns.size(); ++i) {
      for (std::uint64_t unit = 0; unit < units[i] && filled < size; ++unit, ++filled) {
        Turn& turn = turns[i];
        while (made.endpoints_[turn.slot] != free) turn.slot = (turn.slot + turn.skip) % size;
        made.endpoints_[turn.slot] = i;
      }
    }
  }
  return made;
}

std::size_t ConsistentHash::position(std::uint64_t key) const {
  if (points_.empty()) return key % endpoints_.size();
  const auto found = std::ranges::lower_bound(points_, key);
  return found == points_.end() ? 0 : static_cast<std::size_t>(found - points_.begin());
}

}  // namespace tulle::mesh
