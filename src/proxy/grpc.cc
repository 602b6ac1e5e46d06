#include "proxy/grpc.h"

#include <algorithm>
#include <array>
#include <string>

namespace tulle::proxy {

namespace {

constexpr std::string_view kContentType = "application/grpc";
constexpr std::size_t kTimeoutDigitsMax = 8;

// https://grpc.io/docs/guides/status-codes/ and grpc's http-grpc-status-mapping.md; a time-out here
// is that of a deadline, an exhausted limit is told as such.
int grpc_status(int http_status) {
  switch (http_status) {
    case 400:
    case 431: return 13;  // INTERNAL
    case 401: return 16;  // UNAUTHENTICATED
    case 403: return 7;   // PERMISSION_DENIED
    case 404: return 12;  // UNIMPLEMENTED
    case 413: return 8;   // RESOURCE_EXHAUSTED
    case 408:
    case 504: return 4;  // DEADLINE_EXCEEDED
    case 429:
    case 502:
    case 503: return 14;  // UNAVAILABLE
    default: return 2;    // UNKNOWN
  }
}

// Percent-encoding of grpc-message: what is not printable ASCII, and the percent sign.
std::string encode_message(std::string_view text) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
      encoded.push_back(c);
    } else {
      encoded.append({'%', digits[byte >> 4], digits[byte & 0xf]});
    }
  }
  return encoded;
}

struct Unit {
  char letter;
  Duration duration;
};
constexpr std::array<Unit, 6> kUnits = {{{'H', std::chrono::hours(1)},
                                         {'M', std::chrono::minutes(1)},
                                         {'S', std::chrono::seconds(1)},
                                         {'m', std::chrono::milliseconds(1)},
                                         {'u', std::chrono::microseconds(1)},
                                         {'n', std::chrono::nanoseconds(1)}}};

}  // namespace

bool is_grpc(const codec::RequestHead& head) {
  const std::string_view type = head.headers.get("content-type").value_or("");
  if (!type.starts_with(kContentType)) return false;
  const std::string_view rest = type.substr(kContentType.size());
  return rest.empty() || rest[0] == '+' || rest[0] == ';';
}

std::optional<Duration> grpc_timeout(const codec::RequestHead& head) {
  const auto text = head.headers.get("grpc-timeout");
  if (!text || text->size() < 2 || text->size() > kTimeoutDigitsMax + 1) return std::nullopt;
  if (!is_grpc(head)) return std::nullopt;
  const auto number = codec::parse_content_length(text->substr(0, text->size() - 1));
  const auto unit = std::ranges::find(kUnits, text->back(), &Unit::letter);
  if (!number || unit == kUnits.end()) return std::nullopt;
  // Eight digits of hours are beyond what a Duration holds.
  constexpr Duration longest = std::chrono::hours(24 * 365);
  if (*number > static_cast<std::uint64_t>(longest / unit->duration)) return longest;
  return static_cast<std::int64_t>(*number) * unit->duration;
}

codec::ResponseHead grpc_failure(int status, std::string_view why) {
  codec::ResponseHead head{.status = 200};
  head.headers.append("content-type", kContentType);
  head.headers.append("grpc-status", std::to_string(grpc_status(status)));
  head.headers.append("grpc-message", encode_message(why));
  return head;
}

}  // namespace tulle::proxy
