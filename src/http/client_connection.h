// The client side of HTTP/1.1 on one stream: one exchange at a time, and after it the facts that
// decide whether a failed request may go once more.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "codec/http1.h"
#include "http/body.h"
#include "net/stream.h"
#include "rt/task.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tulle::http {

// Both belong to the connection: valid until its next exchange. The body's end makes the connection
// reusable.
struct Response {
  codec::ResponseHead& head;
  Body& body;
};

// How much of a request was handed to the stream.
enum class RequestProgress : std::uint8_t { unsent, partial, complete };

class ClientConnection final {
 public:
  struct Options {
    codec::Http1Limits head_limits = {};
    std::size_t read_buffer_bytes = 16 * 1024;
    std::size_t interim_responses_max = 32;  // 1xx before the response
  };
  // `loop` must outlive it.
  ClientConnection(rt::Loop& loop, std::unique_ptr<net::Stream> stream, const Options& options);
  ClientConnection(rt::Loop& loop, std::unique_ptr<net::Stream> stream);
  ~ClientConnection();
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  // Sends a request and reads the head of its response; 1xx are skipped, but for a 101 that was
  // asked for. The body is sent beside, also while the response is read already; it must live until
  // the response's body was read to its end, or the connection is gone. Framing fields are set
  // here: Content-Length where the body's length is known, else chunked. All else, Host above
  // all, is the caller's. `head` must stay until the task is done.
  //
  // Errors: timed_out at `deadline`; malformed for a response that breaks the protocol; closed or
  // reset; the body's own error, if reading it failed (request_body_failed()).
  // After an error, or when dropped before its end, the connection is of no more use.
  // REQUIRES: reusable().
  rt::Task<Result<Response>> exchange(const codec::RequestHead& head, Body* body = nullptr,
                                      Instant deadline = kNever);

  // After a 101, or 2xx to CONNECT: the raw stream, bytes that were read already first.
  std::unique_ptr<net::Stream> take_stream();

  // Whether another exchange may begin: none did yet, or the last one ended completely and neither
  // side asked to close.
  bool reusable() const;

  // About the exchange in hand or the last one.
  bool reused() const;  // there was one before: a failure may be that of an idle connection
  bool response_started() const;  // a byte of a response has arrived
  RequestProgress request_progress() const;
  bool request_body_failed() const;

  // For whoever keeps idle connections. Schedules `waiter` when something happened;
  // idle_alive() then says whether the connection can still be used: nothing was received.
  void wait_idle(rt::Runnable& waiter);
  bool idle_alive();

  net::Stream& stream();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tulle::http
