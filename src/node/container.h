// One run of a container: a shim, a container under it, and the files both leave (node/shim.h).
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"
#include "node/node.h"
#include "node/places.h"
#include "node/shim.h"
#include "rt/process.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tulle::node {

struct ContainerEnd {
  int code = 0;  // 128 + signal where a signal ended it
  int signal = 0;
  std::string reason;        // "Completed", "Error", "OOMKilled", "ContainerStatusUnknown"
  std::string started_at;    // RFC 3339
  std::string finished_at;   // RFC 3339
  std::string message = {};  // the container's own (node/termination_message.h)
};

// How the run ended, from its files; nothing while it has no `exit`.
std::optional<ContainerEnd> read_end(const RunPlace& place);
// When it started: "" if it has not.
std::string read_start(const RunPlace& place);
// The PID namespace that it runs in. Error: unavailable, when it does not run.
Result<OwnedFd> open_pid_namespace(const RunPlace& place);

// The numbers of the container's runs that are on the disk, ascending.
std::vector<int> find_runs(const PodPlace& pod, const std::string& container);

class Container final {
 public:
  // Starts what the bundle describes. Error: what the runtime said; nothing is left running then.
  static rt::Task<Result<std::unique_ptr<Container>>> start(Node& node, RunPlace place,
                                                            ShimStreams streams);
  // Takes over a run whose shim lives. Error: not_found.
  static Result<std::unique_ptr<Container>> adopt(Node& node, RunPlace place);

  // Until it has ended. A container whose shim was killed is killed too.
  rt::Task<ContainerEnd> ended();
  // Does nothing when it is gone.
  void signal(int number);
  // SIGKILL, and the CPU time that it takes to die.
  void kill();

  const RunPlace& place() const { return place_; }
  const std::string& started_at() const { return started_at_; }

 private:
  Container(Node& node, RunPlace place) : node_(node), place_(std::move(place)) {}

  Node& node_;
  const RunPlace place_;
  std::string started_at_;
  std::unique_ptr<rt::ProcessWatch> shim_;  // null: gone already
  std::unique_ptr<rt::ProcessWatch> process_;
};

// Removes what a run that may have lost its shim has left: container, mounts, cgroup. Keeps the
// files that tell how it ended.
rt::Task<void> remove_remains(Node& node, RunPlace place);

}  // namespace tulle::node
