// Keeps the processes of an instance running: starts each again when it ends, until it is told to
// stop. The next one of a kind gets the sockets that the one before listened on.
#pragma once

#include "app/socket_keeper.h"
#include "base/owned_fd.h"
#include "base/result.h"
#include "rt/process.h"
#include "rt/scope.h"

#include <boost/json/fwd.hpp>

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace tulle::app {

// The file of a program, by descriptor: whatever becomes of its path, what was checked is what is
// started. Null: that of this process.
using Program = std::shared_ptr<const OwnedFd>;
// As this process and its children can run it.
std::string path_of(const Program& program);

class SupervisedProcess final {
 public:
  struct Options {
    std::string name;                    // "control"
    std::vector<std::string> arguments;  // and "--ready-fd N" and "--sockets-fd N" are added
    // What it does is left behind when it does not end in order (pods): then it is started once
    // more, takes over and ends.
    bool leaves_work = false;
    // How long it may take for what is under way once it has been replaced; the next one works
    // beside it. Zero: the next one begins when it has ended.
    Duration retirement = {};
  };
  // Both references must outlive it.
  SupervisedProcess(rt::Loop& loop, rt::EpollDriver& driver, Options options)
      : loop_(loop), driver_(driver), options_(std::move(options)), sockets_(loop, driver) {}

  // Starts it and waits until it says that it is ready. When it ends before, the error says so;
  // what went wrong it has said itself. From then on it is kept running.
  rt::Task<Result<void>> start();

  // Replaces it by one of another program: asks it to retire
  // (app/report.h) and starts that in its place. With an error that did not become ready, and one
  // of the program before runs. REQUIRES: start().
  rt::Task<Result<void>> replace(Program program);

  // What the next program of this process needs to go on with it (app/succession.h). REQUIRES:
  // neither start() nor replace() is under way.
  boost::json::object hand_over(std::vector<int>& descriptors) const;
  // In place of start().
  Result<void> resume(const boost::json::object& state);

  // SIGTERM, and SIGKILL when it has not ended `patience` later; see leaves_work.
  rt::Task<void> stop(Duration patience);

 private:
  struct Started {
    std::unique_ptr<rt::Process> process;
    OwnedFd ready;  // read end: one byte when ready, the end when it died
  };

  Result<Started> spawn();
  rt::Task<Result<void>> wait_ready(OwnedFd ready) const;
  rt::Task<Result<void>> start_one();
  rt::Task<void> retire();
  rt::Task<void> see_off(std::unique_ptr<rt::Process> process);
  rt::Task<void> keep_running();
  // True when it ended in order: by itself within `patience`, with code 0.
  rt::Task<bool> end(Duration patience);
  rt::Task<void> take_over(Duration patience);

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  const Options options_;
  Program program_;
  bool begun_ = false;  // one has been ready
  SocketKeeper sockets_;
  std::unique_ptr<rt::Process> process_;
  std::set<int> retired_pids_;  // that have not ended
  rt::Scope retired_{loop_};
  rt::Scope keeper_{loop_};
};

}  // namespace tulle::app
