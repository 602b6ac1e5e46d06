// Server connections that wait for a request, the longest waiting first: those that have to go when
// there are too many connections.
#pragma once

#include "rt/loop.h"
#include "rt/runnable.h"

namespace tulle::http {

// Belongs to one loop. Connections leave by themselves: by a request, or by their end.
class IdleList final {
 public:
  // `on_idle` is woken whenever a connection has joined. Both must outlive it.
  IdleList(rt::Loop& loop, rt::WaitList& on_idle) : loop_(loop), on_idle_(on_idle) {}

  // `close` runs when the connection is to close. REQUIRES: it is in no list.
  void join(rt::Runnable& close) {
    waiting_.add(close);
    if (!on_idle_.empty()) on_idle_.wake_all(loop_);
  }
  // Has the one that waited longest close. Does nothing where none waits.
  void evict_one() { waiting_.wake_one(loop_); }

 private:
  rt::Loop& loop_;
  rt::WaitList& on_idle_;
  rt::WaitList waiting_;
};

}  // namespace tulle::http
