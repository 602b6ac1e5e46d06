#include "codec/websocket.h"

#include "base/check.h"
#include "codec/base64.h"
#include "codec/utf8.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

namespace tulle::codec {
namespace {

constexpr std::string_view handshake_guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::size_t control_bytes_max = 125;
constexpr std::size_t key_bytes = 16;

bool is_control(WebSocketOpcode opcode) { return (static_cast<unsigned>(opcode) & 8) != 0; }

bool is_known(unsigned opcode) { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

// §7.4: the codes that may stand on the wire.
bool is_close_code(unsigned code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

// Bytes of the longer length that the second byte of a header announces.
std::size_t extended_bytes(std::uint8_t second) {
  const unsigned length = second & 0x7f;
  return length == 127 ? 8 : length == 126 ? 2 : 0;
}

void apply_mask(char* data, std::size_t size, const WebSocketMask& mask, std::size_t offset) {
  for (std::size_t i = 0; i < size; ++i) {
    data[i] = static_cast<char>(static_cast<unsigned char>(data[i]) ^ mask[(offset + i) & 3]);
  }
}

}  // namespace

Result<std::string> websocket_accept_key(std::string_view key) {
  const auto decoded = base64_decode(key);
  if (!decoded || decoded->size() != key_bytes || key.size() != 24) {
    return fail(Code::malformed, "Sec-WebSocket-Key is not the base64 of 16 bytes");
  }
  std::string text(key);
  text += handshake_guid;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1) {
    return fail(Code::internal, "libcrypto has no SHA-1");
  }
  return base64_encode({reinterpret_cast<const char*>(digest.data()), size});
}

std::string websocket_key(const std::array<std::uint8_t, 16>& random) {
  return base64_encode({reinterpret_cast<const char*>(random.data()), random.size()});
}

void append_websocket_frame(std::string& out, const WebSocketFrame& frame,
                            std::string_view payload) {
  CHECK(!is_control(frame.opcode) || (frame.fin && payload.size() <= control_bytes_max));
  const unsigned mask_bit = frame.mask ? 0x80 : 0;
  const auto add = [&](unsigned byte) { out += static_cast<char>(byte); };
  add((frame.fin ? 0x80U : 0U) | static_cast<unsigned>(frame.opcode));
  std::size_t length_bytes = 0;
  if (payload.size() <= control_bytes_max) {
    add(mask_bit | static_cast<unsigned>(payload.size()));
  } else if (payload.size() <= 0xffff) {
    add(mask_bit | 126);
    length_bytes = 2;
  } else {
    add(mask_bit | 127);
    length_bytes = 8;
  }
  for (std::size_t i = length_bytes; i-- > 0;) {
    add(static_cast<unsigned>(std::uint64_t{payload.size()} >> (8 * i) & 255));
  }
  if (frame.mask) {
    for (const std::uint8_t byte : *frame.mask) add(byte);
  }
  const std::size_t start = out.size();
  out += payload;
  if (frame.mask) apply_mask(out.data() + start, payload.size(), *frame.mask, 0);
}

void append_websocket_close(std::string& out, WebSocketClose code, std::string_view reason,
                            std::optional<WebSocketMask> mask) {
  std::string payload;
  if (code != WebSocketClose::no_status) {
    const auto value = static_cast<unsigned>(code);
    payload += static_cast<char>(value >> 8);
    payload += static_cast<char>(value & 255);
    payload += utf8_prefix(reason, control_bytes_max - payload.size());
  }
  append_websocket_frame(out, {.opcode = WebSocketOpcode::close, .mask = mask}, payload);
}

WebSocketDecoder::WebSocketDecoder(Role role, const WebSocketLimits& limits)
    : role_(role), limits_(limits) {}

WebSocketStep WebSocketDecoder::fail(std::size_t consumed, WebSocketClose code,
                                     std::string_view reason) {
  state_ = State::ended;
  WebSocketStep step{.consumed = consumed};
  step.event = {.kind = WebSocketEvent::Kind::error, .code = code, .reason = reason};
  return step;
}

// How long the header is, as far as what was read of it tells.
std::size_t WebSocketDecoder::header_size() const {
  if (header_read_ < 2) return 2;
  return 2 + extended_bytes(header_[1]) + ((header_[1] & 0x80) != 0 ? 4 : 0);
}

// What is wrong with the first two bytes, or nothing.
std::string_view WebSocketDecoder::check_header() {
  const bool fin = (header_[0] & 0x80) != 0;
  const unsigned opcode = header_[0] & 0x0f;
  const bool masked = (header_[1] & 0x80) != 0;
  if ((header_[0] & 0x70) != 0) return "a reserved bit is set";
  if (!is_known(opcode)) return "unknown opcode";
  if (masked != (role_ == Role::server)) {
    return masked ? "the server masked a frame" : "the client did not mask a frame";
  }
  if (is_control()) {
    if (!fin) return "a control frame is fragmented";
    if ((header_[1] & 0x7f) > control_bytes_max) return "a control frame is too long";
    return {};
  }
  const bool goes_on = opcode == static_cast<unsigned>(WebSocketOpcode::continuation);
  if (goes_on && !message_) return "a continuation of no message";
  if (!goes_on && message_) return "a message begins within another";
  return {};
}

void WebSocketDecoder::read_header() {
  const std::size_t extended = extended_bytes(header_[1]);
  remaining_ = extended == 0 ? header_[1] & 0x7fU : 0;
  for (std::size_t i = 0; i < extended; ++i) remaining_ = remaining_ << 8 | header_[2 + i];
  mask_.reset();
  mask_offset_ = 0;
  if ((header_[1] & 0x80) != 0) {
    WebSocketMask mask;
    std::memcpy(mask.data(), header_.data() + 2 + extended, mask.size());
    mask_ = mask;
  }
  opcode_ = static_cast<WebSocketOpcode>(header_[0] & 0x0f);
  if (!is_control() && !message_) message_ = opcode_;
}

WebSocketStep WebSocketDecoder::decode(std::string_view in) {
  if (delivered_) {
    delivered_ = false;
    message_bytes_.clear();
  }
  std::size_t at = 0;
  WebSocketStep step;
  while (step.event.kind == WebSocketEvent::Kind::none) {
    switch (state_) {
      case State::ended: return {.consumed = at};
      case State::header:
        if (at == in.size()) return {.consumed = at};
        step = take_header_byte(static_cast<unsigned char>(in[at]), at + 1);
        ++at;
        break;
      case State::payload:
        at += take_payload(in.substr(at));
        if (remaining_ > 0) return {.consumed = at};
        step = finish_frame(at);
        break;
    }
  }
  return step;
}

WebSocketStep WebSocketDecoder::take_header_byte(std::uint8_t byte, std::size_t consumed) {
  header_[header_read_++] = byte;
  if (header_read_ == 2) {
    const std::string_view wrong = check_header();
    if (!wrong.empty()) return fail(consumed, WebSocketClose::protocol_error, wrong);
  }
  if (header_read_ < header_size()) return {.consumed = consumed};
  read_header();
  const std::size_t extended = extended_bytes(header_[1]);
  if (remaining_ >> 63 != 0 || (extended == 2 && remaining_ <= control_bytes_max) ||
      (extended == 8 && remaining_ <= 0xffff)) {
    return fail(consumed, WebSocketClose::protocol_error, "a length in the wrong form");
  }
  state_ = State::payload;
  if (is_control()) {
    control_bytes_.clear();
    return {.consumed = consumed};
  }
  if (remaining_ > limits_.message_bytes_max - message_bytes_.size()) {
    return fail(consumed, WebSocketClose::message_too_big, "the message is too long");
  }
  if (++fragments_ > limits_.fragments_max) {
    return fail(consumed, WebSocketClose::policy_violation, "the message has too many fragments");
  }
  return {.consumed = consumed};
}

std::size_t WebSocketDecoder::take_payload(std::string_view in) {
  std::string& target = is_control() ? control_bytes_ : message_bytes_;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(in.size(), remaining_));
  const std::size_t start = target.size();
  target.append(in.substr(0, size));
  if (mask_) apply_mask(target.data() + start, size, *mask_, mask_offset_);
  mask_offset_ = (mask_offset_ + size) & 3;
  remaining_ -= size;
  return size;
}

WebSocketStep WebSocketDecoder::finish_frame(std::size_t consumed) {
  state_ = State::header;
  header_read_ = 0;
  WebSocketStep step{.consumed = consumed};
  switch (opcode_) {
    case WebSocketOpcode::ping:
      step.event = {.kind = WebSocketEvent::Kind::ping, .payload = control_bytes_};
      return step;
    case WebSocketOpcode::pong:
      step.event = {.kind = WebSocketEvent::Kind::pong, .payload = control_bytes_};
      return step;
    case WebSocketOpcode::close: return finish_close(consumed);
    case WebSocketOpcode::continuation:
    case WebSocketOpcode::text:
    case WebSocketOpcode::binary: break;
  }
  return (header_[0] & 0x80) != 0 ? finish_message(consumed) : step;
}

WebSocketStep WebSocketDecoder::finish_message(std::size_t consumed) {
  const WebSocketOpcode opcode = *message_;
  message_.reset();
  fragments_ = 0;
  delivered_ = true;
  if (opcode == WebSocketOpcode::text && !is_utf8(message_bytes_)) {
    return fail(consumed, WebSocketClose::invalid_payload, "a text message is not UTF-8");
  }
  WebSocketStep step{.consumed = consumed};
  step.event = {.kind = WebSocketEvent::Kind::message, .opcode = opcode, .payload = message_bytes_};
  return step;
}

WebSocketStep WebSocketDecoder::finish_close(std::size_t consumed) {
  std::string_view reason = control_bytes_;
  auto code = WebSocketClose::no_status;
  if (!reason.empty()) {
    if (reason.size() < 2) {
      return fail(consumed, WebSocketClose::protocol_error, "half a close code");
    }
    const unsigned value = static_cast<unsigned>(static_cast<unsigned char>(reason[0])) << 8 |
                           static_cast<unsigned char>(reason[1]);
    if (!is_close_code(value)) {
      return fail(consumed, WebSocketClose::protocol_error, "no valid close code");
    }
    code = static_cast<WebSocketClose>(value);
    reason.remove_prefix(2);
  }
  if (!is_utf8(reason)) {
    return fail(consumed, WebSocketClose::invalid_payload, "a close reason is not UTF-8");
  }
  state_ = State::ended;
  WebSocketStep step{.consumed = consumed};
  step.event = {.kind = WebSocketEvent::Kind::close, .payload = reason, .code = code};
  return step;
}

}  // namespace tulle::codec
