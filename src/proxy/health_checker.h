// Active health checks: asks endpoints whether they are well, as the policies of their services
// say, and leaves the verdict with the endpoint (mesh/live_state.h), for all workers.
//
// Only endpoints that are no pods: a pod is probed by the agent of its node, and is ready or not.
#pragma once

#include "base/random.h"
#include "mesh/snapshot.h"
#include "net/network.h"
#include "rt/scope.h"

#include <map>
#include <memory>
#include <string>

namespace tulle::proxy {

// Belongs to one loop; there is one of a process.
class HealthChecker final {
 public:
  // `loop` and `network` must outlive it.
  HealthChecker(rt::Loop& loop, net::Network& network, Random random);
  ~HealthChecker();

  // From now on the endpoints of this Snapshot are checked, and no others. One that is new is taken
  // for well until it is not.
  void follow(const mesh::Snapshot& snapshot);

  std::size_t checked() const { return checked_.size(); }

 private:
  struct Checked;

  rt::Task<void> run(Checked& checked);

  rt::Loop& loop_;
  net::Network& network_;
  Random random_;
  std::map<SocketAddress, std::unique_ptr<Checked>> checked_;
};

// Whether the endpoint at `address` is well, asked once, by a connection that begins with
// `greeting`. The error says what it did instead.
rt::Task<Result<void>> check_health(rt::Loop& loop, net::Network& network, SocketAddress address,
                                    mesh::HealthCheck check, std::string greeting);

}  // namespace tulle::proxy
