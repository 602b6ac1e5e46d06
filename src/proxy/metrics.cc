#include "proxy/metrics.h"

namespace tulle::proxy {

namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string status_class(std::uint16_t status) {
  return status == 0 ? "none" : std::to_string(status / 100) + "xx";
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
      duration_(registry.histogram({.name = "tulle_request_duration_seconds",
                                    .help = "From the request's head to its response's end.",
                                    .labels = {"service", "port"}})),
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

void Metrics::record(const obs::AccessRecord& record) {
  const std::string port = std::to_string(record.service_port);
  if (record.attempts > 1) {
    retries_.with({record.service, port}).add(record.attempts - 1U);
  }
  if (record.protocol == "tcp") {
    connections_.with({record.service, port, record.error.empty() ? "ok" : "error"}).add();
    return;
  }
  requests_.with({record.service, port, status_class(record.status)}).add();
  duration_.with({record.service, port}).observe(seconds(record.total));
}

}  // namespace tulle::proxy
