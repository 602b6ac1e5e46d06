// What a request is sent over: a connection of HTTP/1.1, or one stream of HTTP/2.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "codec/http_message.h"
#include "http/body.h"
#include "net/stream.h"
#include "rt/task.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tulle::http {

// Both belong to the channel: valid until its next exchange.
struct Response {
  codec::ResponseHead& head;
  Body& body;
};

// How much of a request may have reached the server. `unsent`: surely nothing of it was processed.
enum class RequestProgress : std::uint8_t { unsent, partial, complete };

// Takes the interim responses (1xx) that come before a response, as they come.
class InterimSink {
 public:
  virtual void take_interim(const codec::ResponseHead& head) = 0;

 protected:
  ~InterimSink() = default;
};

struct ExchangeOptions {
  Instant deadline = kNever;       // until the head of the response
  InterimSink* interim = nullptr;  // null: nobody wants them. Must outlive the exchange's task
};

// Beyond, a response is malformed.
inline constexpr std::size_t kInterimResponsesMax = 32;

class Channel {
 public:
  virtual ~Channel() = default;

  // Sends a request and reads the head of its response. Of 1xx a 101 that was asked for is the
  // response, a 100 is about the request's body, and the others go to the options' sink. The body
  // is sent beside, also while the response is read already; it must live until the response's body
  // was read to its end, or the channel is gone. Framing fields are set here. All else, Host above
  // all, is the caller's. `head` must stay until the task is done.
  //
  // Errors: timed_out at the deadline; malformed for a response that breaks the protocol; closed or
  // reset; the body's own error, if reading it failed (request_body_failed()).
  // After an error, or when dropped before its end, the channel is of no more use.
  virtual rt::Task<Result<Response>> exchange(const codec::RequestHead& head, Body* body,
                                              ExchangeOptions options) = 0;

  // Whether the handshake of a WebSocket may be sent. Over HTTP/2 the server says so (RFC 8441),
  // which is waited for until `deadline`.
  virtual rt::Task<bool> takes_websocket(Instant deadline) = 0;

  // After a 101, or 2xx to CONNECT: the raw stream, bytes that were read already first. Over HTTP/2
  // it ends with the channel.
  virtual std::unique_ptr<net::Stream> take_stream() = 0;
  // Until what was written to that stream, and its end, is on its way or cannot be.
  virtual rt::Task<void> stream_sent() = 0;

  // About the exchange in hand or the last one.
  virtual bool reused() const = 0;  // there was one before: the server may have been closing it
  virtual bool response_started() const = 0;  // something of a response has arrived
  virtual RequestProgress request_progress() const = 0;
  virtual bool request_body_failed() const = 0;
};

}  // namespace tulle::http
