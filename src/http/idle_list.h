// Server connections that wait for a request, the longest waiting first: those that have to go when
// there are too many connections. And whether all of the list's connections are to end.
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
  void evict_all() { waiting_.wake_all(loop_); }

  // Each connection, idle or not, ends with its next response: nobody's request is lost, as it may
  // be where an idle connection is closed while its client sends one.
  void end_with_next() { ending_ = true; }
  bool ending() const { return ending_; }

 private:
  rt::Loop& loop_;
  rt::WaitList& on_idle_;
  rt::WaitList waiting_;
  bool ending_ = false;
};

}  // namespace tulle::http
