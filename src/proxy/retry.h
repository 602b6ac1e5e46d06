// Which requests may go once more, and when: questions about a request and an answer, without I/O.
#pragma once

#include "base/random.h"
#include "base/time.h"
#include "codec/http_message.h"
#include "mesh/outlier.h"
#include "mesh/policy.h"
#include "mesh/route.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace tulle::proxy {

// That doing it twice is doing it once: by its method (RFC 9110 §9.2.2), or because it carries an
// Idempotency-Key, by which the server knows it again.
bool is_idempotent(const codec::RequestHead& head);

// What an answer says of the endpoint. gRPC answers that are only trailers count by grpc-status.
mesh::Outcome outcome_of(const codec::ResponseHead& head);

// How long from now a 429 or 503 asks to be left alone. Nothing for others, or where it is a date
// that has passed.
std::optional<Duration> retry_after(const codec::ResponseHead& head, WallTime now);

// How long to wait before retry number `retry` (from 0): at random, below a limit that doubles.
Duration backoff(const mesh::Retry& policy, std::uint32_t retry, Random& random);

// Leave for one retry from the budget of the service port that `decision` leads to; empty: none.
std::optional<mesh::RetryLease> lease_retry(const mesh::Decision& decision, Instant now);

}  // namespace tulle::proxy
