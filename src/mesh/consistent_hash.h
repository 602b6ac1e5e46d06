// Consistent hashing: a key leads to the same endpoint as long as that is there, and when endpoints
// come and go few other keys move.
//
// Ring: each endpoint has many points on a ring, and a key leads to the next one (Karger et al.,
// 1997). Maglev: a table that endpoints fill in turns, each in an order of its own (Eisenbud et
// al., NSDI 2016): more even and faster to look up, while a change moves a few more keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace tulle::mesh {

struct Endpoint;  // mesh/snapshot.h

// Every bit of `text` counts for every bit of the hash. Stable across runs and machines.
std::uint64_t hash_text(std::string_view text);

// A value: immutable once made. Positions go around: from the one of a key, `next` leads past
// whoever cannot take it.
class ConsistentHash final {
 public:
  enum class Kind : std::uint8_t { ring, maglev };

  // Of the endpoints' addresses and weights; `units` is how many turns each has (at least one).
  // REQUIRES: as many units as endpoints, and at least one.
  static ConsistentHash make(Kind kind, std::span<const Endpoint> endpoints,
                             std::span<const std::uint64_t> units);

  std::size_t position(std::uint64_t key) const;
  std::size_t next(std::size_t position) const {
    return position + 1 < endpoints_.size() ? position + 1 : 0;
  }
  // Index into the endpoints it was made of.
  std::uint32_t endpoint(std::size_t position) const { return endpoints_[position]; }
  std::size_t size() const { return endpoints_.size(); }

 private:
  static ConsistentHash make_ring(std::span<const Endpoint> endpoints,
                                  std::span<const std::uint64_t> units);
  static ConsistentHash make_maglev(std::span<const Endpoint> endpoints,
                                    std::span<const std::uint64_t> units);

  std::vector<std::uint64_t> points_;     // of a ring, in order; empty for Maglev
  std::vector<std::uint32_t> endpoints_;  // by position
};

}  // namespace tulle::mesh
