// Child processes and signals as things to await.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"
#include "rt/epoll_driver.h"
#include "rt/task.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tulle::rt {

struct SpawnOptions {
  std::vector<std::string> arguments;         // [0] is looked up in PATH
  std::vector<std::string> environment = {};  // "NAME=value"; empty: inherit ours
  std::string directory = {};                 // empty: ours
  // Descriptor `child` of the child is `ours` here. 0, 1 and 2 are /dev/null where not named.
  struct Descriptor {
    int child;
    int ours;
  };
  std::vector<Descriptor> descriptors = {};
  bool die_with_parent = false;  // SIGKILL when the thread that spawned it ends
  // Out of the terminal's foreground group: Ctrl-C reaches only us.
  bool own_process_group = false;
};

struct ExitStatus {
  int code = 0;    // where signal is 0
  int signal = 0;  // the signal that ended it
  bool success() const { return code == 0 && signal == 0; }
};

// A child process. Dropping it does not end the process; it is then reaped by nobody.
class Process final {
 public:
  static Result<std::unique_ptr<Process>> spawn(Loop& loop, EpollDriver& driver,
                                                const SpawnOptions& options);
  // A child that an earlier program of this process spawned, before execute().
  static Result<std::unique_ptr<Process>> adopt(Loop& loop, EpollDriver& driver, int pid);
  ~Process();

  int pid() const;
  // May be awaited again after it ended.
  Task<Result<ExitStatus>> exited();
  // Through the pidfd: never hits another process that got the same number.
  Result<void> signal(int number);

 private:
  struct State;
  explicit Process(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Watches a process that is not our child (one adopted after a restart): ends when it has ended,
// reaped or not.
class ProcessWatch final {
 public:
  static Result<std::unique_ptr<ProcessWatch>> open(Loop& loop, EpollDriver& driver, int pid);
  ~ProcessWatch();
  Task<void> gone();
  Result<void> signal(int number);

 private:
  struct State;
  explicit ProcessWatch(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Blocks the given signals for the process (call before any thread starts) and delivers them here.
class Signals final {
 public:
  static Result<std::unique_ptr<Signals>> watch(Loop& loop, EpollDriver& driver,
                                                const std::vector<int>& numbers);
  ~Signals();
  Task<int> next();

 private:
  struct State;
  explicit Signals(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What a command printed and how it ended. Output beyond `output_bytes_max` is cut.
struct CommandOutput {
  ExitStatus status;
  std::string output;  // standard output
  std::string errors;  // standard error
};
Task<Result<CommandOutput>> run_command(Loop& loop, EpollDriver& driver, SpawnOptions options,
                                        std::size_t output_bytes_max = 1024 * 1024);

// Has this process go on as another program, which gets these descriptors by their numbers.
// arguments[0] is its name. Returns only with an error: then nothing has changed. REQUIRES: no
// other threads.
Error execute(const std::string& program, const std::vector<std::string>& arguments,
              const std::vector<int>& descriptors);

// Raises this process's limit of open descriptors to its hard limit: the soft one, mostly 1024, is
// low for the sake of select(2), which is not used here. Children that are spawned get the limit as
// it was before.
void allow_all_descriptors();
// The soft limit that they get. The raised one goes through execute().
std::uint64_t descriptors_of_children();
void set_descriptors_of_children(std::uint64_t count);

}  // namespace tulle::rt
