// Circuit breaking for one request or TCP connection: let in, after a short wait, or turned away.
#pragma once

#include "mesh/gate.h"
#include "mesh/route.h"
#include "rt/task.h"

namespace tulle::proxy {

// The place at the gate of the service that `decision` leads to; its entry is full when the policy
// allows no more, now or in the time that one may wait. REQUIRES: the port has a gate. `decision`
// is looked at before the first wait only.
rt::Task<mesh::Gate::Place> admit(rt::Loop& loop, const mesh::Decision& decision);

}  // namespace tulle::proxy
