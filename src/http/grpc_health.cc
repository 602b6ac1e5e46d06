#include "http/grpc_health.h"

#include "base/format.h"
#include "codec/url.h"
#include "http/http2_client.h"

#include <array>
#include <optional>
#include <string_view>

namespace tulle::http {

namespace {

constexpr std::size_t kAnswerBytesMax = 64 * 1024;
// A message goes behind one byte that says whether it is compressed, and four that say how long it
// is: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
constexpr std::size_t kPrefixBytes = 5;
constexpr std::string_view kUnimplemented = "12";

void append_varint(std::string& bytes, std::size_t value) {
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
  bytes.push_back(static_cast<char>(value));
}

// HealthCheckRequest{string service = 1}.
std::string encode_request(std::string_view service) {
  std::string message;
  if (!service.empty()) {
    message.push_back('\x0a');
    append_varint(message, service.size());
    message.append(service);
  }
  std::string framed(1, '\0');
  for (const int shift : {24, 16, 8, 0})
    framed.push_back(static_cast<char>(message.size() >> shift));
  return framed + message;
}

// HealthCheckResponse{ServingStatus status = 1}. Nothing for what is no such message.
std::optional<std::string> read_status(std::string_view answer) {
  constexpr std::array<std::string_view, 4> kNames{"UNKNOWN", "SERVING", "NOT_SERVING",
                                                   "SERVICE_UNKNOWN"};
  if (answer.size() < kPrefixBytes || !answer.starts_with(std::string_view("\0\0\0\0", 4)) ||
      answer.size() - kPrefixBytes != static_cast<unsigned char>(answer[kPrefixBytes - 1])) {
    return std::nullopt;
  }
  const std::string_view message = answer.substr(kPrefixBytes);
  if (message.empty()) return std::string(kNames[0]);
  if (message.size() != 2 || message[0] != '\x08') return std::nullopt;
  const auto number = static_cast<unsigned char>(message[1]);
  return number < kNames.size() ? std::string(kNames[number]) : std::to_string(number);
}

// What grpc-status and grpc-message say, where they tell of a failure.
Result<void> read_outcome(const codec::Headers& headers) {
  const std::string_view status = headers.get("grpc-status").value_or("0");
  if (status == "0") return {};
  const std::string_view encoded = headers.get("grpc-message").value_or("");
  const std::string message = codec::percent_decode(encoded).value_or(std::string(encoded));
  if (status == kUnimplemented) {
    return failf(Code::unsupported,
                 "error: this server does not implement the grpc health protocol "
                 "(grpc.health.v1.Health): {}",
                 message);
  }
  return failf(Code::unavailable, "error: health rpc probe failed: status {}: {}", status, message);
}

}  // namespace

rt::Task<Result<void>> check_grpc_health(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                                         GrpcHealthQuestion question) {
  Http2Client connection(loop, std::move(stream));
  const auto channel = connection.open();
  const codec::RequestHead head{.method = "POST",
                                .target = "/grpc.health.v1.Health/Check",
                                .headers = {{"Host", question.authority},
                                            {"Content-Type", "application/grpc"},
                                            {"TE", "trailers"},
                                            {"User-Agent", question.user_agent}}};
  StringBody body(encode_request(question.service));
  CO_TRY(auto response, co_await channel->exchange(head, &body, {}));
  if (response.head.status != 200) {
    co_return failf(Code::unavailable, "error: health rpc probe failed: status {} of HTTP",
                    response.head.status);
  }
  CO_TRY_VOID(read_outcome(response.head.headers));
  CO_TRY(const std::string answer, co_await read_all(response.body, kAnswerBytesMax));
  const codec::Headers* trailers = response.body.trailers();
  if (trailers != nullptr) CO_TRY_VOID(read_outcome(*trailers));
  const auto status = read_status(answer);
  if (!status) co_return fail(Code::malformed, "error: the answer is no HealthCheckResponse");
  if (*status == "SERVING") co_return Result<void>();
  co_return failf(Code::unavailable, "service unhealthy (responded with \"{}\")", *status);
}

}  // namespace tulle::http
