// SPDY/3.1 as Kubernetes' clients speak it: frames in, frames out, compressed header blocks.
//
// Those clients keep no windows: they send neither SETTINGS nor WINDOW_UPDATE and wait for none. So
// both are read and dropped, and whoever reads slowly holds up all streams of the connection.
#pragma once

#include "base/result.h"
#include "codec/http_message.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct z_stream_s;  // zlib's

namespace tulle::codec {

// draft-mbelshe-httpbis-spdy-00 §2.6.3, as far as used here.
enum class SpdyReset : std::uint32_t {
  protocol_error = 1,
  refused_stream = 3,
  cancel = 5,
};

struct SpdyEvent {
  enum class Kind : std::uint8_t { none, open, reply, data, reset, ping, error };
  Kind kind = Kind::none;
  std::uint32_t id = 0;        // of the stream, or of the ping
  bool fin = false;            // of open, reply and data: the peer sends no more on this stream
  Headers headers = {};        // of open and reply; a name with several values comes several times
  std::string_view data = {};  // a piece of a frame; lies in what was given to decode()
  std::string_view reason = {};  // of an error, for the log: a literal
};

struct SpdyStep {
  std::size_t consumed = 0;
  SpdyEvent event = {};  // `none`: more input is needed
};

struct SpdyLimits {
  std::size_t control_bytes_max = 16 * 1024;  // of one control frame
  std::size_t header_bytes_max = 64 * 1024;   // of one header block, decompressed
};

// Both directions of header compression (§2.6.10.1): one zlib stream each for a whole connection.
class SpdyInflater final {
 public:
  SpdyInflater();
  ~SpdyInflater();
  SpdyInflater(const SpdyInflater&) = delete;
  SpdyInflater& operator=(const SpdyInflater&) = delete;

  // Errors: malformed; exhausted beyond `bytes_max`. After one it is of no more use.
  Result<Headers> read(std::string_view block, std::size_t bytes_max);

 private:
  std::unique_ptr<z_stream_s> zlib_;
};

class SpdyDeflater final {
 public:
  SpdyDeflater();
  ~SpdyDeflater();
  SpdyDeflater(const SpdyDeflater&) = delete;
  SpdyDeflater& operator=(const SpdyDeflater&) = delete;

  std::string write(const Headers& headers);

 private:
  std::unique_ptr<z_stream_s> zlib_;
};

class SpdyDecoder final {
 public:
  explicit SpdyDecoder(const SpdyLimits& limits = {}) : limits_(limits) {}

  // Takes bytes up to the end of one event. Call again with the rest until the event is `none`.
  // After an error it takes nothing more.
  SpdyStep decode(std::string_view in);

 private:
  enum class State : std::uint8_t { header, control, data, skipped, ended };

  SpdyEvent fail(std::string_view reason);
  SpdyEvent begin_frame();
  SpdyEvent take_data(std::string_view in, std::size_t& consumed);
  SpdyEvent finish_control();
  SpdyEvent finish_headers(SpdyEvent::Kind kind, std::size_t fields_at);

  const SpdyLimits limits_;
  SpdyInflater inflater_;
  State state_ = State::header;
  std::string frame_;          // of the frame in hand: its header, and all of a control frame
  std::size_t remaining_ = 0;  // of its payload
};

// What is sent on one connection, in the order of the calls.
class SpdyEncoder final {
 public:
  void append_open(std::string& out, std::uint32_t stream, const Headers& headers);
  void append_reply(std::string& out, std::uint32_t stream, const Headers& headers);

 private:
  SpdyDeflater deflater_;
};

// REQUIRES: bytes.size() <= kSpdyDataBytesMax.
void append_spdy_data(std::string& out, std::uint32_t stream, std::string_view bytes, bool fin);
void append_spdy_reset(std::string& out, std::uint32_t stream, SpdyReset why);
void append_spdy_ping(std::string& out, std::uint32_t id);

inline constexpr std::size_t kSpdyDataBytesMax = 0xffffff;

}  // namespace tulle::codec
