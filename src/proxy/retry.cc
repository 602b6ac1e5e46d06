#include "proxy/retry.h"

#include "http/date.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace tulle::proxy {

namespace {

constexpr int kNotImplemented = 501;
constexpr int kBadGateway = 502;
constexpr int kServiceUnavailable = 503;
constexpr int kGatewayTimeout = 504;
constexpr int kTooManyRequests = 429;

// https://grpc.github.io/grpc/core/md_doc_statuscodes.html: those that are the server's fault.
mesh::Outcome outcome_of_grpc(std::string_view status) {
  if (status == "14") return mesh::Outcome::gateway_error;               // UNAVAILABLE
  const bool fault = status == "2" || status == "13" || status == "15";  // UNKNOWN, INTERNAL, LOSS
  return fault ? mesh::Outcome::server_error : mesh::Outcome::success;
}

}  // namespace

bool is_idempotent(const codec::RequestHead& head) {
  constexpr std::array<std::string_view, 6> methods{"GET",     "HEAD",  "PUT",
                                                    "OPTIONS", "TRACE", "DELETE"};
  if (std::ranges::find(methods, head.method) != methods.end()) return true;
  const auto key = head.headers.get("Idempotency-Key");
  return key && !key->empty();
}

mesh::Outcome outcome_of(const codec::ResponseHead& head) {
  if (head.status < 500) {
    const auto grpc = head.headers.get("grpc-status");
    return grpc ? outcome_of_grpc(*grpc) : mesh::Outcome::success;
  }
  const bool gateway = head.status >= kBadGateway && head.status <= kGatewayTimeout;
  if (gateway) return mesh::Outcome::gateway_error;
  // What a server has not implemented is no fault that another server would not have.
  return head.status == kNotImplemented ? mesh::Outcome::success : mesh::Outcome::server_error;
}

std::optional<Duration> retry_after(const codec::ResponseHead& head, WallTime now) {
  if (head.status != kTooManyRequests && head.status != kServiceUnavailable) return std::nullopt;
  const auto text = head.headers.get("Retry-After");
  if (!text) return std::nullopt;
  std::uint32_t seconds = 0;
  const auto read = std::from_chars(text->data(), text->data() + text->size(), seconds);
  if (read.ec == std::errc() && read.ptr == text->data() + text->size()) {
    return std::chrono::seconds(seconds);
  }
  const auto until = http::parse_http_date(*text, now);
  return until && *until > now ? std::optional(*until - now) : std::nullopt;
}

Duration backoff(const mesh::Retry& policy, std::uint32_t retry, Random& random) {
  const Duration limit = std::min(policy.backoff * (1 << std::min(retry, 10U)), policy.backoff_max);
  return Duration(
      static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(limit.count()) + 1)));
}

std::optional<mesh::RetryLease> lease_retry(const mesh::Decision& decision, Instant now) {
  if (decision.target() != mesh::RouteTarget::service) return std::nullopt;
  const mesh::ServicePort& port = *decision.port;
  std::uint64_t active = 0;
  for (const mesh::Endpoint& endpoint : port.endpoints) {
    active += endpoint.state->in_flight.load(std::memory_order_relaxed);
  }
  const mesh::RetryBudget& budget = decision.service->the_policy().retry_budget;
  if (!port.state->retries.take(budget, active, now)) return std::nullopt;
  return mesh::RetryLease(port.state);
}

}  // namespace tulle::proxy
