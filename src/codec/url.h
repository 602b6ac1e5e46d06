// Targets, queries and authorities of RFC 3986, as HTTP uses them.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::codec {

// Each %XX to its byte. Error: malformed for a % without two hexadecimal digits, and for %00.
Result<std::string> percent_decode(std::string_view text);
// As percent_decode, and '+' is a space: a name or value of a query.
Result<std::string> query_decode(std::string_view text);
// Everything but the unreserved characters (RFC 3986 §2.3) encoded: safe as a path segment and as a
// part of a query.
std::string percent_encode(std::string_view text);

struct Target {
  std::string_view path = {};   // as sent, still encoded; "*" and authority-form stay as they are
  std::string_view query = {};  // behind the first '?', without it
  bool has_query = false;
  std::string_view authority = {};  // of absolute-form (http://authority/path), else empty
};
// Views of `target`. The path of an absolute-form without one is "/".
Target split_target(std::string_view target);

struct QueryParameter {
  std::string name = {};
  std::string value = {};
  bool operator==(const QueryParameter&) const = default;
};

// The decoded parameters of a query in their order; a name may repeat.
class Query final {
 public:
  // Pieces are separated by '&'. REQUIRES nothing of the text. Error: malformed coding, or more
  // than parameters_max.
  static constexpr std::size_t parameters_max = 1024;
  static Result<Query> parse(std::string_view query);

  // The first value of that name.
  std::optional<std::string_view> get(std::string_view name) const;
  std::string_view get_or(std::string_view name, std::string_view otherwise) const;
  std::vector<std::string_view> get_all(std::string_view name) const;
  bool contains(std::string_view name) const { return get(name).has_value(); }
  const std::vector<QueryParameter>& parameters() const { return parameters_; }

 private:
  std::vector<QueryParameter> parameters_;
};

// The path to match routes against: dot segments removed (RFC 3986 §5.2.4, also where the dots are
// encoded), runs of '/' made one, encoded unreserved characters decoded, other encodings kept
// with upper-case digits. So no spelling of a path reaches another route than its meaning.
// Error: malformed if it does not begin with '/', a coding is broken, or a NUL is encoded.
Result<std::string> normalize_path(std::string_view path);

struct HostPort {
  std::string host = {};  // lower case; an IPv6 address stands without its brackets
  std::optional<std::uint16_t> port = {};
  bool operator==(const HostPort&) const = default;
};
// "host", "host:port", "[v6]:port", RFC 3986 §3.2.2 without user information. Error: malformed.
Result<HostPort> parse_host_port(std::string_view text);

}  // namespace tulle::codec
