#include "http/server.h"

#include "net/accept_trouble.h"
#include "rt/combine.h"
#include "rt/sleep.h"
#include "rt/sync.h"

#include <utility>

namespace tulle::http {

Server::Server(rt::Loop& loop, std::unique_ptr<net::Listener> listener, Handler& handler,
               Options options)
    : loop_(loop),
      listener_(std::move(listener)),
      handler_(handler),
      options_(std::move(options)),
      local_address_(listener_->local_address()),
      drain_(loop),
      connections_(loop),
      acceptor_(loop) {
  acceptor_.spawn(accept_all());
}

Server::~Server() = default;

rt::Task<void> Server::accept_all() {
  net::AcceptTrouble trouble;
  for (;;) {
    while (connections_.size() >= options_.connections_max) co_await rt::wait_on(room_);
    auto stream = co_await listener_->accept();
    if (stream) {
      trouble.accepted();
      connections_.spawn(serve(*std::move(stream)));
    } else {
      trouble.failed(local_address_, stream.error());
      co_await rt::sleep(loop_, options_.accept_retry);
    }
  }
}

rt::Task<void> Server::serve(std::unique_ptr<net::Stream> stream) {
  ConnectionContext context{
      .local = stream->local_address(), .peer = stream->peer_address(), .drain = &drain_};
  if (options_.tls) {
    const Instant deadline = loop_.now() + options_.tls_handshake_timeout;
    auto secured = co_await rt::with_deadline(
        loop_, deadline, net::tls_accept(loop_, std::move(stream), options_.tls));
    if (secured) {
      context.tls_peer = &(*secured)->peer();
      stream = *std::move(secured);
    }
  }
  if (stream) {
    co_await serve_connection(loop_, std::move(stream), handler_, options_.connection, context);
  }
  room_.wake_one(loop_);
}

rt::Task<Result<void>> Server::idle() {
  co_await connections_.idle();
  co_return Result<void>();
}

rt::Task<void> Server::drain(Instant deadline) {
  acceptor_.cancel();
  listener_.reset();
  drain_.request();
  static_cast<void>(co_await rt::with_deadline(loop_, deadline, idle()));
  connections_.cancel();
}

}  // namespace tulle::http
