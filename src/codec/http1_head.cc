// Heads: field lines, start lines, and what must hold between the fields.
#include "base/check.h"
#include "codec/http1.h"
#include "codec/http1_scan.h"

#include <algorithm>

namespace tulle::codec {
namespace {

using Outcome = HeadResult::Outcome;

constexpr std::string_view version_form = "HTTP/d.d";

// reg-name or IPv4 address: unreserved, sub-delims and percent coding, RFC 3986 §3.2.2.
constexpr ByteSet host_bytes = byte_set("-._~!$&'()*+,;=%");
constexpr ByteSet address_bytes = byte_set(":.");
constexpr ByteSet scheme_bytes = byte_set("+-.");

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

enum class Port : std::uint8_t { optional, required };

bool is_port(std::string_view text) {
  return text.size() <= 5 && std::ranges::all_of(text, is_digit);
}

// uri-host [ ":" port ], without user information.
bool is_authority(std::string_view text, Port port) {
  std::size_t end = 0;
  if (text.starts_with('[')) {
    end = skip(address_bytes, text, 1);
    if (end == 1 || end == text.size() || text[end] != ']') return false;
    ++end;
  } else {
    end = skip(host_bytes, text, 0);
  }
  if (end == text.size()) return port == Port::optional;
  if (text[end] != ':' || !is_port(text.substr(end + 1))) return false;
  return port == Port::optional || (end > 0 && end + 1 < text.size());
}

// scheme "://" authority, and whatever comes behind it.
bool is_absolute_form(std::string_view target) {
  const std::size_t colon = skip(scheme_bytes, target, 0);
  if (colon == 0 || is_digit(target[0]) || !target.substr(colon).starts_with("://")) return false;
  const std::string_view rest = target.substr(colon + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  return !authority.empty() && authority.front() != ':' && is_authority(authority, Port::optional);
}

// RFC 9112 §3.2.
bool is_target_form(std::string_view method, std::string_view target) {
  if (method == "CONNECT") return is_authority(target, Port::required);
  if (target.starts_with('/')) return true;
  if (target == "*") return method == "OPTIONS";
  return is_absolute_form(target);
}

struct FramingFields {
  std::string_view host;
  std::size_t hosts = 0;
  std::string_view length;
  std::size_t lengths = 0;
  bool lengths_differ = false;
  std::string_view coding;
  std::size_t codings = 0;
};

FramingFields framing_fields(const Headers& headers) {
  FramingFields found;
  for (const auto [name, value] : headers) {
    // The length tells nearly all fields apart without looking at their bytes.
    switch (name.size()) {
      case 4:
        if (!equals_ignoring_case(name, "host")) break;
        found.host = value;
        ++found.hosts;
        break;
      case 14:
        if (!equals_ignoring_case(name, "content-length")) break;
        found.lengths_differ = found.lengths_differ || (found.lengths > 0 && found.length != value);
        found.length = value;
        ++found.lengths;
        break;
      case 17:
        if (!equals_ignoring_case(name, "transfer-encoding")) break;
        found.coding = value;
        ++found.codings;
        break;
      default: break;
    }
  }
  return found;
}

// RFC 9112 §6.1 to §6.3, at their strictest: where a message leaves a choice of where it ends,
// it is refused.
Http1Reason check_framing(const FramingFields& fields, int minor_version) {
  if (fields.lengths_differ) return Http1Reason::conflicting_content_length;
  if (fields.lengths > 1) return Http1Reason::duplicate_content_length;
  if (fields.lengths == 1 && !parse_content_length(fields.length)) {
    return Http1Reason::bad_content_length;
  }
  if (fields.codings == 0) return Http1Reason::ok;
  if (fields.lengths > 0) return Http1Reason::length_with_chunked;
  if (minor_version == 0) return Http1Reason::transfer_encoding_in_http_1_0;
  if (fields.codings > 1) return Http1Reason::duplicate_transfer_encoding;
  if (!equals_ignoring_case(fields.coding, "chunked")) {
    return Http1Reason::unsupported_transfer_coding;
  }
  return Http1Reason::ok;
}

Http1Reason check_request(const RequestHead& head) {
  if (!is_target_form(head.method, head.target)) return Http1Reason::bad_target_form;
  const FramingFields fields = framing_fields(head.headers);
  if (fields.hosts > 1) return Http1Reason::duplicate_host;
  if (fields.hosts == 0 && head.minor_version >= 1) return Http1Reason::missing_host;
  if (!is_authority(fields.host, Port::optional)) return Http1Reason::bad_host;
  return check_framing(fields, head.minor_version);
}

struct VersionScan {
  Http1Reason reason = Http1Reason::ok;
  bool complete = false;
};

// "HTTP/1.x" from `mark` on; `position` is where the last call stopped.
VersionScan scan_http_version(std::string_view in, std::size_t mark, std::size_t& position) {
  for (; position - mark < version_form.size(); ++position) {
    if (position == in.size()) return {};
    const char form = version_form[position - mark];
    const bool fits = form == 'd' ? is_digit(in[position]) : in[position] == form;
    if (!fits) return {.reason = Http1Reason::bad_version};
  }
  if (in[mark + 5] != '1') return {.reason = Http1Reason::unsupported_version};
  return {.complete = true};
}

std::uint32_t offset32(std::size_t offset) { return static_cast<std::uint32_t>(offset); }

void check_limits(const Http1Limits& limits) { CHECK(limits.head_bytes_max < (1ULL << 31)); }

}  // namespace

void FieldScanner::start(std::size_t offset) {
  state_ = State::line_start;
  reason_ = Http1Reason::ok;
  start_ = position_ = mark_ = offset;
  fields_.clear();
}

FieldScanner::Outcome FieldScanner::fail(Http1Reason reason) {
  reason_ = reason;
  return Outcome::error;
}

Http1Reason FieldScanner::start_line(char byte) {
  switch (byte) {
    case '\n': return Http1Reason::bare_lf;
    case ' ':
    case '\t': return Http1Reason::obs_fold;
    case ':': return Http1Reason::empty_field_name;
    default: break;
  }
  mark_ = position_;
  state_ = State::name;
  return Http1Reason::ok;
}

Http1Reason FieldScanner::end_name(char byte) {
  if (is_blank(byte)) return Http1Reason::space_before_colon;
  if (byte != ':') return Http1Reason::bad_name_character;
  fields_.push_back(
      {.name_offset = offset32(mark_ - start_), .name_length = offset32(position_ - mark_)});
  state_ = State::before_value;
  return Http1Reason::ok;
}

Http1Reason FieldScanner::end_value(std::string_view in, std::size_t end) {
  if (in[end] == '\n') return Http1Reason::bare_lf;
  if (in[end] != '\r') return Http1Reason::bad_value_character;
  while (end > mark_ && is_blank(in[end - 1])) --end;
  fields_.back().value_offset = offset32(mark_ - start_);
  fields_.back().value_length = offset32(end - mark_);
  state_ = State::value_lf;
  return Http1Reason::ok;
}

FieldScanner::Outcome FieldScanner::scan(std::string_view in, std::size_t fields_max) {
  while (position_ < in.size()) {
    Http1Reason reason = Http1Reason::ok;
    switch (state_) {
      case State::line_start:
        if (in[position_] == '\r') {
          state_ = State::last_lf;
          ++position_;
          break;
        }
        reason = start_line(in[position_]);
        if (reason == Http1Reason::ok && fields_.size() >= fields_max) {
          reason = Http1Reason::too_many_fields;
        }
        break;
      case State::name:
        position_ = skip(token_bytes, in, position_);
        if (position_ == in.size()) return Outcome::incomplete;
        reason = end_name(in[position_]);
        ++position_;
        break;
      case State::before_value:
        while (position_ < in.size() && is_blank(in[position_])) ++position_;
        if (position_ == in.size()) return Outcome::incomplete;
        mark_ = position_;
        state_ = State::value;
        [[fallthrough]];
      case State::value:
        position_ = find_value_end(in, position_);
        if (position_ == in.size()) return Outcome::incomplete;
        reason = end_value(in, position_);
        ++position_;
        break;
      case State::value_lf:
        if (in[position_] != '\n') return fail(Http1Reason::bare_cr);
        state_ = State::line_start;
        ++position_;
        break;
      case State::last_lf:
        if (in[position_] != '\n') return fail(Http1Reason::bare_cr);
        ++position_;
        return Outcome::complete;
    }
    if (reason != Http1Reason::ok) return fail(reason);
  }
  return Outcome::incomplete;
}

void FieldScanner::store(std::string_view in, Headers& headers) const {
  headers.assign(in.substr(start_, position_ - start_), fields_);
}

RequestParser::RequestParser(const Http1Limits& limits) : limits_(limits) { check_limits(limits); }

void RequestParser::reset() {
  state_ = State::method;
  position_ = mark_ = 0;
}

HeadResult RequestParser::error(Http1Reason reason) {
  reset();
  return {.outcome = Outcome::error, .reason = reason};
}

HeadResult RequestParser::parse(std::string_view in, RequestHead& head) {
  in = in.substr(0, limits_.head_bytes_max);
  if (state_ != State::fields) {
    const Http1Reason reason = scan_start_line(in);
    if (reason != Http1Reason::ok) return error(reason);
  }
  auto scanned = FieldScanner::Outcome::incomplete;
  if (state_ == State::fields) scanned = fields_.scan(in, limits_.fields_max);
  switch (scanned) {
    case FieldScanner::Outcome::incomplete:
      if (in.size() == limits_.head_bytes_max) return error(Http1Reason::head_too_large);
      return {};
    case FieldScanner::Outcome::error: return error(fields_.reason());
    case FieldScanner::Outcome::complete: break;
  }
  head.method.assign(in.substr(line_.name_offset, line_.name_length));
  head.target.assign(in.substr(line_.value_offset, line_.value_length));
  head.minor_version = minor_version_;
  fields_.store(in, head.headers);
  const Http1Reason reason = check_request(head);
  if (reason != Http1Reason::ok) return error(reason);
  reset();
  return {.outcome = Outcome::complete, .consumed = fields_.position()};
}

Http1Reason RequestParser::scan_start_line(std::string_view in) {
  State before = state_;
  do {
    before = state_;
    Http1Reason reason = Http1Reason::ok;
    switch (state_) {
      case State::method: reason = scan_method(in); break;
      case State::target: reason = scan_target(in); break;
      case State::version:
      case State::version_lf: reason = scan_version(in); break;
      case State::fields: return Http1Reason::ok;
    }
    if (reason != Http1Reason::ok) return reason;
  } while (state_ != before);
  return Http1Reason::ok;
}

Http1Reason RequestParser::scan_method(std::string_view in) {
  while (position_ == mark_ && position_ + 1 < in.size() && in[position_] == '\r') {
    if (in[position_ + 1] != '\n') return Http1Reason::bare_cr;
    mark_ = position_ += 2;
  }
  const std::string_view reach = in.substr(0, mark_ + limits_.method_bytes_max + 1);
  position_ = skip(token_bytes, reach, position_);
  const std::size_t length = position_ - mark_;
  if (length > limits_.method_bytes_max) return Http1Reason::method_too_long;
  if (position_ == in.size()) return Http1Reason::ok;
  if (length == 0 && in[position_] == '\r') return Http1Reason::ok;
  if (length == 0 && in[position_] == '\n') return Http1Reason::bare_lf;
  if (length == 0 || in[position_] != ' ') return Http1Reason::bad_method;
  line_.name_offset = offset32(mark_);
  line_.name_length = offset32(length);
  mark_ = ++position_;
  state_ = State::target;
  return Http1Reason::ok;
}

Http1Reason RequestParser::scan_target(std::string_view in) {
  const std::string_view reach = in.substr(0, mark_ + limits_.target_bytes_max + 1);
  position_ = find_target_end(reach, position_);
  const std::size_t length = position_ - mark_;
  if (length > limits_.target_bytes_max) return Http1Reason::target_too_long;
  if (position_ == in.size()) return Http1Reason::ok;
  const char end = in[position_];
  // HTTP/0.9 ended its request here.
  if (length > 0 && (end == '\r' || end == '\n')) return Http1Reason::bad_version;
  if (length == 0 || end != ' ') return Http1Reason::bad_target_character;
  line_.value_offset = offset32(mark_);
  line_.value_length = offset32(length);
  mark_ = ++position_;
  state_ = State::version;
  return Http1Reason::ok;
}

Http1Reason RequestParser::scan_version(std::string_view in) {
  if (state_ == State::version) {
    const VersionScan scan = scan_http_version(in, mark_, position_);
    if (!scan.complete) return scan.reason;
    if (position_ == in.size()) return Http1Reason::ok;
    if (in[position_] == '\n') return Http1Reason::bare_lf;
    if (in[position_] != '\r') return Http1Reason::bad_version;
    minor_version_ = in[position_ - 1] - '0';
    ++position_;
    state_ = State::version_lf;
  }
  if (position_ == in.size()) return Http1Reason::ok;
  if (in[position_] != '\n') return Http1Reason::bare_cr;
  ++position_;
  state_ = State::fields;
  fields_.start(position_);
  return Http1Reason::ok;
}

ResponseParser::ResponseParser(const Http1Limits& limits) : limits_(limits) {
  check_limits(limits);
}

void ResponseParser::reset() {
  state_ = State::version;
  position_ = mark_ = 0;
}

HeadResult ResponseParser::error(Http1Reason reason) {
  reset();
  return {.outcome = Outcome::error, .reason = reason};
}

HeadResult ResponseParser::parse(std::string_view in, ResponseHead& head) {
  in = in.substr(0, limits_.head_bytes_max);
  if (state_ != State::fields) {
    const Http1Reason reason = scan_start_line(in);
    if (reason != Http1Reason::ok) return error(reason);
  }
  auto scanned = FieldScanner::Outcome::incomplete;
  if (state_ == State::fields) scanned = fields_.scan(in, limits_.fields_max);
  switch (scanned) {
    case FieldScanner::Outcome::incomplete:
      if (in.size() == limits_.head_bytes_max) return error(Http1Reason::head_too_large);
      return {};
    case FieldScanner::Outcome::error: return error(fields_.reason());
    case FieldScanner::Outcome::complete: break;
  }
  head.status = status_;
  head.reason.assign(in.substr(line_.value_offset, line_.value_length));
  head.minor_version = minor_version_;
  fields_.store(in, head.headers);
  const Http1Reason reason = check_framing(framing_fields(head.headers), minor_version_);
  if (reason != Http1Reason::ok) return error(reason);
  reset();
  return {.outcome = Outcome::complete, .consumed = fields_.position()};
}

Http1Reason ResponseParser::scan_start_line(std::string_view in) {
  State before = state_;
  do {
    before = state_;
    Http1Reason reason = Http1Reason::ok;
    switch (state_) {
      case State::version: {
        const VersionScan scan = scan_http_version(in, mark_, position_);
        reason = scan.reason;
        if (!scan.complete || position_ == in.size()) break;
        if (in[position_] != ' ') return Http1Reason::bad_version;
        minor_version_ = in[position_ - 1] - '0';
        mark_ = ++position_;
        state_ = State::status;
        break;
      }
      case State::status: reason = scan_status(in); break;
      case State::before_reason:
      case State::reason:
      case State::reason_lf: reason = scan_reason(in); break;
      case State::fields: return Http1Reason::ok;
    }
    if (reason != Http1Reason::ok) return reason;
  } while (state_ != before);
  return Http1Reason::ok;
}

Http1Reason ResponseParser::scan_status(std::string_view in) {
  if (position_ == mark_) status_ = 0;
  for (; position_ - mark_ < 3; ++position_) {
    if (position_ == in.size()) return Http1Reason::ok;
    if (!is_digit(in[position_])) return Http1Reason::bad_status;
    status_ = status_ * 10 + (in[position_] - '0');
  }
  if (status_ < 100) return Http1Reason::bad_status;
  state_ = State::before_reason;
  return Http1Reason::ok;
}

Http1Reason ResponseParser::scan_reason(std::string_view in) {
  if (position_ == in.size()) return Http1Reason::ok;
  if (state_ == State::before_reason) {
    if (in[position_] == ' ')
      ++position_;
    else if (in[position_] != '\r' && in[position_] != '\n')
      return Http1Reason::bad_status;
    mark_ = position_;
    state_ = State::reason;
  }
  if (state_ == State::reason) {
    position_ = find_value_end(in, position_);
    if (position_ == in.size()) return Http1Reason::ok;
    if (in[position_] == '\n') return Http1Reason::bare_lf;
    if (in[position_] != '\r') return Http1Reason::bad_reason_character;
    line_.value_offset = offset32(mark_);
    line_.value_length = offset32(position_ - mark_);
    ++position_;
    state_ = State::reason_lf;
  }
  if (position_ == in.size()) return Http1Reason::ok;
  if (in[position_] != '\n') return Http1Reason::bare_cr;
  ++position_;
  state_ = State::fields;
  fields_.start(position_);
  return Http1Reason::ok;
}

}  // namespace tulle::codec
