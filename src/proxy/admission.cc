#include "proxy/admission.h"

#include "rt/combine.h"

#include <algorithm>

namespace tulle::proxy {

namespace {

mesh::Gate::Limits limits_of(const mesh::ServicePort& port, const mesh::CircuitBreaking& policy) {
  std::uint64_t most = policy.requests_max != 0 ? policy.requests_max : UINT32_MAX;
  if (policy.requests_per_endpoint_max != 0) {
    // At least one goes in, to hear that there is no endpoint.
    const std::uint64_t endpoints = std::max<std::uint64_t>(port.pickable_count, 1);
    most = std::min(most, endpoints * policy.requests_per_endpoint_max);
  }
  return {.inside_max = static_cast<std::uint32_t>(most), .waiting_max = policy.pending_max};
}

}  // namespace

rt::Task<mesh::Gate::Place> admit(rt::Loop& loop, const mesh::Decision& decision) {
  const mesh::CircuitBreaking& policy = decision.service->the_policy().circuit_breaking;
  const Instant until = loop.now() + policy.pending_timeout;
  const auto turn = std::make_shared<Turn>(loop);
  auto place =
      mesh::Gate::enter(decision.port->gate, limits_of(*decision.port, policy), on_turn(turn));
  if (place.entry() == mesh::Gate::Entry::waiting) {
    co_await rt::race(turn->come.wait(), rt::until(loop, until));
    if (place.entry() == mesh::Gate::Entry::waiting) place.leave();
  }
  co_return place;
}

}  // namespace tulle::proxy
