#include "mesh/outlier.h"

#include "mesh/snapshot.h"

#include <algorithm>
#include <vector>

namespace tulle::mesh {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

bool is_ejected(const Endpoint& endpoint, Instant now) {
  return endpoint.state->outlier.standing(now) == Standing::ejected;
}

bool is_left(const Endpoint& endpoint, Instant now) {
  return !is_ejected(endpoint, now) && !endpoint.state->check_fails.load(relaxed);
}

// Whether one more may be ejected: within the share of its level, but one always may, and any that
// somebody stands in for.
bool may_eject(const ServicePort& port, const Endpoint& endpoint, const OutlierDetection& policy,
               Instant now) {
  if (policy.ejected_percent_max == 0) return false;
  std::uint64_t ejected = 0;
  std::uint64_t all = 0;
  for (const Endpoint& other : port.pickable()) {
    if (other.level > endpoint.level && is_left(other, now)) return true;
    if (other.level != endpoint.level) continue;
    ++all;
    ejected += is_ejected(other, now) ? 1 : 0;
  }
  return ejected == 0 || (ejected + 1) * 100 <= policy.ejected_percent_max * all;
}

}  // namespace

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::success: return "it is slower than the others";
    case Outcome::server_error: return "it answers with server errors";
    case Outcome::gateway_error: return "it answers with gateway errors";
    case Outcome::broken: return "its connections break or time out";
    case Outcome::connect_error: return "it takes no connections";
  }
  return "";
}

bool OutlierRecord::count(const OutlierDetection& policy, Outcome outcome, Duration latency,
                          Instant now) {
  const bool windows = policy.failure_percent != 0 || policy.latency_percent != 0;
  const bool failed = outcome != Outcome::success;
  const bool window_done = windows && count_window(policy, failed, latency, now);
  if (!failed) {
    // Mostly there is nothing to forget, and then the line stays shared between the cores.
    if (failures_.load(relaxed) != 0) {
      failures_.store(0, relaxed);
      gateway_errors_.store(0, relaxed);
      connect_errors_.store(0, relaxed);
    }
    if (until_.load(relaxed) != 0 && standing(now) == Standing::probation) forget();
    return window_done;
  }
  const auto in_a_row = [](std::atomic<std::uint32_t>& counter, bool counts) {
    counter.store(counts ? counter.load(relaxed) + 1 : 0, relaxed);
  };
  in_a_row(failures_, true);
  in_a_row(gateway_errors_, outcome != Outcome::server_error);
  in_a_row(connect_errors_, outcome == Outcome::connect_error);
  return window_done || reached(policy) || standing(now) == Standing::probation;
}

void OutlierRecord::connected(Instant now) {
  if (connect_errors_.load(relaxed) != 0) connect_errors_.store(0, relaxed);
  if (standing(now) == Standing::probation) forget();
}

// Whether an interval is complete: then its sums are, too.
bool OutlierRecord::count_window(const OutlierDetection& policy, bool failed, Duration latency,
                                 Instant now) {
  const std::uint32_t requests = window_requests_.fetch_add(1, relaxed) + 1;
  if (failed) window_failures_.fetch_add(1, relaxed);
  if (!failed) window_latency_.fetch_add(static_cast<std::uint64_t>(latency.count()), relaxed);
  const std::int64_t time = now.time_since_epoch().count();
  std::int64_t start = window_start_.load(relaxed);
  if (start != 0 && time - start < policy.interval.count()) return false;
  if (!window_start_.compare_exchange_strong(start, time, relaxed)) return false;
  if (start == 0) return false;  // the first one begins
  const std::uint32_t failures = window_failures_.exchange(0, relaxed);
  const std::uint64_t sum = window_latency_.exchange(0, relaxed);
  window_requests_.store(0, relaxed);
  const bool enough = requests >= policy.requests_min;
  const std::uint64_t succeeded = std::max(requests, failures) - failures;
  failure_percent_.store(enough ? failures * 100 / requests : 0, relaxed);
  mean_latency_.store(enough && succeeded != 0 ? sum / succeeded : 0, relaxed);
  return enough;
}

bool OutlierRecord::reached(const OutlierDetection& policy) const {
  const auto is = [](const std::atomic<std::uint32_t>& counter, std::uint32_t limit) {
    return limit != 0 && counter.load(relaxed) >= limit;
  };
  return is(failures_, policy.consecutive_failures) ||
         is(gateway_errors_, policy.consecutive_gateway_errors) ||
         is(connect_errors_, policy.consecutive_connect_errors) ||
         is(failure_percent_, policy.failure_percent);
}

void OutlierRecord::forget() {
  ejections_.store(0, relaxed);
  failures_.store(0, relaxed);
  gateway_errors_.store(0, relaxed);
  connect_errors_.store(0, relaxed);
  failure_percent_.store(0, relaxed);
  mean_latency_.store(0, relaxed);
  window_requests_.store(0, relaxed);
  window_failures_.store(0, relaxed);
  window_latency_.store(0, relaxed);
  window_start_.store(0, relaxed);
  until_.store(0, relaxed);
}

void OutlierRecord::eject_until(Instant until) {
  const std::uint32_t ejections = ejections_.load(relaxed);
  forget();
  ejections_.store(ejections + 1, relaxed);
  until_.store(until.time_since_epoch().count(), relaxed);
}

namespace {

// The median of the mean latencies of the other endpoints' last intervals; 0: not known.
std::uint64_t median(std::vector<std::uint64_t> means) {
  if (means.empty()) return 0;
  const auto middle = means.begin() + static_cast<std::ptrdiff_t>(means.size() / 2);
  std::ranges::nth_element(means, middle);
  return *middle;
}

}  // namespace

bool judge(const ServicePort& port, const Endpoint& endpoint, const OutlierDetection& policy,
           Instant now) {
  OutlierRecord& record = endpoint.state->outlier;
  const Standing standing = record.standing(now);
  if (standing == Standing::ejected) return false;
  bool guilty = record.reached(policy) ||
                (standing == Standing::probation && record.failures_.load(relaxed) != 0);
  if (!guilty && policy.latency_percent != 0) {
    std::vector<std::uint64_t> others;
    others.reserve(port.pickable_count);
    for (const Endpoint& other : port.pickable()) {
      const std::uint64_t mean = other.state->outlier.mean_latency_.load(relaxed);
      if (other.state != endpoint.state && mean != 0) others.push_back(mean);
    }
    const std::uint64_t usual = median(std::move(others));
    guilty =
        usual != 0 && record.mean_latency_.load(relaxed) * 100 > usual * policy.latency_percent;
  }
  if (!guilty || !may_eject(port, endpoint, policy, now)) return false;
  const std::uint32_t doublings = std::min(record.ejections_.load(relaxed), 16U);
  record.eject_until(now +
                     std::min(policy.ejection_time * (1 << doublings), policy.ejection_time_max));
  return true;
}

bool set_aside(const ServicePort& port, const Endpoint& endpoint, const OutlierDetection& policy,
               Duration time, Instant now) {
  OutlierRecord& record = endpoint.state->outlier;
  if (record.standing(now) == Standing::ejected || !may_eject(port, endpoint, policy, now))
    return false;
  record.eject_until(now + std::min(time, policy.ejection_time_max));
  return true;
}

bool is_panic(std::span<const Endpoint> endpoints, const OutlierDetection& policy, Instant now) {
  const auto left = static_cast<std::uint64_t>(std::ranges::count_if(
      endpoints, [now](const Endpoint& endpoint) { return is_left(endpoint, now); }));
  return left * 100 < policy.panic_percent * std::uint64_t{endpoints.size()};
}

}  // namespace tulle::mesh
