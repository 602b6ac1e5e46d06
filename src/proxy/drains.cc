#include "proxy/drains.h"

#include "rt/sync.h"

#include <algorithm>

namespace tulle::proxy {

using mesh::Drain;

Drains::States Drains::states_at(const IpAddress& address, const mesh::Snapshot& snapshot) {
  States states;
  snapshot.for_each_service([&](const mesh::Service& service) {
    for (const mesh::ServicePort& port : service.ports) {
      for (const mesh::Endpoint& endpoint : port.endpoints) {
        if (endpoint.address.ip != address) continue;
        states.all.push_back(endpoint.state);
        if (port.transport == mesh::Transport::tcp) states.counted.push_back(endpoint.state);
      }
    }
  });
  return states;
}

void Drains::begin(const Pod& pod, const mesh::Snapshot& snapshot, std::function<void()> done) {
  States states = states_at(pod.address, snapshot);
  states.all.push_back(pod.direct);
  states.counted.push_back(pod.direct);
  auto scope = std::make_unique<rt::Scope>(loop_);
  scope->spawn(run(std::move(states), std::move(done)));
  running_.insert_or_assign(pod.uid, std::move(scope));
}

void Drains::revive(const IpAddress& address, const mesh::Snapshot& snapshot) {
  for (const State& state : states_at(address, snapshot).all) state->drain.store(Drain::none);
}

rt::Task<void> Drains::run(States states, std::function<void()> done) {
  const auto set = [&states](Drain drain) {
    for (const State& state : states.all) state->drain.store(drain);
  };
  const auto is_busy = [](const State& state) { return state->in_flight.load() != 0; };
  struct Listening {
    Listening(const std::vector<State>& to, mesh::DrainBell& bell) : states(to) {
      for (const State& state : states) state->bell.store(&bell);
    }
    ~Listening() {
      for (const State& state : states) state->bell.store(nullptr);
    }
    const std::vector<State>& states;
  } const listening(states.counted, *this);
  set(Drain::avoided);
  for (;;) {
    // Whoever picked before the word was out has been counted after this.
    co_await pass_barrier();
    while (std::ranges::any_of(states.counted, is_busy)) co_await rt::wait_on(rung_);
    set(Drain::shut);
    co_await pass_barrier();
    if (std::ranges::none_of(states.counted, is_busy)) break;
  }
  done();
}

rt::Task<void> Drains::pass_barrier() {
  // The callback may come when nobody waits any more.
  const auto passed = std::make_shared<rt::Event>(loop_);
  barrier_([passed] { passed->set(); });
  co_await passed->wait();
}

void Drains::ring() {
  loop_.post([this] { rung_.wake_all(loop_); });
}

}  // namespace tulle::proxy
