#include "proxy/udp.h"

#include "proxy/choice.h"
#include "rt/combine.h"

#include <algorithm>
#include <array>

namespace tulle::proxy {

namespace {

constexpr std::size_t kDatagramBytesMax = 65535;
constexpr Duration kReceiveRetry = std::chrono::milliseconds(50);

using Buffer = std::array<char, kDatagramBytesMax>;

mesh::Decision route_datagram(const Context& context, const Downstream& downstream) {
  return mesh::route(*context.snapshot, {.listener = downstream.listener,
                                         .transport = mesh::Transport::udp,
                                         .destination = downstream.destination});
}

}  // namespace

struct UdpDoor::Session {
  Session(rt::Loop& loop, Downstream who) : downstream(std::move(who)), answers(loop) {}

  Ends ends() const { return {downstream.peer, downstream.destination}; }

  const Downstream downstream;
  Place place = {};
  Choice choice = {};            // with an endpoint, once there is a socket to it
  std::uint64_t generation = 0;  // of the Snapshot that the endpoint was last looked up in
  std::unique_ptr<net::Datagram> upstream = nullptr;
  Instant used_at = {};
  Instant started_at = {};
  obs::AccessRecord record = {};
  rt::Scope answers;
};

UdpDoor::UdpDoor(Context& context, std::unique_ptr<net::Datagram> socket, Downstream downstream,
                 std::size_t sessions_max)
    : context_(context),
      socket_(std::move(socket)),
      downstream_(std::move(downstream)),
      sessions_max_(sessions_max),
      serving_(context.loop) {
  serving_.spawn(serve());
}

UdpDoor::~UdpDoor() = default;

rt::Task<void> UdpDoor::serve() {
  const auto buffer = std::make_unique_for_overwrite<Buffer>();
  rt::Fairness fairness(context_.loop);
  for (;;) {
    co_await fairness.pass();
    const auto received = co_await socket_->receive(*buffer);
    if (!received) {
      co_await rt::sleep(context_.loop, kReceiveRetry);
      continue;
    }
    const bool of_one = downstream_.destination.port != 0;
    Session* session = session_of(
        {.client = received->from, .destination = of_one ? downstream_.destination : received->to});
    if (session == nullptr) continue;  // nobody to send it to: it is lost, as datagrams are
    session->used_at = context_.loop.now();
    sessions_.splice(sessions_.end(), sessions_, session->place);
    const std::string_view bytes(buffer->data(), received->size);
    if (session->upstream->send(bytes, *session->choice.endpoint)) {
      session->record.bytes_from_downstream += bytes.size();
    }
  }
}

// The client's session, with an endpoint that may be picked now; null where there is none.
UdpDoor::Session* UdpDoor::session_of(const Ends& ends) {
  if (const auto found = by_ends_.find(ends); found != by_ends_.end()) {
    Session& session = **found->second;
    if (session.generation == context_.snapshot->generation() || direct(session)) return &session;
    end(session, "no endpoint is left");
    return nullptr;
  }
  Downstream downstream = downstream_;
  downstream.peer = ends.client;
  downstream.destination = ends.destination;
  auto made = std::make_unique<Session>(context_.loop, std::move(downstream));
  made->started_at = context_.loop.now();
  made->record = begin_record(context_, made->downstream, "udp");
  if (!direct(*made)) return nullptr;
  if (sessions_.size() >= sessions_max_) end(*sessions_.front(), "too many sessions");
  sessions_.push_back(std::move(made));
  Session& session = *sessions_.back();
  session.place = std::prev(sessions_.end());
  by_ends_.emplace(ends, session.place);
  return &session;
}

// Keeps the session at its endpoint while that may be picked, or gives it one.
bool UdpDoor::direct(Session& session) {
  const mesh::Decision decision = route_datagram(context_, session.downstream);
  session.generation = context_.snapshot->generation();
  const bool to_service = decision.target() == mesh::RouteTarget::service;
  if (session.upstream) {
    const SocketAddress& endpoint = *session.choice.endpoint;
    const bool stays = to_service ? decision.port->find_pickable(endpoint) != nullptr
                                  : decision.address == endpoint;
    if (stays) return true;
  }
  Choice choice;
  if (to_service) {
    choice = choose_endpoint(context_, decision, session.downstream, {}, session.record);
    if (!choice.endpoint) return false;
  } else if (decision.target() != mesh::RouteTarget::refused) {
    choice.endpoint = take_address(decision, session.record);
  } else {
    return false;
  }
  auto upstream = context_.upstreams.bind_datagram(
      *choice.endpoint, session.downstream.workload_address, context_.snapshot->networks());
  if (!upstream) return false;
  session.answers.cancel();
  session.choice = std::move(choice);
  session.upstream = *std::move(upstream);
  session.used_at = context_.loop.now();
  session.answers.spawn(answer(session));
  return true;
}

// What the endpoint's record says of it: balancing would go on choosing one that is always free.
void UdpDoor::note(Session& session, mesh::Outcome outcome) {
  if (session.choice.in_flight.state() == nullptr) return;  // no endpoint of a service
  if (count_outcome(context_, session.choice, outcome, {})) {
    judge_endpoint(context_, route_datagram(context_, session.downstream), session.choice, outcome);
  }
}

// What the endpoint says, to the client; ends the session when both are silent for too long, or
// nobody listens at the endpoint.
rt::Task<void> UdpDoor::answer(Session& session) {
  const Duration idle_timeout = session.choice.the_policy().timeouts.idle.value_or(kUdpIdleTimeout);
  std::string error;
  bool answered = false;
  const auto buffer = std::make_unique_for_overwrite<Buffer>();
  rt::Fairness fairness(context_.loop);
  for (;;) {
    co_await fairness.pass();
    const Instant until = session.used_at + idle_timeout;
    if (context_.loop.now() >= until) break;
    const auto received =
        co_await rt::with_deadline(context_.loop, until, session.upstream->receive(*buffer));
    if (!received) {
      if (received.error().code == Code::refused) {
        note(session, mesh::Outcome::connect_error);
        error = received.error().message;
        break;
      }
      // The deadline, which a datagram of the client may have moved; or an error that passes.
      if (received.error().code != Code::timed_out)
        co_await rt::sleep(context_.loop, kReceiveRetry);
      continue;
    }
    if (received->from != *session.choice.endpoint) continue;  // came before the socket had a peer
    if (!std::exchange(answered, true)) note(session, mesh::Outcome::success);
    session.used_at = context_.loop.now();
    const std::string_view bytes(buffer->data(), received->size);
    if (socket_->answer(bytes,
                        {.from = session.downstream.peer, .to = session.downstream.destination})) {
      session.record.bytes_to_downstream += bytes.size();
    }
  }
  // Not from within its own task, which would end with it.
  serving_.spawn(end_later(session.ends(), std::move(error)));
}

rt::Task<void> UdpDoor::end_later(Ends ends, std::string error) {
  if (const auto found = by_ends_.find(ends); found != by_ends_.end()) {
    end(**found->second, std::move(error));
  }
  co_return;
}

void UdpDoor::end(Session& session, std::string error) {
  session.record.error = std::move(error);
  session.record.total = context_.loop.now() - session.started_at;
  context_.metrics.record_connection(session.record);
  by_ends_.erase(session.ends());
  sessions_.erase(session.place);
}

}  // namespace tulle::proxy
