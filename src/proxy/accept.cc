#include "proxy/accept.h"

#include "rt/sleep.h"

#include <utility>

namespace tulle::proxy {

namespace {

// After a transient failure, such as being out of descriptors.
constexpr Duration kAcceptRetry = std::chrono::milliseconds(50);

}  // namespace

Acceptor::Acceptor(rt::Loop& loop, std::unique_ptr<net::Listener> listener,
                   std::size_t connections_max, obs::Counter& failures)
    : loop_(loop),
      listener_(std::move(listener)),
      local_(listener_->local_address()),
      connections_max_(connections_max),
      failures_(failures),
      idle_(loop, room_),
      connections_(loop),
      accepting_(loop) {}

void Acceptor::start(Serve serve) {
  serve_ = std::move(serve);
  accepting_.spawn(accept_all());
}

void Acceptor::close() {
  accepting_.cancel();
  listener_.reset();
  if (next_) connections_.spawn(run(serve_(std::move(next_), idle_)));
}

void Acceptor::retire() {
  close();
  idle_.end_with_next();
}

rt::Task<void> Acceptor::accept_all() {
  for (;;) {
    auto stream = co_await listener_->accept();
    if (!stream) {
      failures_.add();
      trouble_.failed(local_, stream.error());
      if (stream.error().code == Code::exhausted) idle_.evict_one();
      co_await rt::sleep(loop_, kAcceptRetry);
      continue;
    }
    trouble_.accepted();
    next_ = *std::move(stream);
    while (connections_.size() >= connections_max_) {
      idle_.evict_one();
      co_await rt::wait_on(room_);
    }
    connections_.spawn(run(serve_(std::move(next_), idle_)));
  }
}

rt::Task<void> Acceptor::run(rt::Task<void> connection) {
  co_await std::move(connection);
  room_.wake_one(loop_);
}

}  // namespace tulle::proxy
