#include "base/check.h"
#include "compile/facts.h"
#include "kube/object.h"
#include "kube/time.h"
#include "kube/validate.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace tulle::compile {
namespace {

namespace json = boost::json;
using kube::string_at;

// All of what follows reads what was found valid.

std::optional<Duration> duration_at(const json::object& object, std::string_view path) {
  const auto duration = kube::parse_duration(string_at(object, path));
  if (!duration) return std::nullopt;
  return *duration;
}

void read_duration(const json::object& object, std::string_view path, Duration& into) {
  if (const auto duration = duration_at(object, path)) into = *duration;
}

void read_number(const json::object& object, std::string_view path, std::uint32_t& into) {
  into = static_cast<std::uint32_t>(kube::integer_at(object, path, into));
}

std::optional<mesh::HashOn> read_hash_on(const json::object& spec) {
  using Type = mesh::HashOn::Type;
  constexpr std::array<std::pair<std::string_view, Type>, 5> types{
      {{"ClientAddress", Type::client_address},
       {"Header", Type::header},
       {"Cookie", Type::cookie},
       {"QueryParameter", Type::query_parameter},
       {"Path", Type::path}}};
  const std::string_view type = string_at(spec, "loadBalancing.hashOn.type");
  for (const auto& [text, value] : types) {
    if (text != type) continue;
    return mesh::HashOn{.type = value,
                        .name = std::string(string_at(spec, "loadBalancing.hashOn.name"))};
  }
  return std::nullopt;
}

std::optional<mesh::SessionPersistence> read_session(const json::object& spec) {
  const json::object* given = kube::find_object(spec, "sessionPersistence");
  if (given == nullptr) return std::nullopt;
  mesh::SessionPersistence session;
  const bool header = string_at(*given, "type") == "Header";
  if (header) session.type = mesh::SessionPersistence::Type::header;
  if (const auto name = string_at(*given, "sessionName"); !name.empty()) session.name = name;
  if (const auto age = duration_at(*given, "absoluteTimeout")) {
    session.cookie_age = std::chrono::ceil<std::chrono::seconds>(*age);
  }
  return session;
}

// Asked for, it is more than what holds without a policy.
void read_outlier(const json::object& spec, mesh::OutlierDetection& outlier) {
  const json::object* given = kube::find_object(spec, "outlierDetection");
  if (given == nullptr) return;
  outlier.heeds_retry_after = true;
  outlier.consecutive_failures = 5;
  outlier.ejection_time = std::chrono::seconds(30);
  read_number(*given, "consecutiveFailures", outlier.consecutive_failures);
  read_number(*given, "consecutiveGatewayErrors", outlier.consecutive_gateway_errors);
  read_number(*given, "consecutiveConnectErrors", outlier.consecutive_connect_errors);
  read_number(*given, "failurePercent", outlier.failure_percent);
  read_number(*given, "latencyPercent", outlier.latency_percent);
  read_number(*given, "minRequests", outlier.requests_min);
  read_number(*given, "maxEjectedPercent", outlier.ejected_percent_max);
  read_number(*given, "panicPercent", outlier.panic_percent);
  read_duration(*given, "interval", outlier.interval);
  read_duration(*given, "ejectionTime", outlier.ejection_time);
  read_duration(*given, "maxEjectionTime", outlier.ejection_time_max);
  outlier.ejection_time_max = std::max(outlier.ejection_time, outlier.ejection_time_max);
}

void read_retry(const json::object& spec, mesh::Policy& policy) {
  read_number(spec, "retry.attempts", policy.retry.attempts);
  for (const json::value& code : kube::array_at(spec, "retry.codes")) {
    policy.retry.codes.push_back(code.to_number<std::uint16_t>());
  }
  read_duration(spec, "retry.backoff", policy.retry.backoff);
  read_duration(spec, "retry.maxBackoff", policy.retry.backoff_max);
  policy.retry.backoff_max = std::max(policy.retry.backoff, policy.retry.backoff_max);
  read_number(spec, "retryBudget.percent", policy.retry_budget.percent);
  read_number(spec, "retryBudget.minPerSecond", policy.retry_budget.per_second_min);
  read_number(spec, "hedging.percentile", policy.hedging_percentile);
}

std::optional<mesh::HealthCheck> read_health_check(const json::object& spec) {
  using Type = mesh::HealthCheck::Type;
  const json::object* given = kube::find_object(spec, "healthCheck");
  if (given == nullptr) return std::nullopt;
  mesh::HealthCheck check;
  if (const json::object* http = kube::find_object(*given, "http")) {
    check.type = Type::http;
    check.path = string_at(*http, "path", "/");
    check.host = string_at(*http, "host");
  } else if (const json::object* grpc = kube::find_object(*given, "grpc")) {
    check.type = Type::grpc;
    check.service = string_at(*grpc, "service");
  }
  read_duration(*given, "interval", check.interval);
  read_duration(*given, "timeout", check.timeout);
  read_number(*given, "healthyThreshold", check.healthy_threshold);
  read_number(*given, "unhealthyThreshold", check.unhealthy_threshold);
  return check;
}

mesh::ProxyProtocol read_proxy_protocol(const json::object& spec) {
  mesh::ProxyProtocol read{.accept = kube::bool_at(spec, "proxyProtocol.accept")};
  const std::string_view version = string_at(spec, "proxyProtocol.send");
  if (version == "V1") read.send = codec::ProxyVersion::v1;
  if (version == "V2") read.send = codec::ProxyVersion::v2;
  return read;
}

mesh::Policy read_spec(const json::object& spec) {
  mesh::Policy policy;
  policy.load_balancing = mesh::parse_load_balancing(string_at(spec, "loadBalancing.policy"));
  policy.hash_on = read_hash_on(spec);
  read_number(spec, "loadBalancing.boundedLoadPercent", policy.bounded_load_percent);
  read_duration(spec, "loadBalancing.slowStart", policy.slow_start);
  policy.session = read_session(spec);
  read_outlier(spec, policy.outlier);
  mesh::CircuitBreaking& breaking = policy.circuit_breaking;
  read_number(spec, "circuitBreaking.maxRequests", breaking.requests_max);
  read_number(spec, "circuitBreaking.maxRequestsPerEndpoint", breaking.requests_per_endpoint_max);
  read_number(spec, "circuitBreaking.maxConnectionsPerEndpoint",
              breaking.connections_per_endpoint_max);
  read_number(spec, "circuitBreaking.maxPendingRequests", breaking.pending_max);
  read_duration(spec, "circuitBreaking.pendingTimeout", breaking.pending_timeout);
  policy.timeouts = {.request = duration_at(spec, "timeouts.request"),
                     .per_try = duration_at(spec, "timeouts.perTry"),
                     .connect = duration_at(spec, "timeouts.connect"),
                     .idle = duration_at(spec, "timeouts.idle"),
                     .stream = duration_at(spec, "timeouts.stream"),
                     .connection_age_max = duration_at(spec, "timeouts.maxConnectionAge")};
  read_retry(spec, policy);
  policy.health_check = read_health_check(spec);
  policy.proxy_protocol = read_proxy_protocol(spec);
  return policy;
}

void find_problems(const json::object& object, const kube::KindDefinition& kind,
                   Problems& problems) {
  const auto typed = kube::check_types(*kind.schema, kind.kind, kind.version, object);
  if (!typed) {
    problems.push_back(typed.error().message);
    return;
  }
  for (const kube::StatusCause& cause : kube::validate(kind, object, nullptr)) {
    problems.push_back(cause.field + ": " + cause.message);
  }
}

}  // namespace

kube::KindRef policy_kind() {
  auto scheme = kube::make_builtin_scheme();
  CHECK(scheme);
  auto kind = (*scheme)->find_kind("tulle.dev/v1alpha1", "TrafficPolicy");
  CHECK(kind);
  return kind;
}

PolicyFacts read_policy(const json::object& object, const kube::KindDefinition& kind,
                        Problems& problems) {
  PolicyFacts facts{.created = std::string(string_at(object, "metadata.creationTimestamp"))};
  find_problems(object, kind, problems);
  if (!problems.empty()) return facts;
  const mesh::ObjectName name = object_name(object);
  for (const json::value& target : kube::array_at(object, "spec.targetRefs")) {
    facts.services.push_back(
        {.namespace_name = name.namespace_name,
         .name = std::string(string_at(kube::object_or_empty(target), "name"))});
  }
  mesh::Policy policy = read_spec(kube::object_at(object, "spec"));
  policy.name = name.to_string();
  facts.policy = std::make_shared<const mesh::Policy>(std::move(policy));
  return facts;
}

bool holds_before(std::string_view created, const mesh::ObjectName& name,
                  std::string_view other_created, const mesh::ObjectName& other_name) {
  return std::tie(created, name) < std::tie(other_created, other_name);
}

}  // namespace tulle::compile
