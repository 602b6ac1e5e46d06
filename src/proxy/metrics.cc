#include "proxy/metrics.h"

#include <algorithm>

namespace tulle::proxy {

namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// Fine around the aim, which is 5 ms.
constexpr std::array<double, 20> propagation_bounds_s{
    0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003, 0.004, 0.005, 0.0075, 0.01,
    0.015,  0.025, 0.05,   0.1,   0.25,   0.5,   1,     2.5,   10,     60};

constexpr const char* propagation_help =
    "From a change of endpoints to its use: begins at the EndpointSlice's annotation "
    "endpoints.kubernetes.io/last-change-trigger-time, where Tulle's controller says, to the "
    "microsecond, when it saw the durable change of a pod or Service (the earliest, if several "
    "came together), and upstream's when a pod's readiness changed, to the second; ends when the "
    "last worker uses the Snapshot. One for each change of a slice, none for those found at the "
    "start.";

std::string status_class(std::size_t digit) {
  return digit == 0 ? "none" : std::to_string(digit) + "xx";
}

}  // namespace

Metrics::Metrics(obs::Registry& registry)
    : requests_(registry.counter({.name = "tulle_requests_total",
                                  .help = "HTTP requests answered, by service and status.",
                                  .labels = {"service", "port", "status"}})),
      connections_(registry.counter({.name = "tulle_connections_total",
                                     .help = "TCP connections carried as they are, by service.",
                                     .labels = {"service", "port", "outcome"}})),
      retries_(registry.counter({.name = "tulle_retries_total",
                                 .help = "Attempts beyond the first, by service.",
                                 .labels = {"service", "port"}})),
      ejections_(registry.counter({.name = "tulle_endpoint_ejections_total",
                                   .help = "Endpoints left out for a while, by service.",
                                   .labels = {"service", "port"}})),
      shed_(registry.counter({.name = "tulle_requests_shed_total",
                              .help = "Requests and connections that circuit breaking refused.",
                              .labels = {"service", "port"}})),
      accept_failures_(
          registry
              .counter({.name = "tulle_accept_failures_total",
                        .help = "Tries to accept a connection that failed, mostly for want of "
                                "descriptors. Connections wait until one succeeds.",
                        .labels = {}})
              .with()),
      duration_(registry.histogram({.name = "tulle_request_duration_seconds",
                                    .help = "From the request's head to its response's end.",
                                    .labels = {"service", "port"}})),
      propagation_(registry
                       .histogram({.name = "tulle_propagation_seconds", .help = propagation_help},
                                  propagation_bounds_s)
                       .with()),
      generation_(registry
                      .gauge({.name = "tulle_snapshot_generation",
                              .help = "Number of the Snapshot in use.",
                              .labels = {}})
                      .with()),
      pods_(registry
                .gauge({.name = "tulle_attached_pods",
                        .help = "Pods in whose network this proxy listens.",
                        .labels = {}})
                .with()) {}

void Metrics::count_retries(const obs::AccessRecord& record) {
  if (record.attempts <= 1) return;
  retries_.with({record.service, std::to_string(record.service_port)}).add(record.attempts - 1U);
}

void Metrics::record_connection(const obs::AccessRecord& record) {
  count_retries(record);
  const std::string_view outcome = record.error.empty() ? "ok" : "error";
  connections_.with({record.service, std::to_string(record.service_port), std::string(outcome)})
      .add();
}

void Metrics::record_propagation(std::chrono::microseconds took) {
  propagation_.observe(std::max(0.0, seconds(took)));
}

void Metrics::Requests::record(const obs::AccessRecord& record) {
  metrics_.count_retries(record);
  if (duration_ == nullptr || port_ != record.service_port || service_ != record.service) {
    service_ = record.service;
    port_ = record.service_port;
    duration_ = &metrics_.duration_.with({service_, std::to_string(port_)});
    by_status_ = {};
  }
  const std::size_t digit = std::min<std::size_t>(record.status / 100, by_status_.size() - 1);
  obs::Counter*& requests = by_status_[digit];
  if (requests == nullptr) {
    requests = &metrics_.requests_.with({service_, std::to_string(port_), status_class(digit)});
  }
  requests->add();
  duration_->observe(seconds(record.total));
}

}  // namespace tulle::proxy
