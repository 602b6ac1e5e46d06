// HTTP/2 (RFC 9113) as nghttp2 speaks it: bytes in, events out; messages in, bytes out.
//
// No I/O. nghttp2 checks frames, states and fields, keeps the windows, and answers what is wrong by
// itself: with RST_STREAM where only a stream is, with GOAWAY where the connection is. It also
// bounds what costs a peer little and us much: resets, CONTINUATION frames, unanswered SETTINGS
// and PINGs.
#pragma once

#include "base/result.h"
#include "codec/http2_header_block.h"
#include "codec/http_message.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct nghttp2_session;

namespace tulle::codec {

// What a client sends first when it knows that the server speaks HTTP/2, RFC 9113 §3.4.
inline constexpr std::string_view http2_preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// RFC 9113 §7: those that are sent here. A peer may send any number.
enum class Http2Error : std::uint32_t {
  none = 0x0,
  protocol_error = 0x1,
  internal_error = 0x2,
  refused_stream = 0x7,  // surely not processed: may go again
  cancel = 0x8,
  enhance_your_calm = 0xb,
};

struct Http2Limits {
  std::uint32_t concurrent_streams_max = 128;           // that the peer may open
  std::uint32_t stream_window_bytes = 256 * 1024;       // not read yet, of one stream
  std::uint32_t connection_window_bytes = 1024 * 1024;  // and of all
  std::size_t header_bytes_max = 64 * 1024;             // names and values
  std::size_t fields_max = 128;
  bool websockets = false;  // server: says that it takes them (SETTINGS_ENABLE_CONNECT_PROTOCOL)
};

// A request's or response's fields, or trailers. Pseudo-header fields are apart and empty where
// there are none.
struct Http2Fields {
  std::string method = {};
  std::string scheme = {};
  std::string authority = {};
  std::string path = {};
  std::string protocol = {};  // of an extended CONNECT (RFC 8441)
  int status = 0;
  Headers headers = {};
  bool too_large = false;  // Http2Limits were exceeded; what came after is missing
};

// What the session asks for when there is room to send more of a body.
struct Http2Piece {
  std::size_t size = 0;  // bytes put into the buffer; 0 and not `end`: wait for resume()
  bool end = false;      // that was the last of it
  const Headers* trailers = nullptr;  // behind the end; must stay for the call
};

// What the peer did, told from within receive(); and from within produce(), what is wanted.
// Streams that were never heard of in on_head() may be named in on_closed().
class Http2Events {
 public:
  // A request (server), or a response or an interim one (client).
  virtual void on_head(std::int32_t stream, Http2Fields& fields, bool end) = 0;
  // Must be given back with consume() when it was used.
  virtual void on_data(std::int32_t stream, std::string_view data) = 0;
  virtual void on_trailers(std::int32_t stream, Headers& trailers) = 0;
  // The peer sends no more on it.
  virtual void on_end(std::int32_t stream) = 0;
  // The stream is over, with an error code of RFC 9113 §7.
  virtual void on_closed(std::int32_t stream, std::uint32_t error) = 0;
  // SETTINGS have come.
  virtual void on_settings() = 0;
  virtual Http2Piece on_pull(std::int32_t stream, std::span<char> buffer) = 0;

 protected:
  ~Http2Events() = default;
};

class Http2Session final {
 public:
  enum class Role : std::uint8_t { client, server };

  // `events` must outlive it. The first bytes to send are there at once.
  Http2Session(Role role, const Http2Limits& limits, Http2Events& events);
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // All of `bytes` are taken. Code::malformed when the connection is beyond repair: send what
  // produce() gives, and close.
  Result<void> receive(std::string_view bytes);
  // Appends frames until nothing is left to send, or `out` has `bytes_max`.
  void produce(std::string& out, std::size_t bytes_max);
  // A header block has begun and not ended: nothing else can be received before it has.
  bool in_header_block() const { return header_block_.open(); }
  // Nothing more will be received or sent.
  bool finished() const;

  // Client: opens a stream. Code::exhausted when there can be no more on this connection. Fields of
  // the head that HTTP/2 does not have are left out; Host becomes :authority. The handshake of a
  // WebSocket becomes an extended CONNECT: its stream has a body both ways then, whatever
  // `has_body` says. REQUIRES for that: peer_takes_websockets().
  Result<std::int32_t> request(const RequestHead& head, bool has_body);
  // Server. An interim response may come before.
  void respond(std::int32_t stream, const ResponseHead& head, bool has_body);
  void respond_interim(std::int32_t stream, const ResponseHead& head);

  // There is more of a body to pull.
  void resume(std::int32_t stream);
  void reset(std::int32_t stream, Http2Error error);
  // Opens the windows again by what was used; for a stream that is gone, those of the connection.
  void consume(std::int32_t stream, std::size_t bytes);
  // No new streams of the peer: those it opens are not processed, and it is told so.
  void go_away(Http2Error error);

  // How many streams the peer lets us have at a time.
  std::uint32_t peer_concurrent_streams_max() const;
  // Client: whether the server takes WebSockets; nothing as long as it has not said.
  std::optional<bool> peer_takes_websockets() const;
  // Whether the peer sent GOAWAY.
  bool peer_going_away() const { return peer_going_away_; }

 private:
  struct Callbacks;
  void on_header_block(std::int32_t stream, bool end);
  void on_headers_begin(std::int32_t stream);

  const Role role_;
  const Http2Limits limits_;
  Http2Events& events_;
  nghttp2_session* session_ = nullptr;
  Http2Fields fields_;  // of the header block under way: there is one at a time
  std::size_t field_bytes_ = 0;
  Http2HeaderBlock header_block_;
  bool peer_going_away_ = false;
  bool peer_settings_came_ = false;
  // Server: numbers that the client passed over, which it may not come back to (RFC 9113 §5.1.1).
  struct Gap {
    std::int32_t first;
    std::int32_t last;
  };
  std::int32_t newest_stream_ = -1;
  std::vector<Gap> gaps_;  // the newest kGapsMax
};

// Whether it is the handshake of a WebSocket (RFC 6455) and asks for nothing else.
bool is_websocket_handshake(const RequestHead& head);

// The request as HTTP/1.1 knows it: :authority is Host, cookie fields are one (RFC 9113 §8.2.3). An
// extended CONNECT to "websocket" is a handshake without a key (RFC 8441 §5).
// Code::malformed for what nghttp2 lets pass: Host beside another :authority, a target with
// characters or of a form that it may not have.
Result<RequestHead> http1_head(Http2Fields& fields);

}  // namespace tulle::codec
