// What a TrafficPolicy says of a service's traffic: values, without Kubernetes' words around them.
//
// A service without a policy behaves as Policy() says. What the fields are called in a manifest,
// and what each does, is told in docs/traffic_policy.md.
#pragma once

#include "base/time.h"
#include "codec/proxy_protocol.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::mesh {

enum class LoadBalancing : std::uint8_t {
  least_request,
  round_robin,
  random,
  peak_ewma,  // least of latency times load, the latency as a peak-sensitive moving average
  ring_hash,
  maglev,
};
std::string_view to_string(LoadBalancing policy);  // "LeastRequest"
std::optional<LoadBalancing> parse_load_balancing(std::string_view text);

struct HashOn {
  enum class Type : std::uint8_t { client_address, header, cookie, query_parameter, path };
  Type type = Type::client_address;
  std::string name = {};  // of the header, cookie or query parameter

  friend bool operator==(const HashOn&, const HashOn&) = default;
};

struct SessionPersistence {
  enum class Type : std::uint8_t { cookie, header };
  Type type = Type::cookie;
  std::string name = "tulle-session";
  std::optional<std::chrono::seconds> cookie_age = {};  // none: as long as the browser runs

  friend bool operator==(const SessionPersistence&, const SessionPersistence&) = default;
};

struct OutlierDetection {
  // In a row; 0: not counted.
  std::uint32_t consecutive_failures = 0;
  std::uint32_t consecutive_gateway_errors = 0;
  std::uint32_t consecutive_connect_errors = 5;
  // Over an interval with enough requests; 0: not looked at.
  std::uint32_t failure_percent = 0;
  std::uint32_t latency_percent = 0;  // of the median of the others
  Duration interval = std::chrono::seconds(10);
  std::uint32_t requests_min = 20;

  Duration ejection_time = std::chrono::seconds(5);  // doubles each time in a row
  Duration ejection_time_max = std::chrono::minutes(5);
  std::uint32_t ejected_percent_max = 50;  // of the ready endpoints, but at least one
  std::uint32_t panic_percent = 50;        // fewer left: ejections are not followed
  bool heeds_retry_after = false;          // 429 and 503 with Retry-After set the endpoint aside

  friend bool operator==(const OutlierDetection&, const OutlierDetection&) = default;
};

// 0: no limit.
struct CircuitBreaking {
  // Requests and TCP connections under way.
  std::uint32_t requests_max = 0;  // of one port of the service
  std::uint32_t requests_per_endpoint_max = 0;
  std::uint32_t connections_per_endpoint_max = 0;  // that are open, in use or kept
  std::uint32_t pending_max = 0;
  Duration pending_timeout = std::chrono::seconds(1);

  bool limits() const { return requests_max != 0 || requests_per_endpoint_max != 0; }
  friend bool operator==(const CircuitBreaking&, const CircuitBreaking&) = default;
};

// None: no limit.
struct Timeouts {
  std::optional<Duration> request = {};
  std::optional<Duration> per_try = {};
  std::optional<Duration> connect = {};
  std::optional<Duration> idle = {};
  std::optional<Duration> stream = {};
  std::optional<Duration> connection_age_max = {};

  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

struct Retry {
  std::uint32_t attempts = 2;  // beyond the first
  std::vector<std::uint16_t> codes = {};
  Duration backoff = std::chrono::milliseconds(25);
  Duration backoff_max = std::chrono::milliseconds(250);

  friend bool operator==(const Retry&, const Retry&) = default;
};

struct RetryBudget {
  std::uint32_t percent = 20;         // of the requests under way
  std::uint32_t per_second_min = 10;  // always allowed

  friend bool operator==(const RetryBudget&, const RetryBudget&) = default;
};

struct HealthCheck {
  enum class Type : std::uint8_t { http, tcp, grpc };
  Type type = Type::tcp;
  std::string path = "/";    // http
  std::string host = {};     // http; empty: the endpoint's address
  std::string service = {};  // grpc
  Duration interval = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(1);
  std::uint32_t healthy_threshold = 2;
  std::uint32_t unhealthy_threshold = 3;

  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

struct ProxyProtocol {
  bool accept = false;  // at the node ports and load balancers of the service
  std::optional<codec::ProxyVersion> send = {};  // to its endpoints

  friend bool operator==(const ProxyProtocol&, const ProxyProtocol&) = default;
};

struct Policy {
  std::string name = {};  // "namespace/name" of the TrafficPolicy; empty: none
  // None: what the service's annotation says, or LeastRequest.
  std::optional<LoadBalancing> load_balancing = {};
  std::optional<HashOn> hash_on = {};
  std::uint32_t bounded_load_percent = 0;  // 0: not bounded
  Duration slow_start = {};                // 0: none
  std::optional<SessionPersistence> session = {};
  OutlierDetection outlier = {};
  CircuitBreaking circuit_breaking = {};
  Timeouts timeouts = {};
  Retry retry = {};
  RetryBudget retry_budget = {};
  std::uint32_t hedging_percentile = 0;  // 0: no hedging
  std::optional<HealthCheck> health_check = {};
  ProxyProtocol proxy_protocol = {};

  friend bool operator==(const Policy&, const Policy&) = default;

  // Of a service without one. Lives as long as the process.
  static const Policy& none();
};

}  // namespace tulle::mesh
