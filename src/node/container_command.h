// A command run inside a container that runs: probes, hooks, `kubectl exec`.
#pragma once

#include "node/node.h"
#include "rt/process.h"

#include <memory>
#include <string>
#include <vector>

namespace tulle::node {

struct CommandOptions {
  std::string container_id;
  std::vector<std::string> arguments;
  std::vector<rt::SpawnOptions::Descriptor> descriptors = {};
  bool tty = false;  // the descriptors are a terminal
};

// Dropping it ends the command.
class ContainerCommand final {
 public:
  static Result<std::unique_ptr<ContainerCommand>> start(Node& node, CommandOptions options);
  ~ContainerCommand();

  rt::Task<Result<rt::ExitStatus>> exited();
  // For the runtime's own process: SIGWINCH makes it look at the terminal's size again.
  void signal_runtime(int number);

 private:
  ContainerCommand(Node& node, std::unique_ptr<rt::Process> process, std::string pid_file)
      : node_(node), process_(std::move(process)), pid_file_(std::move(pid_file)) {}

  Node& node_;
  std::unique_ptr<rt::Process> process_;
  const std::string pid_file_;  // the command's process, seen from outside
  bool ended_ = false;
};

}  // namespace tulle::node
