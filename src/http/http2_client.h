// The client side of HTTP/2 with prior knowledge (RFC 9113 §3.3): one connection, many exchanges at
// a time, each over a stream of its own.
#pragma once

#include "http/channel.h"
#include "rt/loop.h"

#include <functional>
#include <memory>

namespace tulle::http {

class Http2Connection;

struct Http2ClientOptions {
  std::size_t streams_max = 1000;  // at a time; the server may allow fewer
  std::size_t header_bytes_max = 64 * 1024;
  Duration idle_timeout = std::chrono::seconds(50);   // without a stream
  Duration write_timeout = std::chrono::seconds(60);  // without the server taking a byte
  // Called when the last channel has gone; it must not destroy the client.
  std::function<void()> on_idle = {};
};

class Http2Client final {
 public:
  // `loop` must outlive it and its channels.
  Http2Client(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
              const Http2ClientOptions& options = {});
  ~Http2Client();
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;

  // Whether open() may be called: the connection is good, and the server lets us have one more.
  bool usable() const;
  // For one exchange. The connection lives as long as its channels, or this object. What a channel
  // that is dropped has not received, the server is told not to send. REQUIRES: usable().
  std::unique_ptr<Channel> open();

  std::size_t streams() const;

 private:
  std::shared_ptr<Http2Connection> connection_;
};

}  // namespace tulle::http
