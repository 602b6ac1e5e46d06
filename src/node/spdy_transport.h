// What carries the SPDY frames of a client: a connection upgraded to SPDY/3.1, or a WebSocket whose
// binary messages are a stream of bytes, cut anywhere ("tunnelled", as kubectl does since 1.31).
#pragma once

#include "base/random.h"
#include "http/server.h"
#include "rt/task.h"

#include <memory>
#include <string_view>

namespace tulle::node {

class SpdyTransport {
 public:
  virtual ~SpdyTransport() = default;

  // Some bytes, valid until the next call. Error: closed at the end.
  virtual rt::Task<Result<std::string_view>> receive() = 0;
  // One at a time; dropped in between, the transport is of no more use.
  virtual rt::Task<Result<void>> send(std::string_view bytes) = 0;
};

std::unique_ptr<SpdyTransport> make_spdy_transport(std::unique_ptr<net::Stream> stream);

struct SpdyHandshake {
  std::string_view websocket_protocol;  // "SPDY/3.1+portforward.k8s.io"
  std::string_view stream_protocol;     // of X-Stream-Protocol-Version: "portforward.k8s.io"
};

// Takes up either. Another request gets 400, and gives an error. `loop`, `random`, request and
// exchange must outlive the task; `loop` and `random` the transport.
rt::Task<Result<std::unique_ptr<SpdyTransport>>> accept_spdy(rt::Loop& loop, Random& random,
                                                             http::Request& request,
                                                             http::Exchange& exchange,
                                                             SpdyHandshake handshake);

}  // namespace tulle::node
