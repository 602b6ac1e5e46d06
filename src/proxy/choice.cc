#include "proxy/choice.h"

#include <algorithm>

namespace tulle::proxy {

namespace {

constexpr std::uint16_t kServiceUnavailable = 503;

// `chosen` as a pick, if it can still be picked.
mesh::Pick pick_again(const mesh::ServicePort& port, std::span<const SocketAddress> tried,
                      const Chosen& chosen) {
  const auto found = std::ranges::find(port.pickable(), chosen.endpoint, &mesh::Endpoint::address);
  if (found == port.pickable().end() || std::ranges::find(tried, chosen.endpoint) != tried.end()) {
    return {};
  }
  return {.endpoint = &*found, .reason = chosen.reason};
}

}  // namespace

Choice choose_endpoint(Context& context, const mesh::Decision& decision,
                       const Downstream& downstream, std::span<const SocketAddress> tried,
                       const std::optional<Chosen>& chosen, obs::AccessRecord& record) {
  const mesh::Service& service = *decision.service;
  record.service = service.name.to_string();
  record.service_port = decision.port->port;
  record.route_reason = mesh::to_string(decision.reason);
  record.generation = context.snapshot->generation();
  mesh::Pick pick;
  if (chosen) pick = pick_again(*decision.port, tried, *chosen);
  if (!pick) {
    pick = mesh::pick(service, *decision.port, {.client = downstream.peer.ip, .excluded = tried},
                      context.loop.now(), context.random);
  }
  record.pick_reason = mesh::to_string(pick.reason);
  Choice choice;
  if (!pick) {
    choice.status = kServiceUnavailable;
    choice.why = mesh::explain(pick, service, *decision.port);
    return choice;
  }
  choice.endpoint = pick.endpoint->address;
  choice.reason = pick.reason;
  choice.protocol = decision.port->protocol;
  choice.in_flight = mesh::InFlight(pick.endpoint->state);
  record.upstream_address = pick.endpoint->address;
  record.upstream_workload =
      pick.endpoint->workload.empty() ? std::string() : pick.endpoint->workload.to_string();
  ++record.attempts;
  return choice;
}

obs::AccessRecord begin_record(const Context& context, const Downstream& downstream,
                               std::string_view protocol) {
  obs::AccessRecord record;
  record.started_at = context.loop.wall_now();
  record.downstream_workload = downstream.workload;
  record.downstream_address = downstream.peer;
  record.listener = mesh::to_string(downstream.listener);
  record.destination = downstream.destination;
  record.protocol = protocol;
  return record;
}

}  // namespace tulle::proxy
