// The client side of HTTP/1.1 on one stream: one exchange at a time, and after it the facts that
// decide whether a failed request may go once more.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "codec/http1.h"
#include "http/channel.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tulle::http {

class ClientConnection final : public Channel {
 public:
  struct Options {
    codec::Http1Limits head_limits = {};
    std::size_t read_buffer_bytes = 16 * 1024;
  };
  // `loop` must outlive it.
  ClientConnection(rt::Loop& loop, std::unique_ptr<net::Stream> stream, const Options& options);
  ClientConnection(rt::Loop& loop, std::unique_ptr<net::Stream> stream);
  ~ClientConnection() override;
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  // The body's end makes the connection reusable. Content-Length is sent where the body's length is
  // known, else chunked. REQUIRES: reusable().
  rt::Task<Result<Response>> exchange(const codec::RequestHead& head, Body* body,
                                      ExchangeOptions options) override;
  rt::Task<Result<Response>> exchange(const codec::RequestHead& head, Body* body = nullptr) {
    return exchange(head, body, ExchangeOptions{});
  }
  rt::Task<bool> takes_websocket(Instant deadline) override;
  std::unique_ptr<net::Stream> take_stream() override;
  rt::Task<void> stream_sent() override;

  // Whether another exchange may begin: none did yet, or the last one ended completely and neither
  // side asked to close.
  bool reusable() const;

  bool reused() const override;
  bool response_started() const override;
  RequestProgress request_progress() const override;
  bool request_body_failed() const override;

  // For whoever keeps idle connections. Schedules `waiter` when something happened;
  // idle_alive() then says whether the connection can still be used: nothing was received.
  void wait_idle(rt::Runnable& waiter);
  bool idle_alive();

  net::Stream& stream();
  Instant created_at() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tulle::http
