// Circuit breaking for one request or TCP connection: let in, after a short wait, or turned away.
#pragma once

#include "mesh/gate.h"
#include "mesh/route.h"
#include "rt/loop.h"
#include "rt/sync.h"
#include "rt/task.h"

#include <functional>
#include <memory>
#include <utility>

namespace tulle::proxy {

// The place at the gate of the service that `decision` leads to; its entry is full when the policy
// allows no more, now or in the time that one may wait. REQUIRES: the port has a gate. `decision`
// is looked at before the first wait only.
rt::Task<mesh::Gate::Place> admit(rt::Loop& loop, const mesh::Decision& decision);

// Of one who waits at a gate. Whoever leaves may be of another worker, and this one may be gone
// when its turn comes: then nobody is told.
struct Turn {
  explicit Turn(rt::Loop& on) : loop(on), come(on) {}
  rt::Loop& loop;
  rt::Event come;  // also set by others of this loop, to end the wait
};
inline std::function<void()> on_turn(std::shared_ptr<Turn> turn) {
  return [turn = std::move(turn)] { turn->loop.post([turn] { turn->come.set(); }); };
}

}  // namespace tulle::proxy
