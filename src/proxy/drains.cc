#include "proxy/drains.h"

#include "rt/sync.h"

#include <algorithm>

namespace tulle::proxy {

using mesh::Drain;

namespace {

using State = std::shared_ptr<mesh::EndpointState>;

template <class Visit>
void visit_endpoints(const mesh::Snapshot& snapshot, Visit visit) {
  snapshot.for_each_service([&](const mesh::Service& service) {
    for (const mesh::ServicePort& port : service.ports) {
      for (const mesh::Endpoint& endpoint : port.endpoints) visit(endpoint, port.transport);
    }
  });
}

}  // namespace

// A pod that drains, or has drained and is not gone yet.
struct Drains::Draining {
  Draining(rt::Loop& loop, mesh::DrainBell& ringing, const IpAddress& of)
      : bell(ringing), address(of), task(loop) {}
  Draining(const Draining&) = delete;
  Draining& operator=(const Draining&) = delete;
  ~Draining() {
    task.cancel();
    for (const auto& [state, counts] : states) state->bell.store(nullptr);
  }

  void add(const State& state, bool counts) {
    if (!states.try_emplace(state, counts).second) return;
    if (counts) state->bell.store(&bell);
    state->drain.store(phase);
  }
  void enter(Drain next) {
    phase = next;
    for (const auto& [state, counts] : states) state->drain.store(phase);
  }
  bool is_busy() const {
    return std::ranges::any_of(states, [](const auto& entry) {
      return entry.second && entry.first->in_flight.load() != 0;
    });
  }

  mesh::DrainBell& bell;
  const IpAddress address;
  Drain phase = Drain::avoided;
  std::map<State, bool> states = {};  // whether what is under way there counts
  rt::Scope task;
};

Drains::Drains(rt::Loop& loop, Barrier barrier) : loop_(loop), barrier_(std::move(barrier)) {}
Drains::~Drains() = default;

void Drains::begin(const Pod& pod, const mesh::Snapshot& snapshot, std::function<void()> done) {
  auto& draining = draining_[pod.uid];
  mesh::DrainBell& bell = *this;
  draining = std::make_unique<Draining>(loop_, bell, pod.address);
  draining->add(pod.direct, true);
  follow(snapshot);
  draining->task.spawn(run(*draining, std::move(done)));
}

void Drains::follow(const mesh::Snapshot& snapshot) {
  if (draining_.empty()) return;
  std::map<IpAddress, Draining*> by_address;
  for (const auto& [uid, draining] : draining_) by_address[draining->address] = draining.get();
  visit_endpoints(snapshot, [&](const mesh::Endpoint& endpoint, mesh::Transport transport) {
    const auto found = by_address.find(endpoint.address.ip);
    if (found == by_address.end()) return;
    found->second->add(endpoint.state, transport == mesh::Transport::tcp);
  });
}

void Drains::forget(const std::string& uid) { draining_.erase(uid); }

void Drains::revive(const IpAddress& address, const mesh::Snapshot& snapshot) {
  visit_endpoints(snapshot, [&](const mesh::Endpoint& endpoint, mesh::Transport) {
    if (endpoint.address.ip == address) endpoint.state->drain.store(Drain::none);
  });
}

rt::Task<void> Drains::run(Draining& draining, std::function<void()> done) {
  for (;;) {
    // Whoever picked before the word was out has been counted after this.
    co_await pass_barrier();
    while (draining.is_busy()) co_await rt::wait_on(rung_);
    draining.enter(Drain::shut);
    co_await pass_barrier();
    if (!draining.is_busy()) break;
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
