#include "codec/http_message.h"

#include "base/check.h"
#include "base/text.h"
#include "codec/http1_scan.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace tulle::codec {
namespace {

// Calls visit(token) for each non-empty element of a comma-separated list, until it says true.
template <class Visit>
bool any_token(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const std::string_view token = trim(take_until(list, ','));
    if (!token.empty() && visit(token)) return true;
  }
  return false;
}

BodyFraming length_framing(std::uint64_t length) {
  return {.kind = BodyFraming::Kind::length, .length = length};
}

// What the fields alone say: nothing if they say nothing.
std::optional<BodyFraming> framing_of(const Headers& headers) {
  if (headers.contains("transfer-encoding")) return BodyFraming{.kind = BodyFraming::Kind::chunked};
  if (const auto value = headers.get("content-length")) {
    if (const auto length = parse_content_length(*value)) return length_framing(*length);
  }
  return std::nullopt;
}

bool keeps_alive(int minor_version, const Headers& headers) {
  if (headers.contains_token("connection", "close")) return false;
  return minor_version >= 1 || headers.contains_token("connection", "keep-alive");
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

bool is_token(std::string_view text) {
  return !text.empty() && skip(token_bytes, text, 0) == text.size();
}

bool is_field_value(std::string_view text) { return find_value_end(text, 0) == text.size(); }

Headers::Headers(std::initializer_list<Header> fields) {
  for (const auto& [name, value] : fields) append(name, value);
}

std::size_t Headers::search(std::string_view name, std::size_t from) const {
  for (std::size_t i = from; i < fields_.size(); ++i) {
    if (fields_[i].name_length == name.size() && equals_ignoring_case((*this)[i].name, name)) {
      return i;
    }
  }
  return fields_.size();
}

std::size_t Headers::count(std::string_view name) const {
  std::size_t result = 0;
  for (std::size_t i = find(name); i < size(); i = find(name, i + 1)) ++result;
  return result;
}

bool Headers::search_token(std::string_view name, std::string_view token) const {
  for (std::size_t i = find(name); i < size(); i = find(name, i + 1)) {
    const auto is_it = [&](std::string_view each) { return equals_ignoring_case(each, token); };
    if (any_token((*this)[i].value, is_it)) return true;
  }
  return false;
}

void Headers::append(std::string_view name, std::string_view value) {
  CHECK(is_token(name));
  const auto is_own = [&](std::string_view view) {
    return view.data() >= bytes_.data() && view.data() < bytes_.data() + bytes_.size();
  };
  if (is_own(name) || is_own(value)) {  // views of what may move when it grows
    append(std::string(name), std::string(value));
    return;
  }
  const std::size_t start = bytes_.size();
  bytes_.append(name).append(value);
  const std::size_t value_start = start + name.size();
  std::size_t at = value_start;
  while ((at = find_value_end(bytes_, at)) < bytes_.size()) bytes_[at] = ' ';
  const auto trimmed = trim(std::string_view(bytes_).substr(value_start));
  filter_ |= filter_bit(name);
  fields_.push_back({.name_offset = static_cast<std::uint32_t>(start),
                     .name_length = static_cast<std::uint32_t>(name.size()),
                     .value_offset = static_cast<std::uint32_t>(trimmed.data() - bytes_.data()),
                     .value_length = static_cast<std::uint32_t>(trimmed.size())});
}

void Headers::set(std::string_view name, std::string_view value) {
  const std::size_t first = find(name);
  const std::size_t before = size();
  append(name, value);
  if (first == before) return;
  const Field added = fields_.back();
  fields_.pop_back();
  fields_[first] = added;
  for (std::size_t i = find(name, first + 1); i < size(); i = find(name, i)) {
    fields_.erase(fields_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

std::size_t Headers::erase(std::string_view name) {
  return std::erase_if(fields_, [&](const Field& field) {
    return field.name_length == name.size() &&
           equals_ignoring_case({bytes_.data() + field.name_offset, field.name_length}, name);
  });
}

void Headers::remove_at(std::size_t index) {
  CHECK(index < size());
  fields_.erase(fields_.begin() + static_cast<std::ptrdiff_t>(index));
}

void Headers::remove_hop_by_hop_names() {
  static constexpr std::uint64_t all =
      filter_bit("te") | filter_bit("upgrade") | filter_bit("connection") |
      filter_bit("keep-alive") | filter_bit("proxy-connection") | filter_bit("transfer-encoding");
  if ((filter_ & all) == 0) return;
  std::erase_if(fields_, [&](const Field& field) {
    const std::string_view name(bytes_.data() + field.name_offset, field.name_length);
    // The length rules out nearly every field without a look at its bytes.
    switch (name.size()) {
      case 2: return equals_ignoring_case(name, "te");
      case 7: return equals_ignoring_case(name, "upgrade");
      case 10:
        return equals_ignoring_case(name, "connection") || equals_ignoring_case(name, "keep-alive");
      case 16: return equals_ignoring_case(name, "proxy-connection");
      case 17: return equals_ignoring_case(name, "transfer-encoding");
      default: return false;
    }
  });
}

void Headers::clear() {
  bytes_.clear();
  fields_.clear();
  filter_ = 0;
}

std::size_t Headers::byte_size() const {
  std::size_t result = 0;
  for (const Field& field : fields_) result += field.name_length + field.value_length;
  return result;
}

void Headers::assign(std::string_view block, std::span<const Field> fields) {
  bytes_.assign(block);
  fields_.assign(fields.begin(), fields.end());
  filter_ = 0;
  for (const auto [name, value] : *this) filter_ |= filter_bit(name);
}

bool Headers::operator==(const Headers& other) const {
  return std::equal(begin(), end(), other.begin(), other.end(), [](Header a, Header b) {
    return equals_ignoring_case(a.name, b.name) && a.value == b.value;
  });
}

void RequestHead::clear() {
  method.clear();
  target.clear();
  minor_version = 1;
  headers.clear();
}

void ResponseHead::clear() {
  status = 200;
  reason.clear();
  minor_version = 1;
  headers.clear();
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "";
  }
}

BodyFraming body_framing(const RequestHead& request) {
  return framing_of(request.headers).value_or(BodyFraming{});
}

BodyFraming body_framing(const ResponseHead& response, std::string_view request_method) {
  const int status = response.status;
  const bool successful = status >= 200 && status < 300;
  if (status == 101 || (request_method == "CONNECT" && successful)) {
    return {.kind = BodyFraming::Kind::tunnel};
  }
  if (request_method == "HEAD" || status < 200 || status == 204 || status == 304) return {};
  return framing_of(response.headers).value_or(BodyFraming{.kind = BodyFraming::Kind::until_close});
}

bool keep_alive(const RequestHead& request) {
  return keeps_alive(request.minor_version, request.headers);
}

bool keep_alive(const ResponseHead& response) {
  return keeps_alive(response.minor_version, response.headers);
}

bool expects_continue(const RequestHead& request) {
  return request.minor_version >= 1 && request.headers.contains_token("expect", "100-continue");
}

bool is_upgrade(const RequestHead& request) {
  return request.minor_version >= 1 && request.headers.contains("upgrade") &&
         request.headers.contains_token("connection", "upgrade");
}

std::optional<std::uint64_t> parse_content_length(std::string_view value) {
  std::uint64_t length = 0;
  const char* const end = value.data() + value.size();
  // from_chars takes a sign for signed types only.
  const auto [stop, error] = std::from_chars(value.data(), end, length);
  // Lengths from 2^63 on are refused: what is added to them would wrap around.
  if (value.empty() || error != std::errc{} || stop != end || length >> 63 != 0) {
    return std::nullopt;
  }
  return length;
}

void remove_hop_by_hop(Headers& headers) {
  // Who trusts these does so because the sender of the request cannot take them away.
  static constexpr std::array kept = std::to_array<std::string_view>({"host",
                                                                      "content-length",
                                                                      "content-type",
                                                                      "content-encoding",
                                                                      "content-range",
                                                                      "authorization",
                                                                      "cookie",
                                                                      "date",
                                                                      "expect",
                                                                      "via",
                                                                      "forwarded",
                                                                      "x-forwarded-for",
                                                                      "x-forwarded-host",
                                                                      "x-forwarded-proto",
                                                                      "x-forwarded-port",
                                                                      "x-real-ip",
                                                                      "x-request-id",
                                                                      "traceparent",
                                                                      "tracestate",
                                                                      "idempotency-key"});
  const auto is_kept = [](std::string_view token) {
    return std::ranges::any_of(kept, [&](auto each) { return equals_ignoring_case(each, token); });
  };
  for (std::size_t at = headers.find("connection"); at < headers.size();
       at = headers.find("connection")) {
    // A copy: removing the fields it names shifts the index, though never the bytes.
    const std::string list(headers[at].value);
    headers.remove_at(at);
    any_token(list, [&](std::string_view token) {
      if (!is_kept(token) && !equals_ignoring_case(token, "connection")) headers.remove(token);
      return false;
    });
  }
  headers.remove_hop_by_hop_names();
}

}  // namespace tulle::codec
