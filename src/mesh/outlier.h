// Passive outlier detection: which endpoints are left out because of how they answered.
//
// There is one verdict for each endpoint, whichever service or worker came to it: who shares the
// endpoint shares the verdict. An ejected endpoint is left out until its time is over; from then on
// it is on probation: one request at a time, until one succeeds or it is ejected again for longer.
#pragma once

#include "base/time.h"
#include "mesh/policy.h"

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

namespace tulle::mesh {

struct Endpoint;     // mesh/snapshot.h
struct ServicePort;  // mesh/snapshot.h

enum class Outcome : std::uint8_t {
  success,        // any answer but those below
  server_error,   // 5xx that is no gateway error
  gateway_error,  // 502, 503, 504
  broken,         // connected, then a reset, a time-out or something malformed
  connect_error,  // no connection
};

std::string_view to_string(Outcome outcome);  // a few words for a person

enum class Standing : std::uint8_t { good, ejected, probation };

// What is remembered of one endpoint. Callable from all loops at once: where two of them count at
// the same moment one count may be lost, which no verdict hangs on.
class OutlierRecord final {
 public:
  Standing standing(Instant now) const {
    const std::int64_t until = until_.load(std::memory_order_relaxed);
    if (until == 0) return Standing::good;
    return now.time_since_epoch().count() < until ? Standing::ejected : Standing::probation;
  }

  // Counts what came of one attempt. True: the endpoint may have to be ejected, see judge().
  // `latency`: to the head of the response; not looked at after a failure.
  bool count(const OutlierDetection& policy, Outcome outcome, Duration latency, Instant now);

  // A TCP connection was taken: the end of refusals in a row, and of a probation.
  void connected(Instant now);

  // Back to good standing, with nothing remembered: the endpoint has become ready anew.
  void forget();

 private:
  friend bool judge(const ServicePort& port, const Endpoint& endpoint,
                    const OutlierDetection& policy, Instant now);
  friend bool set_aside(const ServicePort& port, const Endpoint& endpoint,
                        const OutlierDetection& policy, Duration time, Instant now);

  bool reached(const OutlierDetection& policy) const;
  bool count_window(const OutlierDetection& policy, bool failed, Duration latency, Instant now);
  void eject_until(Instant until);

  std::atomic<std::int64_t> until_{0};       // monotonic nanoseconds; 0: in good standing
  std::atomic<std::uint32_t> ejections_{0};  // in a row
  // In a row, each without the others in between.
  std::atomic<std::uint32_t> failures_{0};
  std::atomic<std::uint32_t> gateway_errors_{0};
  std::atomic<std::uint32_t> connect_errors_{0};
  // The interval under way, and what the last complete one came to.
  std::atomic<std::int64_t> window_start_{0};
  std::atomic<std::uint32_t> window_requests_{0};
  std::atomic<std::uint32_t> window_failures_{0};
  std::atomic<std::uint64_t> window_latency_{0};  // nanoseconds, of all that succeeded
  std::atomic<std::uint32_t> failure_percent_{0};
  std::atomic<std::uint64_t> mean_latency_{0};  // nanoseconds; 0: not known
};

// Ejects the endpoint of `port` if its record says so and the share of those ejected allows it.
// Whether it did.
bool judge(const ServicePort& port, const Endpoint& endpoint, const OutlierDetection& policy,
           Instant now);

// Leaves the endpoint out for as long as it asked for (Retry-After), under the same limits.
bool set_aside(const ServicePort& port, const Endpoint& endpoint, const OutlierDetection& policy,
               Duration time, Instant now);

// Fewer than the panic threshold of these endpoints, which could be picked, are neither ejected nor
// unhealthy.
bool is_panic(std::span<const Endpoint> endpoints, const OutlierDetection& policy, Instant now);

}  // namespace tulle::mesh
