// Keeps the sockets of a process for the next one of its kind: the other side of
// net/kept_sockets.h.
#pragma once

#include "base/owned_fd.h"
#include "net/fd_channel.h"
#include "rt/scope.h"
#include "rt/sync.h"

#include <boost/json/fwd.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tulle::app {

// Belongs to one loop.
class SocketKeeper final {
 public:
  // Both must outlive it.
  SocketKeeper(rt::Loop& loop, rt::EpollDriver& driver) : loop_(loop), driver_(driver) {}

  // The end of the channel that the next process is given. It receives what is kept; an earlier one
  // is not listened to any more.
  Result<OwnedFd> open_channel();
  // Until the process at the channel has said that it leaves its sockets to the next one, or the
  // channel has ended.
  rt::Task<void> retired();

  // What the next program of this process needs to go on with it (app/succession.h).
  void hand_over(boost::json::object& state, std::vector<int>& descriptors) const;
  Result<void> resume(const boost::json::object& state);

 private:
  rt::Task<void> serve();
  rt::Task<void> listen();
  void take(net::FdMessage message);

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  std::map<std::string, OwnedFd> sockets_;  // by name
  std::unique_ptr<net::FdChannel> channel_;
  bool handed_out_ = false;  // all that was kept, over this channel
  rt::Event retired_{loop_};
  rt::Scope serving_{loop_};
};

}  // namespace tulle::app
