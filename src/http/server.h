// The server side of HTTP/1.1 (RFC 9110, RFC 9112) and HTTP/2 (RFC 9113) over any net::Stream.
//
// Over HTTP/1.1 one coroutine per connection reads requests in order and awaits Handler::handle()
// for each. Heads are parsed where they were read; a response's head and a body that is there go
// out in one write. A connection that begins with the preface of HTTP/2 speaks that: then
// Handler::handle() runs for each of its streams, side by side.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "base/time.h"
#include "codec/http1.h"
#include "http/body.h"
#include "http/idle_list.h"
#include "http/signal.h"
#include "net/network.h"
#include "net/stream.h"
#include "net/tls.h"
#include "rt/scope.h"
#include "rt/task.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>

namespace tulle::http {

// What was asked. Lives until handle() returns; a handler may change `head`.
struct Request {
  codec::RequestHead head;
  Body& body;  // an Expect: 100-continue is answered by the first read
  SocketAddress local;
  SocketAddress peer;
  const net::TlsPeer* tls_peer = nullptr;  // null without TLS
  bool http2 = false;                      // came over HTTP/2
};

// How a request is answered: send(), or start(), write()s and finish(), or upgrade(). One of them,
// once; send_interim() may come before. What is given by view must stay until the returned task is
// done; a head only for the call.
//
// Framing and connection fields (Content-Length, Transfer-Encoding, Connection, Date) are added
// here. A head may carry Content-Length for start(), which then is the framing, and for responses
// without a body (HEAD, 304). `Connection: close` in a head ends the connection after the response.
// Nothing of a body goes out for HEAD, 204 and 304, whatever is given.
//
// An error means that the client is gone (reset, closed) or does not read (timed_out); further
// calls fail too, and the handler has only to return.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // The whole response. The body may be given in pieces, which are written without being put
  // together.
  virtual rt::Task<Result<void>> send(const codec::ResponseHead& head,
                                      std::span<const std::string_view> body) = 0;
  rt::Task<Result<void>> send(const codec::ResponseHead& head, std::string_view body = {}) {
    return send(head, std::span(&body, 1));
  }

  enum class Flush : std::uint8_t {
    now,
    with_first_write,  // head and first piece in one write
  };
  // Begins a response of unknown length (chunked; for HTTP/1.0 until close), or of the length that
  // the head's Content-Length says.
  virtual rt::Task<Result<void>> start(const codec::ResponseHead& head, Flush flush) = 0;
  rt::Task<Result<void>> start(const codec::ResponseHead& head) { return start(head, Flush::now); }
  // Done when the stream has taken it all. REQUIRES: not more than Content-Length said.
  virtual rt::Task<Result<void>> write(std::span<const std::string_view> pieces) = 0;
  rt::Task<Result<void>> write(std::string_view piece) { return write(std::span(&piece, 1)); }
  // Ends it. With bytes of Content-Length missing, as abort(). `trailers`, where there are any, go
  // out behind the body if the framing has a place for them (chunked, HTTP/2).
  virtual rt::Task<Result<void>> finish(const codec::Headers* trailers) = 0;
  rt::Task<Result<void>> finish() { return finish(nullptr); }

  // An interim response, 1xx but 100 and 101. Does not wait: what the client does not take at once
  // goes out before what follows. HTTP/1.0 has none: then, and once the response has begun,
  // nothing.
  virtual void send_interim(const codec::ResponseHead& head) = 0;

  // The response cannot be completed: the connection, or the stream of HTTP/2, will be cut so that
  // the client can tell. So it is too if a handler returns between start() and finish().
  virtual void abort() = 0;

  // Sends the head (101, or 2xx to CONNECT; Connection and Upgrade are the caller's) and hands over
  // the connection, with the bytes that were read already first. It may outlive handle().
  // Code::invalid_argument over HTTP/2, which has no upgrade but that to a WebSocket.
  virtual rt::Task<Result<std::unique_ptr<net::Stream>>> upgrade(
      const codec::ResponseHead& head) = 0;

  // Done when the client has closed or reset the connection, or the stream of HTTP/2. Over HTTP/1,
  // until the request's body was read to its end (the empty piece), only reads of the body find
  // out, and what the client sends meanwhile is kept, up to the size of the buffer. To be used in
  // rt::race; one at a time.
  virtual rt::Task<void> client_gone() = 0;

  // Whether a head was given: then the status cannot change any more.
  virtual bool started() const = 0;
  // Bytes of body handed to the stream, for records.
  virtual std::uint64_t body_bytes_sent() const = 0;
};

class Handler {
 public:
  virtual ~Handler() = default;

  // Not answering gives 500 and ends the connection; if reading the body failed, 400, 408 or 413.
  virtual rt::Task<void> handle(Request& request, Exchange& exchange) = 0;
};

inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

struct ServerOptions {
  codec::Http1Limits head_limits = {};
  std::uint64_t body_bytes_max = kNoLimit;  // 413 beyond
  std::size_t read_buffer_bytes = 16 * 1024;
  // From the first byte of a head to its last: 408. Over HTTP/2 the connection ends.
  Duration head_timeout = std::chrono::seconds(10);
  // Without the first byte of a request: the connection is closed.
  Duration idle_timeout = std::chrono::seconds(120);
  // Without a byte of a body that is being read: Code::timed_out, 408 if the handler says nothing.
  Duration body_timeout = std::chrono::seconds(60);
  // Without the client taking a byte of what is being written.
  Duration write_timeout = std::chrono::seconds(60);
  // How long nothing may move on a response whose client has ended its direction, which it may do
  // and still listen (RFC 9112 §9.6). 0: such a client is taken for gone.
  Duration half_closed_timeout = Duration::zero();
  // HTTP/2: requests under way on one connection.
  std::uint32_t concurrent_streams_max = 128;
  // HTTP/2: takes WebSockets (RFC 8441). To the handler an extended CONNECT is then the handshake
  // of HTTP/1.1, but for the key, which it does not have. It is answered by upgrade(), with a 101
  // that needs no Sec-WebSocket-Accept, or by a status that is none of 2xx.
  bool websockets_over_http2 = false;
  // What of an unread body is read and dropped to keep the connection; beyond, it is closed.
  std::uint64_t unread_body_bytes_max = 256 * 1024;
  // After a refusal, how long and how much a client may go on sending before it sees a reset.
  Duration linger_timeout = std::chrono::seconds(1);
  std::uint64_t linger_bytes_max = 1024 * 1024;
  bool date = true;  // add a Date field where the handler gave none
};

// Asks connections to end: idle ones at once, others after the exchange in hand, whose response
// says Connection: close.
class Drain final {
 public:
  explicit Drain(rt::Loop& loop) : signal_(loop) {}
  void request() { signal_.raise(); }
  bool requested() const { return signal_.raised(); }

 private:
  friend class ServerConnection;
  friend class Http2ServerConnection;
  Signal signal_;
};

struct ConnectionContext {
  SocketAddress local = {};
  SocketAddress peer = {};
  const net::TlsPeer* tls_peer = nullptr;  // must live as long as the stream
  Drain* drain = nullptr;
  IdleList* idle = nullptr;  // joined while it waits for a request. REQUIRES: not with a drain
  std::string_view received = {};  // bytes of the stream that were read already; copied at once
};

// Serves a connection to its end. `loop`, `handler`, `options` and the context's drain must outlive
// the task. Dropping it drops the handler and closes the stream.
rt::Task<void> serve_connection(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                                Handler& handler, const ServerOptions& options,
                                const ConnectionContext& context);
// With the stream's own addresses.
rt::Task<void> serve_connection(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                                Handler& handler, const ServerOptions& options);

// Accepts connections and serves them.
class Server final {
 public:
  struct Options {
    ServerOptions connection = {};
    std::shared_ptr<const net::TlsContext> tls = nullptr;  // set: every connection is TLS
    std::size_t connections_max = 10'000;                  // beyond, nothing is accepted
    Duration tls_handshake_timeout = std::chrono::seconds(10);
    Duration accept_retry = std::chrono::milliseconds(50);  // after a transient failure
  };

  // Begins to accept in the next turn. `loop` and `handler` must outlive the server.
  Server(rt::Loop& loop, std::unique_ptr<net::Listener> listener, Handler& handler,
         Options options);
  // Drops all connections.
  ~Server();

  // Stops accepting and closes the listener, closes idle connections, waits until the others have
  // finished what they have in hand; at `deadline` those left are dropped.
  rt::Task<void> drain(Instant deadline);

  SocketAddress local_address() const { return local_address_; }
  std::size_t connections() const { return connections_.size(); }

 private:
  rt::Task<void> accept_all();
  rt::Task<void> serve(std::unique_ptr<net::Stream> stream);
  rt::Task<Result<void>> idle();

  rt::Loop& loop_;
  std::unique_ptr<net::Listener> listener_;
  Handler& handler_;
  const Options options_;
  const SocketAddress local_address_;
  Drain drain_;
  rt::WaitList room_;
  rt::Scope connections_;
  rt::Scope acceptor_;
};

}  // namespace tulle::http
