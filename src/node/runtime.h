// The OCI runtime (crun or runc) as commands to run. A value.
#pragma once

#include <string>
#include <vector>

namespace tulle::node {

struct RuntimeRun {
  std::string bundle;
  std::string id;
  std::string pid_file;
  std::string log;
  std::string console_socket = {};  // where a terminal's descriptor is sent to; empty: none
};

class Runtime final {
 public:
  // `program` is a path or a name in PATH; `root` is where it keeps its state.
  Runtime(std::string program, std::string root)
      : program_(std::move(program)), root_(std::move(root)) {}

  const std::string& program() const { return program_; }
  const std::string& root() const { return root_; }

  // Creates and starts the container, and returns; its first process gets the caller's stdio, or
  // its end of the terminal. What goes wrong stands in the log file, as JSON lines.
  std::vector<std::string> run(const RuntimeRun& what) const;
  // Removes all of the container, alive or not. One that is unknown is no error.
  std::vector<std::string> remove(const std::string& id) const;
  // Runs a command inside; it ends as the command does. `pid_file` gets the command's process id.
  std::vector<std::string> exec(const std::string& id, const std::string& pid_file, bool tty,
                                const std::vector<std::string>& arguments) const;

 private:
  std::vector<std::string> command(std::vector<std::string> rest) const;

  std::string program_;
  std::string root_;
};

// The last message in the runtime's log.
std::string last_log_message(const std::string& log_text);

}  // namespace tulle::node
