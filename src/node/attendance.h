// What a shim does while its container runs: writes what it prints into the log, shows it to who is
// attached, and waits for its end.
#pragma once

#include "node/attach_hub.h"
#include "node/copy_progress.h"
#include "node/log_writer.h"
#include "rt/process.h"

#include <memory>
#include <string>

namespace tulle::node {

class Attendance final {
 public:
  struct Streams {
    std::shared_ptr<net::Stream> output;
    std::unique_ptr<net::Stream> errors;  // null with a terminal
  };

  // `loop`, `children` (SIGCHLD) and `hub` must outlive it.
  Attendance(rt::Loop& loop, rt::Signals& children, AttachHub& hub, Streams streams,
             std::string log_file);

  // The wait status of `pid`, a child of this process, once all that it printed is in the log.
  // Reaps all other children, too.
  rt::Task<int> attend(int pid);

 private:
  rt::Task<void> copy(net::Stream& from, Channel channel);
  rt::Task<int> ended(int pid);

  rt::Loop& loop_;
  rt::Signals& children_;
  AttachHub& hub_;
  Streams streams_;
  LogWriter log_;
  CopyProgress progress_;
  rt::Scope copies_;
};

}  // namespace tulle::node
