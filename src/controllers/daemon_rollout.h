// What a DaemonSet does next, apart from reading and writing: pure and tested by tables.
#pragma once

#include <boost/json/fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tulle::controllers {

enum class DaemonState : std::uint8_t {
  ending,  // told to go, and not gone
  ended,   // Failed or Succeeded
  not_ready,
  unavailable,  // ready, but not for spec.minReadySeconds
  available,
};

struct DaemonPod {
  DaemonState state = DaemonState::available;
  bool updated = false;  // of the newest revision
};

struct DaemonNode {
  bool wanted = true;    // a pod belongs here
  bool may_stay = true;  // one that is here already is left alone; whoever is wanted may stay
  std::vector<DaemonPod> pods = {};  // oldest first
};

// spec.updateStrategy. The limits are of nodes, for so many that want a pod.
struct DaemonStrategy {
  bool rolling = true;  // RollingUpdate, not OnDelete
  std::int64_t surge_max = 0;
  std::int64_t unavailable_max = 1;
};
DaemonStrategy daemon_strategy(const boost::json::object& set, std::int64_t wanted);

struct DaemonVictim {
  std::size_t node = 0;
  std::size_t pod = 0;

  friend bool operator==(const DaemonVictim&, const DaemonVictim&) = default;
};

// Indices into the nodes.
struct DaemonSteps {
  std::vector<std::size_t> create;
  std::vector<DaemonVictim> remove;
};

// A node that wants a pod and has none gets one, of several one stays, and one that has ended makes
// room. A rollout takes an old pod away while no more than unavailable_max nodes are without an
// available one; or with a surge, it puts a new one beside it, and takes the old one away when the
// new one is available. An old pod that is not available is no loss: it is replaced at once.
DaemonSteps next_steps(const DaemonStrategy& strategy, const std::vector<DaemonNode>& nodes);

}  // namespace tulle::controllers
