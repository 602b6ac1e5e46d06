// Points in time as the API writes them: RFC 3339 in UTC. No clock is read here.
#pragma once

#include "base/result.h"

#include <chrono>
#include <string>
#include <string_view>

namespace tulle::kube {

// Microseconds since the Unix epoch, which is as fine as the API goes (metav1.MicroTime).
using Time = std::chrono::sys_time<std::chrono::microseconds>;

// RFC 3339 with any number of digits in the fraction (more than six are cut off) and any offset.
Result<Time> parse_time(std::string_view text);

// metav1.Time: "2026-01-02T15:04:05Z". The fraction is cut off.
std::string format_time(Time time);
// metav1.MicroTime: "2026-01-02T15:04:05.000000Z".
std::string format_micro_time(Time time);

// Gateway API's Duration (GEP-2257): "1h30m", "250ms"; one to four numbers of at most five digits,
// each with one of the units h, m, s and ms.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// The form kubectl shows ages in: 5s, 3m2s, 12m, 2h5m, 7h, 47h → 47h, 3d4h, 12d, 2y30d, 9y.
// Negative up to two seconds is "0s", below that "<invalid>".
std::string human_duration(std::chrono::microseconds duration);

// human_duration since `timestamp` (RFC 3339); "<unknown>" where it is empty or does not parse.
std::string age(std::string_view timestamp, Time now);

}  // namespace tulle::kube
