#include "codec/url.h"

#include "base/format.h"
#include "base/text.h"

#include <algorithm>
#include <charconv>

namespace tulle::codec {
namespace {

constexpr std::string_view hex_digits = "0123456789ABCDEF";

int hex_digit(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

bool is_alphanumeric(char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
         (byte >= 'A' && byte <= 'Z');
}

bool is_unreserved(char byte) {
  return is_alphanumeric(byte) || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

void append_encoded(std::string& out, char byte) {
  const auto value = static_cast<unsigned char>(byte);
  out += '%';
  out += hex_digits[value >> 4];
  out += hex_digits[value & 15];
}

// The byte that "%XX" at `at` stands for.
Result<char> coded_byte(std::string_view text, std::size_t at) {
  const int high = at + 2 < text.size() ? hex_digit(text[at + 1]) : -1;
  const int low = at + 2 < text.size() ? hex_digit(text[at + 2]) : -1;
  if (high < 0 || low < 0) {
    return failf(Code::malformed, "offset {}: % without two hexadecimal digits", at);
  }
  const auto byte = static_cast<char>(high << 4 | low);
  if (byte == '\0') return failf(Code::malformed, "offset {}: an encoded NUL", at);
  return byte;
}

Result<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%') {
      TRY(const char byte, coded_byte(text, at));
      out += byte;
      at += 2;
    } else {
      out += plus_is_space && text[at] == '+' ? ' ' : text[at];
    }
  }
  return out;
}

// RFC 3986 §6.2.2: one spelling for each path, before its segments are looked at.
Result<std::string> normalize_coding(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  for (std::size_t at = 0; at < path.size(); ++at) {
    if (path[at] != '%') {
      out += path[at];
      continue;
    }
    TRY(const char byte, coded_byte(path, at));
    if (is_unreserved(byte))
      out += byte;
    else
      append_encoded(out, byte);
    at += 2;
  }
  return out;
}

// Lower case and letters that a registered name or IPv4 address may have.
Result<std::string> checked_name(std::string_view host) {
  std::string out;
  for (const char byte : host) {
    if (!is_unreserved(byte)) return failf(Code::malformed, "\"{}\" is no host name", host);
    out += to_lower(byte);
  }
  if (out.empty()) return fail(Code::malformed, "the host is empty");
  return out;
}

Result<std::string> checked_address(std::string_view host) {
  const auto fits = [](char byte) { return hex_digit(byte) >= 0 || byte == ':' || byte == '.'; };
  if (std::ranges::count(host, ':') < 2 || !std::ranges::all_of(host, fits)) {
    return failf(Code::malformed, "\"{}\" is no IPv6 address", host);
  }
  std::string out(host);
  for (char& byte : out) {
    if (byte >= 'A' && byte <= 'F') byte = static_cast<char>(byte | 0x20);
  }
  return out;
}

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (text.empty() || error != std::errc{} || stop != end) {
    return failf(Code::malformed, "\"{}\" is no port", text);
  }
  return port;
}

}  // namespace

Result<std::string> percent_decode(std::string_view text) { return decode(text, false); }

Result<std::string> query_decode(std::string_view text) { return decode(text, true); }

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    if (is_unreserved(byte))
      out += byte;
    else
      append_encoded(out, byte);
  }
  return out;
}

Target split_target(std::string_view target) {
  Target result;
  // Only absolute-form begins neither with '/' nor '*' and holds "://" before any '?'.
  const std::size_t scheme = target.starts_with('/')
                                 ? std::string_view::npos
                                 : target.substr(0, target.find('?')).find("://");
  if (scheme != std::string_view::npos) {
    target.remove_prefix(scheme + 3);
    result.authority = target.substr(0, target.find_first_of("/?"));
    target.remove_prefix(result.authority.size());
    if (target.empty()) target = "/";
  }
  const std::size_t question = target.find('?');
  result.path = target.substr(0, question);
  if (!result.authority.empty() && result.path.empty()) result.path = "/";
  if (question != std::string_view::npos) {
    result.has_query = true;
    result.query = target.substr(question + 1);
  }
  return result;
}

Result<Query> Query::parse(std::string_view query) {
  Query result;
  while (!query.empty()) {
    const std::string_view piece = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(piece.size() + 1, query.size()));
    if (piece.empty()) continue;
    if (result.parameters_.size() == parameters_max) {
      return failf(Code::malformed, "more than {} query parameters", parameters_max);
    }
    const std::size_t equals = std::min(piece.find('='), piece.size());
    TRY(std::string name, query_decode(piece.substr(0, equals)));
    TRY(std::string value, query_decode(piece.substr(std::min(equals + 1, piece.size()))));
    result.parameters_.push_back({.name = std::move(name), .value = std::move(value)});
  }
  return result;
}

std::optional<std::string_view> Query::get(std::string_view name) const {
  const auto found = std::ranges::find(parameters_, name, &QueryParameter::name);
  if (found == parameters_.end()) return std::nullopt;
  return found->value;
}

std::string_view Query::get_or(std::string_view name, std::string_view otherwise) const {
  return get(name).value_or(otherwise);
}

std::vector<std::string_view> Query::get_all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const QueryParameter& parameter : parameters_) {
    if (parameter.name == name) values.push_back(parameter.value);
  }
  return values;
}

Result<std::string> normalize_path(std::string_view path) {
  if (!path.starts_with('/')) return fail(Code::malformed, "a path begins with '/'");
  TRY(const std::string spelled, normalize_coding(path));
  std::string out;
  std::string_view rest = spelled;
  bool ends_with_slash = false;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the '/' before each segment
    const std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(segment.size());
    ends_with_slash = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") out.resize(out.empty() ? 0 : out.rfind('/'));
    if (ends_with_slash) continue;
    out += '/';
    out += segment;
  }
  if (ends_with_slash) out += '/';
  return out;
}

Result<HostPort> parse_host_port(std::string_view text) {
  HostPort result;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return fail(Code::malformed, "'[' without ']'");
    TRY(result.host, checked_address(text.substr(1, end - 1)));
    rest = text.substr(end + 1);
  } else {
    const std::size_t end = std::min(text.find(':'), text.size());
    TRY(result.host, checked_name(text.substr(0, end)));
    rest = text.substr(end);
  }
  if (rest.empty()) return result;
  if (!rest.starts_with(':')) return fail(Code::malformed, "something stands behind the address");
  TRY(result.port, parse_port(rest.substr(1)));
  return result;
}

}  // namespace tulle::codec
