#include "app/socket_keeper.h"

#include "app/succession.h"
#include "base/log.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <array>
#include <cerrno>

namespace tulle::app {

namespace json = boost::json;

Result<OwnedFd> SocketKeeper::open_channel() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return os_error(errno, "socketpair");
  }
  OwnedFd theirs(ends[1]);
  serving_.cancel();
  TRY(channel_, net::FdChannel::adopt(loop_, driver_, OwnedFd(ends[0])));
  retired_.clear();
  handed_out_ = false;
  serving_.spawn(serve());
  return theirs;
}

rt::Task<void> SocketKeeper::retired() { co_await retired_.wait(); }

rt::Task<void> SocketKeeper::serve() {
  for (const auto& [name, fd] : sockets_) {
    net::FdMessage message{.bytes = "have " + name, .fds = {}};
    message.fds.emplace_back(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!message.fds[0]) {
      log::warn("a listener is lost: the supervisor is out of descriptors", {{"of", name}});
      continue;
    }
    if (!co_await channel_->send(std::move(message))) break;
  }
  (void)co_await channel_->send({.bytes = "all", .fds = {}});
  handed_out_ = true;
  co_await listen();
}

rt::Task<void> SocketKeeper::listen() {
  for (;;) {
    auto message = co_await channel_->receive();
    if (!message) break;
    take(*std::move(message));
  }
  retired_.set();
}

void SocketKeeper::hand_over(json::object& state, std::vector<int>& descriptors) const {
  json::object sockets;
  descriptors.reserve(descriptors.size() + sockets_.size() + 1);
  for (const auto& [name, fd] : sockets_) {
    sockets[name] = fd.get();
    descriptors.push_back(fd.get());
  }
  state["sockets"] = std::move(sockets);
  // A process that has not got everything sees the channel end, and is started again.
  if (!handed_out_) return;
  state["channel"] = channel_->fd();
  descriptors.push_back(channel_->fd());
}

Result<void> SocketKeeper::resume(const json::object& state) {
  for (const auto& [name, fd] : state.at("sockets").as_object()) {
    sockets_[name] = inherited(fd.to_number<int>());
  }
  if (!state.contains("channel")) return {};
  TRY(channel_,
      net::FdChannel::adopt(loop_, driver_, inherited(state.at("channel").to_number<int>())));
  handed_out_ = true;
  serving_.spawn(listen());
  return {};
}

void SocketKeeper::take(net::FdMessage message) {
  constexpr std::string_view kKeep = "keep ";
  constexpr std::string_view kDrop = "drop ";
  if (message.bytes.starts_with(kKeep) && message.fds.size() == 1) {
    sockets_[message.bytes.substr(kKeep.size())] = std::move(message.fds[0]);
  } else if (message.bytes.starts_with(kDrop)) {
    sockets_.erase(message.bytes.substr(kDrop.size()));
  } else if (message.bytes == "retired") {
    retired_.set();
  } else {
    log::error("a process said nonsense to the keeper of its sockets", {{"said", message.bytes}});
  }
}

}  // namespace tulle::app
