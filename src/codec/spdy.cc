#include "codec/spdy.h"

#include "base/check.h"

#include <algorithm>

namespace tulle::codec {

namespace {

constexpr std::size_t kHeaderBytes = 8;
constexpr std::uint32_t kControlBit = 0x80000000;
constexpr std::uint32_t kStreamMask = 0x7fffffff;
constexpr std::uint32_t kVersion = 3;
constexpr std::uint8_t kFin = 1;

// The types of control frames that mean something here.
enum Control : std::uint16_t { kOpen = 1, kReply = 2, kReset = 3, kPing = 6, kHeaders = 8 };

std::uint32_t word_at(std::string_view bytes, std::size_t at) {
  std::uint32_t word = 0;
  for (const char byte : bytes.substr(at, 4)) word = word << 8 | static_cast<unsigned char>(byte);
  return word;
}

void append_word(std::string& out, std::uint32_t word) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(word >> shift & 255);
}

void append_control(std::string& out, Control type, std::string_view payload) {
  append_word(out, kControlBit | kVersion << 16 | type);
  append_word(out, static_cast<std::uint32_t>(payload.size()));
  out += payload;
}

}  // namespace

SpdyEvent SpdyDecoder::fail(std::string_view reason) {
  state_ = State::ended;
  SpdyEvent event;
  event.kind = SpdyEvent::Kind::error;
  event.reason = reason;
  return event;
}

SpdyStep SpdyDecoder::decode(std::string_view in) {
  std::size_t consumed = 0;
  const auto take = [&](std::size_t wanted) {
    const std::string_view taken = in.substr(consumed, wanted);
    consumed += taken.size();
    return taken;
  };
  while (state_ != State::ended) {
    SpdyEvent event;
    switch (state_) {
      case State::header:
        frame_ += take(kHeaderBytes - frame_.size());
        if (frame_.size() < kHeaderBytes) return {.consumed = consumed};
        event = begin_frame();
        break;
      case State::control: {
        const std::string_view part = take(remaining_);
        frame_ += part;
        remaining_ -= part.size();
        if (remaining_ > 0) return {.consumed = consumed};
        event = finish_control();
        break;
      }
      case State::data:
        if (consumed == in.size() && remaining_ > 0) return {.consumed = consumed};
        event = take_data(in, consumed);
        break;
      case State::skipped:
        remaining_ -= take(remaining_).size();
        if (remaining_ > 0) return {.consumed = consumed};
        state_ = State::header;
        frame_.clear();
        break;
      case State::ended: break;
    }
    if (event.kind != SpdyEvent::Kind::none) {
      return {.consumed = consumed, .event = std::move(event)};
    }
  }
  return {.consumed = consumed};
}

// §2.2: what comes behind the eight bytes that every frame begins with.
SpdyEvent SpdyDecoder::begin_frame() {
  const std::uint32_t first = word_at(frame_, 0);
  remaining_ = word_at(frame_, 4) & kSpdyDataBytesMax;
  if ((first & kControlBit) == 0) {
    if (first == 0) return fail("a data frame names no stream");
    state_ = State::data;
    return {};
  }
  if ((first >> 16 & 0x7fff) != kVersion) return fail("another version of SPDY");
  switch (first & 0xffff) {
    case kOpen:
    case kReply:
    case kReset:
    case kPing:
    case kHeaders:
      if (remaining_ > limits_.control_bytes_max) return fail("a control frame is too long");
      state_ = State::control;
      break;
    default: state_ = State::skipped; break;
  }
  return {};
}

SpdyEvent SpdyDecoder::take_data(std::string_view in, std::size_t& consumed) {
  SpdyEvent event;
  event.id = word_at(frame_, 0);
  event.data = in.substr(consumed, remaining_);
  consumed += event.data.size();
  remaining_ -= event.data.size();
  if (remaining_ == 0) {
    event.fin = (static_cast<std::uint8_t>(frame_[4]) & kFin) != 0;
    state_ = State::header;
    frame_.clear();
  }
  if (event.fin || !event.data.empty()) event.kind = SpdyEvent::Kind::data;
  return event;
}

SpdyEvent SpdyDecoder::finish_control() {
  SpdyEvent event;
  const std::size_t size = frame_.size() - kHeaderBytes;
  switch (word_at(frame_, 0) & 0xffff) {
    case kOpen: event = finish_headers(SpdyEvent::Kind::open, 10); break;
    case kReply: event = finish_headers(SpdyEvent::Kind::reply, 4); break;
    // More headers of a stream mean nothing here, but belong to what is compressed.
    case kHeaders:
      event = finish_headers(SpdyEvent::Kind::data, 4);
      if (event.kind == SpdyEvent::Kind::data && !event.fin) event.kind = SpdyEvent::Kind::none;
      break;
    case kReset:
      if (size != 8) return fail("a RST_STREAM has another length");
      event.kind = SpdyEvent::Kind::reset;
      event.id = word_at(frame_, kHeaderBytes) & kStreamMask;
      break;
    default:
      if (size != 4) return fail("a PING has another length");
      event.kind = SpdyEvent::Kind::ping;
      event.id = word_at(frame_, kHeaderBytes);
      break;
  }
  if (state_ == State::ended) return event;
  state_ = State::header;
  frame_.clear();
  return event;
}

// A stream's id, other fields, and the header block at `fields_at` of the payload.
SpdyEvent SpdyDecoder::finish_headers(SpdyEvent::Kind kind, std::size_t fields_at) {
  if (frame_.size() < kHeaderBytes + fields_at) return fail("a frame with headers is too short");
  auto headers = inflater_.read(std::string_view(frame_).substr(kHeaderBytes + fields_at),
                                limits_.header_bytes_max);
  if (!headers) return fail("the header block is malformed or too long");
  SpdyEvent event;
  event.kind = kind;
  event.id = word_at(frame_, kHeaderBytes) & kStreamMask;
  event.fin = (static_cast<std::uint8_t>(frame_[4]) & kFin) != 0;
  event.headers = *std::move(headers);
  if (event.id == 0) return fail("a frame with headers names no stream");
  return event;
}

void SpdyEncoder::append_open(std::string& out, std::uint32_t stream, const Headers& headers) {
  std::string payload;
  append_word(payload, stream);
  append_word(payload, 0);  // belongs to no other stream
  payload.append(2, '\0');  // the highest priority, no credential
  append_control(out, kOpen, payload + deflater_.write(headers));
}

void SpdyEncoder::append_reply(std::string& out, std::uint32_t stream, const Headers& headers) {
  std::string payload;
  append_word(payload, stream);
  append_control(out, kReply, payload + deflater_.write(headers));
}

void append_spdy_data(std::string& out, std::uint32_t stream, std::string_view bytes, bool fin) {
  CHECK(bytes.size() <= kSpdyDataBytesMax);
  append_word(out, stream);
  append_word(out,
              (fin ? std::uint32_t{kFin} << 24 : 0) | static_cast<std::uint32_t>(bytes.size()));
  out += bytes;
}

void append_spdy_reset(std::string& out, std::uint32_t stream, SpdyReset why) {
  std::string payload;
  append_word(payload, stream);
  append_word(payload, static_cast<std::uint32_t>(why));
  append_control(out, kReset, payload);
}

void append_spdy_ping(std::string& out, std::uint32_t id) {
  std::string payload;
  append_word(payload, id);
  append_control(out, kPing, payload);
}

}  // namespace tulle::codec
