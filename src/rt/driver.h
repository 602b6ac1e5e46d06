// Where a Loop's time comes from and how it waits: the kernel (EpollDriver) or simulated time
// (SimDriver).
#pragma once

#include "base/time.h"

namespace tulle::rt {

class Driver {
 public:
  virtual ~Driver() = default;

  virtual Instant now() = 0;
  virtual WallTime wall_now() = 0;

  // Waits until an event was delivered, `deadline` passed or wake() was called. Delivers events by
  // scheduling Runnables; runs none. With a deadline in the past it only polls. Returns false when
  // nothing can ever happen any more (simulation only).
  virtual bool wait(Instant deadline) = 0;

  // Makes a wait() in progress, or else the next one, return. From any thread.
  virtual void wake() = 0;
};

}  // namespace tulle::rt
