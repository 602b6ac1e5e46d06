// Seeded randomness. Randomness is a parameter everywhere: a component takes a Random& and a
// simulation hands it one whose seed it prints.
#pragma once

#include <cstdint>

namespace tulle {

// xoshiro256** (Blackman and Vigna, 2018). Not for secrets: use net/tls for those.
// Copies continue the same sequence independently.
class Random final {
 public:
  explicit Random(std::uint64_t seed);

  std::uint64_t next();

  // Uniform in [0, bound). REQUIRES: bound > 0.
  std::uint64_t below(std::uint64_t bound);

  // Uniform in [0, 1).
  double unit();

 private:
  std::uint64_t state_[4];
};

}  // namespace tulle
