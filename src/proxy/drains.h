// Whether a pod that is about to be told to stop has work left.
//
// From the moment it drains, its endpoints are picked only where nobody else can take a request.
// When nothing is under way there any more they are shut: nothing is sent there, and the pod may be
// told. All of it is said in the endpoints' live state, which every worker looks at with every
// pick: no Snapshot has to come round first.
#pragma once

#include "mesh/snapshot.h"
#include "proxy/pods.h"
#include "rt/scope.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tulle::proxy {

// Belongs to the loop that Snapshots are made on. Must outlive the workers.
class Drains final : private mesh::DrainBell {
 public:
  // Calls back, on that loop, when every worker has ended the turn that it was in.
  using Barrier = std::function<void(std::function<void()>)>;

  Drains(rt::Loop& loop, Barrier barrier);
  ~Drains();

  // Calls `done` when the pod has drained: at its endpoints in `snapshot` no request and no TCP
  // connection is under way, and on its own address no connection. Sessions of UDP do not count.
  void begin(const Pod& pod, const mesh::Snapshot& snapshot, std::function<void()> done);
  // To be told of every Snapshot before a worker uses it: what it has new of a pod that drains, or
  // has drained, drains too.
  void follow(const mesh::Snapshot& snapshot);
  // The pod is gone, and nobody waits any more.
  void forget(const std::string& uid);
  // A new pod has this address: what an earlier one left of its end holds no more.
  static void revive(const IpAddress& address, const mesh::Snapshot& snapshot);

 private:
  struct Draining;

  rt::Task<void> run(Draining& draining, std::function<void()> done);
  rt::Task<void> pass_barrier();
  void ring() override;

  rt::Loop& loop_;
  const Barrier barrier_;
  rt::WaitList rung_;
  std::map<std::string, std::unique_ptr<Draining>> draining_;  // by uid
};

}  // namespace tulle::proxy
