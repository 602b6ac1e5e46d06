// Sockets that outlive the process that made them. A keeper, another process, holds a duplicate of
// each (app/socket_keeper.h) and hands them to the next process of its kind. What comes while there
// is none waits in the socket's queue: no connection is refused.
//
// They talk over a net::FdChannel, in texts with at most one descriptor each:
//   to the process, at first   "have NAME" and a socket, for each that is kept; then "all"
//   to the keeper              "keep NAME" and a socket; "drop NAME"; "retired"
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"
#include "rt/epoll_driver.h"
#include "rt/scope.h"
#include "rt/task.h"

#include <memory>
#include <optional>
#include <string>

namespace tulle::net {

// The side of the process. Sockets have names, which say where they are bound.
class KeptSockets final {
 public:
  // Receives what is kept. Both references must outlive what is returned.
  static rt::Task<Result<std::unique_ptr<KeptSockets>>> inherit(rt::Loop& loop,
                                                                rt::EpollDriver& driver,
                                                                OwnedFd channel);
  ~KeptSockets();

  // Where it is kept no longer once the token is destroyed.
  struct Kept {
    OwnedFd fd;
    std::shared_ptr<void> token;
  };
  // From any thread: the socket of that name that an earlier process made; nullopt: there is none.
  std::optional<Kept> take(const std::string& name);
  // From any thread: has this one kept, in place of one of the same name.
  std::shared_ptr<void> keep(const std::string& name, int fd);

  bool has_untaken() const;
  // What nobody has taken is kept no longer.
  void drop_untaken();
  // From now on tokens mean nothing: all that is kept is left to the next process.
  void leave();
  // Nothing is received on them here any more.
  void say_retired();

 private:
  struct State;
  KeptSockets(rt::Loop& loop, std::shared_ptr<State> state);
  static rt::Task<void> send_all(State& state);
  std::shared_ptr<void> token_of(const std::string& name);

  std::shared_ptr<State> state_;
  rt::Scope sending_;
};

}  // namespace tulle::net
