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

}  // namespace

struct UdpDoor::Session {
  Session(rt::Loop& loop, Downstream who) : downstream(std::move(who)), answers(loop) {}

  const Downstream downstream;
  Place place = {};
  SocketAddress endpoint = {};
  std::uint64_t generation = 0;  // of the Snapshot that the endpoint was last looked up in
  std::unique_ptr<net::Datagram> upstream = nullptr;
  mesh::InFlight in_flight = {};
  Duration idle_timeout = kUdpIdleTimeout;
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
    Session* session = session_of(received->from);
    if (session == nullptr) continue;  // nobody to send it to: it is lost, as datagrams are
    session->used_at = context_.loop.now();
    sessions_.splice(sessions_.end(), sessions_, session->place);
    const std::string_view bytes(buffer->data(), received->size);
    if (session->upstream->send(bytes, session->endpoint)) {
      session->record.bytes_from_downstream += bytes.size();
    }
  }
}

// The client's session, with an endpoint that may be picked now; null where there is none.
UdpDoor::Session* UdpDoor::session_of(const SocketAddress& client) {
  if (const auto found = by_client_.find(client); found != by_client_.end()) {
    Session& session = **found->second;
    if (session.generation == context_.snapshot->generation() || direct(session)) return &session;
    end(session, "no endpoint is left");
    return nullptr;
  }
  Downstream downstream = downstream_;
  downstream.peer = client;
  auto made = std::make_unique<Session>(context_.loop, std::move(downstream));
  made->started_at = context_.loop.now();
  made->record = begin_record(context_, made->downstream, "udp");
  if (!direct(*made)) return nullptr;
  if (sessions_.size() >= sessions_max_) end(*sessions_.front(), "too many sessions");
  sessions_.push_back(std::move(made));
  Session& session = *sessions_.back();
  session.place = std::prev(sessions_.end());
  by_client_.emplace(client, session.place);
  return &session;
}

// Keeps the session at its endpoint while that may be picked, or gives it one.
bool UdpDoor::direct(Session& session) {
  const mesh::Decision decision =
      mesh::route(*context_.snapshot, {.listener = session.downstream.listener,
                                       .transport = mesh::Transport::udp,
                                       .destination = session.downstream.destination});
  if (decision.target() != mesh::RouteTarget::service) return false;
  session.generation = context_.snapshot->generation();
  const bool stays = session.upstream && decision.port->find_pickable(session.endpoint) != nullptr;
  if (stays) return true;
  Choice choice = choose_endpoint(context_, decision, session.downstream, {}, session.record);
  if (!choice.endpoint) return false;
  auto upstream = context_.upstreams.bind_datagram(*choice.endpoint, context_.snapshot->networks());
  if (!upstream) return false;
  session.answers.cancel();
  session.endpoint = *choice.endpoint;
  session.upstream = *std::move(upstream);
  session.in_flight = std::move(choice.in_flight);
  session.idle_timeout = choice.the_policy().timeouts.idle.value_or(kUdpIdleTimeout);
  session.used_at = context_.loop.now();
  session.answers.spawn(answer(session));
  return true;
}

// What the endpoint says, to the client; ends the session when both are silent for too long.
rt::Task<void> UdpDoor::answer(Session& session) {
  const auto buffer = std::make_unique_for_overwrite<Buffer>();
  rt::Fairness fairness(context_.loop);
  for (;;) {
    co_await fairness.pass();
    const Instant until = session.used_at + session.idle_timeout;
    if (context_.loop.now() >= until) break;
    const auto received =
        co_await rt::with_deadline(context_.loop, until, session.upstream->receive(*buffer));
    if (!received) {
      // The deadline, which a datagram of the client may have moved; or an error that passes.
      if (received.error().code != Code::timed_out)
        co_await rt::sleep(context_.loop, kReceiveRetry);
      continue;
    }
    if (received->from != session.endpoint) continue;
    session.used_at = context_.loop.now();
    const std::string_view bytes(buffer->data(), received->size);
    if (socket_->send(bytes, session.downstream.peer)) {
      session.record.bytes_to_downstream += bytes.size();
    }
  }
  // Not from within its own task, which would end with it.
  serving_.spawn(end_later(session.downstream.peer));
}

rt::Task<void> UdpDoor::end_later(SocketAddress client) {
  if (const auto found = by_client_.find(client); found != by_client_.end()) {
    end(**found->second, "");
  }
  co_return;
}

void UdpDoor::end(Session& session, std::string error) {
  session.record.error = std::move(error);
  session.record.total = context_.loop.now() - session.started_at;
  context_.metrics.record_connection(session.record);
  by_client_.erase(session.downstream.peer);
  sessions_.erase(session.place);
}

}  // namespace tulle::proxy
