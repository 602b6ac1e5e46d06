// Keeps the processes of an instance running: starts each again when it ends, until it is told to
// stop.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"
#include "rt/process.h"
#include "rt/scope.h"

#include <memory>
#include <string>
#include <vector>

namespace tulle::app {

class SupervisedProcess final {
 public:
  struct Options {
    std::string name;                    // "control"
    std::vector<std::string> arguments;  // of this executable; "--ready-fd N" is added
    // What it does is left behind when it does not end in order (pods): then it is started once
    // more, takes over and ends.
    bool leaves_work = false;
  };
  // Both references must outlive it.
  SupervisedProcess(rt::Loop& loop, rt::EpollDriver& driver, Options options)
      : loop_(loop), driver_(driver), options_(std::move(options)) {}

  // Starts it and waits until it says that it is ready. When it ends before, the error says so;
  // what went wrong it has said itself. From then on it is kept running.
  rt::Task<Result<void>> start();

  // SIGTERM, and SIGKILL when it has not ended `patience` later; see leaves_work.
  rt::Task<void> stop(Duration patience);

 private:
  struct Started {
    std::unique_ptr<rt::Process> process;
    OwnedFd ready;  // read end: one byte when ready, the end when it died
  };

  Result<Started> spawn() const;
  rt::Task<Result<void>> wait_ready(OwnedFd ready) const;
  rt::Task<void> keep_running();
  // True when it ended in order: by itself within `patience`, with code 0.
  rt::Task<bool> end(Duration patience);
  rt::Task<void> take_over(Duration patience);

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  const Options options_;
  std::unique_ptr<rt::Process> process_;
  rt::Scope keeper_{loop_};
};

}  // namespace tulle::app
