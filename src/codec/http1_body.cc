// Bodies, RFC 9112 §6 and §7.1.
#include "codec/http1.h"
#include "codec/http1_scan.h"

#include <algorithm>
#include <array>

namespace tulle::codec {
namespace {

constexpr std::size_t chunk_size_digits_max = 16;

// RFC 9110 §6.5.1: what decides about framing, routing, who it is from or how the content is to be
// read comes too late in a trailer, and a server that merges trailers into the head would believe
// it.
bool has_forbidden_trailer(const Headers& trailers) {
  static constexpr auto names = std::to_array<std::string_view>(
      {"content-length", "transfer-encoding", "host", "connection", "upgrade", "te", "trailer",
       "expect", "authorization", "proxy-authorization", "cookie", "set-cookie", "content-encoding",
       "content-range"});
  return std::ranges::any_of(names, [&](auto name) { return trailers.contains(name); });
}

int hex_digit(unsigned char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

}  // namespace

BodyDecoder::BodyDecoder(BodyFraming framing, const Http1Limits& limits) { start(framing, limits); }

void BodyDecoder::start(BodyFraming framing, const Http1Limits& limits) {
  limits_ = limits;
  state_ = State::done;
  reason_ = Http1Reason::ok;
  remaining_ = 0;
  size_digits_ = extension_bytes_ = 0;
  trailer_bytes_.clear();
  trailers_.clear();
  switch (framing.kind) {
    case BodyFraming::Kind::none: break;
    case BodyFraming::Kind::length:
      remaining_ = framing.length;
      if (remaining_ > 0) state_ = State::length;
      break;
    case BodyFraming::Kind::chunked: state_ = State::chunk_size; break;
    case BodyFraming::Kind::until_close:
    case BodyFraming::Kind::tunnel: state_ = State::until_close; break;
  }
}

BodyStep BodyDecoder::fail(Http1Reason reason) {
  state_ = State::failed;
  reason_ = reason;
  return {.reason = reason};
}

BodyStep BodyDecoder::decode(std::string_view in) {
  std::size_t at = 0;
  while (at < in.size()) {
    switch (state_) {
      case State::done: return {.consumed = at, .done = true};
      case State::failed: return {.reason = reason_};
      case State::until_close: return {.consumed = in.size(), .data = in};
      case State::length: return take_data(in, at, State::done);
      case State::chunk_data: return take_data(in, at, State::chunk_data_cr);
      case State::trailers: return read_trailers(in, at);
      case State::chunk_size:
      case State::chunk_size_space:
      case State::chunk_extension:
      case State::chunk_size_lf:
      case State::chunk_data_cr:
      case State::chunk_data_lf: {
        const Http1Reason reason = read_framing_byte(static_cast<unsigned char>(in[at]));
        if (reason != Http1Reason::ok) return fail(reason);
        ++at;
        break;
      }
    }
  }
  return {.consumed = at, .done = done(), .reason = reason_};
}

bool BodyDecoder::finish() {
  if (state_ == State::until_close) state_ = State::done;
  return done();
}

BodyStep BodyDecoder::take_data(std::string_view in, std::size_t offset, State next) {
  const auto length =
      static_cast<std::size_t>(std::min<std::uint64_t>(in.size() - offset, remaining_));
  remaining_ -= length;
  if (remaining_ == 0) state_ = next;
  return {.consumed = offset + length, .data = in.substr(offset, length), .done = done()};
}

Http1Reason BodyDecoder::read_framing_byte(unsigned char byte) {
  switch (state_) {
    case State::chunk_size: return read_chunk_size(byte);
    case State::chunk_size_space:
    case State::chunk_extension: return read_chunk_extension(byte);
    case State::chunk_size_lf:
      if (byte != '\n') return Http1Reason::bare_cr;
      state_ = remaining_ > 0 ? State::chunk_data : State::trailers;
      size_digits_ = 0;
      trailer_fields_.start(0);
      return Http1Reason::ok;
    case State::chunk_data_cr:
      if (byte != '\r') return Http1Reason::bad_chunk_end;
      state_ = State::chunk_data_lf;
      return Http1Reason::ok;
    case State::chunk_data_lf:
      if (byte != '\n') return Http1Reason::bad_chunk_end;
      state_ = State::chunk_size;
      return Http1Reason::ok;
    case State::length:
    case State::until_close:
    case State::chunk_data:
    case State::trailers:
    case State::done:
    case State::failed: break;
  }
  return Http1Reason::ok;
}

Http1Reason BodyDecoder::read_chunk_size(unsigned char byte) {
  const int digit = hex_digit(byte);
  if (digit >= 0) {
    if (++size_digits_ > chunk_size_digits_max || remaining_ >> 59 != 0) {
      return Http1Reason::bad_chunk_size;
    }
    remaining_ = remaining_ << 4 | static_cast<std::uint64_t>(digit);
    return Http1Reason::ok;
  }
  if (size_digits_ == 0) return Http1Reason::bad_chunk_size;
  switch (byte) {
    case '\r': state_ = State::chunk_size_lf; return Http1Reason::ok;
    case '\n': return Http1Reason::bare_lf;
    case ';':
    case ' ':
    case '\t': state_ = State::chunk_size_space; return read_chunk_extension(byte);
    default: return Http1Reason::bad_chunk_size;
  }
}

// Extensions mean nothing to us, but a few bytes of data under kilobytes of extension each are an
// attack: all of a body count together.
Http1Reason BodyDecoder::read_chunk_extension(unsigned char byte) {
  if (byte == '\r') {
    state_ = State::chunk_size_lf;
    return Http1Reason::ok;
  }
  if (byte == '\n') return Http1Reason::bare_lf;
  if (ends_value(static_cast<char>(byte))) return Http1Reason::bad_chunk_extension;
  if (state_ == State::chunk_size_space) {
    if (byte == ';')
      state_ = State::chunk_extension;
    else if (!is_blank(static_cast<char>(byte)))
      return Http1Reason::bad_chunk_size;
  }
  if (++extension_bytes_ > limits_.chunk_extension_bytes_max) {
    return Http1Reason::chunk_extension_too_large;
  }
  return Http1Reason::ok;
}

BodyStep BodyDecoder::read_trailers(std::string_view in, std::size_t offset) {
  const std::size_t before = trailer_bytes_.size();
  if (before == 0 && in.substr(offset).starts_with("\r\n")) {  // hardly anybody sends trailers
    state_ = State::done;
    return {.consumed = offset + 2, .done = true};
  }
  trailer_bytes_.append(in.substr(offset, limits_.trailer_bytes_max - before));
  switch (trailer_fields_.scan(trailer_bytes_, limits_.fields_max)) {
    case FieldScanner::Outcome::error: return fail(trailer_fields_.reason());
    case FieldScanner::Outcome::incomplete:
      if (trailer_bytes_.size() >= limits_.trailer_bytes_max) {
        return fail(Http1Reason::trailers_too_large);
      }
      return {.consumed = in.size()};
    case FieldScanner::Outcome::complete: break;
  }
  trailer_fields_.store(trailer_bytes_, trailers_);
  if (has_forbidden_trailer(trailers_)) return fail(Http1Reason::forbidden_trailer);
  state_ = State::done;
  return {.consumed = offset + trailer_fields_.position() - before, .done = true};
}

}  // namespace tulle::codec
