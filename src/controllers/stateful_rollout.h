// What a StatefulSet does next, apart from reading and writing: pure and tested by tables. Terms as
// upstream's: replicas are the pods that are wanted, by ordinal; the condemned are those beyond.
#pragma once

#include <boost/json/fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tulle::controllers {

enum class ReplicaState : std::uint8_t {
  absent,
  ending,       // told to go, and not gone
  ended,        // Failed or Succeeded
  not_ready,    //
  unavailable,  // ready, but not for spec.minReadySeconds
  available,
};

struct Replica {
  ReplicaState state = ReplicaState::absent;
  bool updated = false;  // of the newest revision
};

// How a set goes about it: spec.podManagementPolicy and spec.updateStrategy.
struct StatefulStrategy {
  bool ordered = true;  // OrderedReady, not Parallel
  bool rolling = true;  // RollingUpdate, not OnDelete
  std::int64_t partition = 0;
  std::int64_t unavailable_max = 1;
};
StatefulStrategy stateful_strategy(const boost::json::object& set);

struct StatefulView {
  StatefulStrategy strategy;
  std::vector<Replica> replicas;   // from the lowest ordinal up
  std::vector<Replica> condemned;  // from the highest ordinal down
};

// Indices into the view's vectors, in the order in which it should be done.
struct StatefulSteps {
  std::vector<std::size_t> create;
  std::vector<std::size_t> remove;
  std::vector<std::size_t> remove_condemned;
};

// Ordered, each replica is waited for before the next is made, all of them before one of the
// condemned goes, and each of those before the next. In parallel nothing waits but a rollout for
// pods that serve.
//
// A rollout goes from the highest ordinal down to the partition and takes no more than
// unavailable_max pods out of service. An old one that is not ready is no loss: it is replaced
// at once, ordered or not. So a set whose template was broken and is mended goes on by itself,
// where upstream waits for a person to delete the pod.
StatefulSteps next_steps(const StatefulView& view);

// Whether a pod that is made at this index is of the newest revision, not of the current one.
bool is_made_updated(const StatefulStrategy& strategy, std::size_t index);

}  // namespace tulle::controllers
