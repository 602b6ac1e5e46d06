#include "proxy/choice.h"

#include "base/log.h"
#include "proxy/explain.h"
#include "proxy/request_key.h"

#include <algorithm>

namespace tulle::proxy {

namespace {

constexpr std::uint16_t kServiceUnavailable = 503;

// `chosen` as a pick, if it can still be picked.
mesh::Pick pick_again(const mesh::ServicePort& port, std::span<const SocketAddress> tried,
                      const Chosen& chosen) {
  const mesh::Endpoint* found = port.find_pickable(chosen.endpoint);
  if (found == nullptr || std::ranges::find(tried, chosen.endpoint) != tried.end()) return {};
  if (found->state->drain.load(std::memory_order_relaxed) != mesh::Drain::none) return {};
  return {.endpoint = found, .reason = chosen.reason};
}

// The endpoint of a choice in what holds now.
const mesh::Endpoint* find_endpoint(const mesh::Decision& decision, const Choice& choice) {
  if (decision.target() != mesh::RouteTarget::service || !choice.endpoint) return nullptr;
  return decision.port->find_pickable(*choice.endpoint);
}

void say_ejected(Context& context, const mesh::Decision& decision, const mesh::Endpoint& endpoint,
                 std::string_view why) {
  context.metrics.ejections(decision.service->name.to_string(), decision.port->port).add();
  log::warn("an endpoint is left out for a while", {{"service", decision.service->name.to_string()},
                                                    {"endpoint", endpoint.address.to_string()},
                                                    {"why", std::string(why)}});
}

}  // namespace

Choice choose_endpoint(Context& context, const mesh::Decision& decision,
                       const Downstream& downstream, const ChoiceRequest& request,
                       obs::AccessRecord& record) {
  const mesh::Service& service = *decision.service;
  const mesh::Policy& policy = service.the_policy();
  record.service = service.name.to_string();
  record.service_port = decision.port->port;
  record.route_reason = mesh::to_string(decision.reason);
  record.generation = context.snapshot->generation();
  mesh::Pick pick;
  // What was dialled before it was known what for was not picked by what the request says.
  const bool by_request = policy.hash_on || policy.session;
  if (request.chosen && !by_request) {
    pick = pick_again(*decision.port, request.tried, *request.chosen);
  }
  mesh::PickRequest by = pick_request(policy, downstream.peer.ip, request.head);
  by.excluded = request.tried;
  by.external = downstream.listener == mesh::ListenerKind::node_port ||
                downstream.listener == mesh::ListenerKind::load_balancer;
  if (!pick) pick = mesh::pick(service, *decision.port, by, context.loop.now(), context.random);
  record.pick_reason = mesh::to_string(pick.reason);
  if (request.reasons != nullptr) {
    *request.reasons =
        explain_choice(decision, *request.routed, by, mesh::explain(pick, service, *decision.port),
                       context.loop.now(), context.random);
  }
  Choice choice{.reason = pick.reason, .policy = service.policy};
  if (!pick) {
    choice.status = kServiceUnavailable;
    choice.why = mesh::explain(pick, service, *decision.port);
    return choice;
  }
  choice.endpoint = pick.endpoint->address;
  choice.stands_in = pick.stands_in;
  choice.protocol = decision.port->protocol;
  choice.connections = pick.endpoint->connections;
  choice.in_flight = mesh::InFlight(pick.endpoint->state);
  choice.observes_latency = service.load_balancing == mesh::LoadBalancing::peak_ewma;
  choice.latencies = decision.port->latencies;
  if (policy.session && pick.reason != mesh::PickReason::session) {
    choice.new_session = mesh::session_of(service, *pick.endpoint);
  }
  record.upstream_address = pick.endpoint->address;
  record.upstream_workload =
      pick.endpoint->workload.empty() ? std::string() : pick.endpoint->workload.to_string();
  ++record.attempts;
  return choice;
}

UpstreamKey upstream_key(const Downstream& downstream, const Choice& choice) {
  UpstreamKey key{.caller = downstream.workload_address, .endpoint = *choice.endpoint};
  if (const auto version = choice.the_policy().proxy_protocol.send) {
    codec::ProxiedAddresses addresses{
        .source = downstream.peer,
        .destination = downstream.announced_destination.value_or(downstream.destination)};
    // Of a pod it is certain.
    if (!key.caller.is_unspecified()) addresses.source.ip = key.caller;
    key.announcement = codec::encode_proxy_header(*version, addresses);
  }
  return key;
}

ConnectLimits connect_limits(const Choice& choice) {
  const mesh::Policy& policy = choice.the_policy();
  ConnectLimits limits{.timeout = policy.timeouts.connect.value_or(kConnectTimeout),
                       .age_max = policy.timeouts.connection_age_max};
  if (!choice.connections) return limits;
  const mesh::CircuitBreaking& breaking = policy.circuit_breaking;
  const std::uint32_t most = breaking.connections_per_endpoint_max;
  limits.places = choice.connections;
  limits.place_limits = {.inside_max = most, .waiting_max = std::max(most, breaking.pending_max)};
  limits.place_patience = breaking.pending_timeout;
  return limits;
}

SocketAddress take_address(const mesh::Decision& decision, obs::AccessRecord& record) {
  ++record.attempts;
  record.route_reason = mesh::to_string(decision.reason);
  record.upstream_address = decision.address;
  return decision.address;
}

bool count_outcome(Context& context, const Choice& choice, mesh::Outcome outcome,
                   Duration latency) {
  mesh::EndpointState& state = *choice.in_flight.state();
  const Instant now = context.loop.now();
  if (outcome == mesh::Outcome::success) {
    if (choice.observes_latency) state.latency.observe(latency, now);
    if (choice.latencies) choice.latencies->observe(latency);
  }
  return state.outlier.count(choice.the_policy().outlier, outcome, latency, now);
}

void judge_endpoint(Context& context, const mesh::Decision& decision, const Choice& choice,
                    mesh::Outcome outcome) {
  const mesh::Endpoint* endpoint = find_endpoint(decision, choice);
  if (endpoint == nullptr) return;
  const mesh::OutlierDetection& policy = choice.the_policy().outlier;
  if (!mesh::judge(*decision.port, *endpoint, policy, context.loop.now())) return;
  say_ejected(context, decision, *endpoint, mesh::to_string(outcome));
}

void note_retry_after(Context& context, const mesh::Decision& decision, const Choice& choice,
                      Duration time) {
  const mesh::OutlierDetection& policy = choice.the_policy().outlier;
  if (!policy.heeds_retry_after) return;
  const mesh::Endpoint* endpoint = find_endpoint(decision, choice);
  if (endpoint == nullptr) return;
  if (mesh::set_aside(*decision.port, *endpoint, policy, time, context.loop.now())) {
    say_ejected(context, decision, *endpoint, "it asked for it by Retry-After");
  }
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
