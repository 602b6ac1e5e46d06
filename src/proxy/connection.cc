#include "proxy/connection.h"

#include "base/format.h"
#include "codec/client_hello.h"
#include "codec/proxy_protocol.h"
#include "http/prefixed_stream.h"
#include "mesh/tls_table.h"
#include "proxy/admission.h"
#include "proxy/choice.h"
#include "proxy/http_flow.h"
#include "proxy/recognise.h"
#include "proxy/tunnel.h"
#include "rt/combine.h"
#include "rt/sleep.h"

#include <array>

namespace tulle::proxy {

namespace {

// Not on a coroutine's frame: the compiler may make frames part of their callers', which live as
// long as the connection.
auto first_bytes() { return std::make_unique_for_overwrite<std::array<char, 4096>>(); }

// One connection of plain bytes: where it goes is decided once.
struct TcpFlow {
  Context& context;
  const Downstream& downstream;
  net::Stream& client;
  std::string received = {};                   // read from the client, not yet sent on
  std::string greeting = {};                   // read from the upstream, not yet sent on
  std::unique_ptr<net::Stream> upstream = {};  // once connected
  UpstreamKey key = {};                        // of that
  mesh::InFlight in_flight = {};
  mesh::Gate::Place place = {};             // where the policy limits how many there are
  bool shed = false;                        // there was none, there or at the endpoint
  std::shared_ptr<mesh::Gate> places = {};  // of the endpoint's connections, if limited
  mesh::Timeouts timeouts = {};
  std::optional<Chosen> chosen = {};  // whose turn it was, connected or not
  obs::AccessRecord record = {};

  rt::Task<Result<void>> connect(const mesh::Decision& decision);
  rt::Task<Result<void>> connect_to_service();
  rt::Task<Result<void>> enter();
  rt::Task<Result<void>> carry();
  void let_go();
  void finish(Instant start, const Result<void>& outcome);
};

mesh::Decision route_connection(const Context& context, const Downstream& downstream) {
  return mesh::route(*context.snapshot, {.listener = downstream.listener,
                                         .destination = downstream.destination,
                                         .host = downstream.server_name});
}

rt::Task<Result<void>> TcpFlow::connect(const mesh::Decision& decision) {
  key = {.caller = downstream.workload_address, .endpoint = take_address(decision, record)};
  const auto& pods = *context.upstreams.pods();
  if (const auto pod = pods.find(key.endpoint.ip); pod != pods.end()) {
    const auto& direct = pod->second->direct;
    if (direct->drain.load(std::memory_order_relaxed) == mesh::Drain::shut) {
      co_return fail(Code::unavailable, "the pod is about to stop");
    }
    in_flight = mesh::InFlight(direct);
  }
  CO_TRY(upstream, co_await context.upstreams.connect(key, context.snapshot->networks()));
  co_return Result<void>();
}

// Where the policy limits how many there are, only with a place among them.
rt::Task<Result<void>> TcpFlow::enter() {
  const mesh::Decision decision = route_connection(context, downstream);
  if (decision.port == nullptr || !decision.port->gate) co_return Result<void>();
  record.service = decision.service->name.to_string();
  record.service_port = decision.port->port;
  place = co_await admit(context.loop, decision);
  shed = place.entry() != mesh::Gate::Entry::inside;
  if (!shed) co_return Result<void>();
  co_return fail(Code::unavailable,
                 "service " + record.service + " has as many connections as its policy allows");
}

// To an endpoint that takes the connection. Nothing was sent to those that refuse it.
rt::Task<Result<void>> TcpFlow::connect_to_service() {
  CO_TRY_VOID(co_await enter());
  std::vector<SocketAddress> refused;
  for (;;) {
    const mesh::SnapshotPtr snapshot = context.snapshot;
    const mesh::Decision decision = route_connection(context, downstream);
    if (decision.target() != mesh::RouteTarget::service) {
      co_return fail(Code::unavailable, "the service is gone");
    }
    Choice choice = choose_endpoint(context, decision, downstream,
                                    {.tried = refused, .chosen = chosen}, record);
    if (!choice.endpoint) co_return fail(Code::unavailable, std::move(choice.why));
    chosen = Chosen{.endpoint = *choice.endpoint, .reason = choice.reason};
    timeouts = choice.the_policy().timeouts;
    key = upstream_key(downstream, choice);
    places = choice.connections;
    auto connected =
        co_await context.upstreams.dial(key, connect_limits(choice), snapshot->networks());
    if (connected) {
      upstream = *std::move(connected);
      in_flight = std::move(choice.in_flight);
      co_return Result<void>();
    }
    if (connected.error().code == Code::exhausted) {
      shed = true;
      co_return std::move(connected).error();
    }
    if (count_outcome(context, choice, mesh::Outcome::connect_error, {})) {
      judge_endpoint(context, route_connection(context, downstream), choice,
                     mesh::Outcome::connect_error);
    }
    refused.push_back(*choice.endpoint);
    if (refused.size() >= kAttemptsMax) co_return std::move(connected).error();
  }
}

// That the endpoint took a connection is all that is known of how it fares.
rt::Task<Result<void>> TcpFlow::carry() {
  in_flight.note_sent();
  if (auto* const state = in_flight.state()) state->outlier.connected(context.loop.now());
  if (!received.empty()) CO_TRY_VOID(co_await net::write_all(*upstream, received));
  if (!greeting.empty()) CO_TRY_VOID(co_await net::write_all(client, greeting));
  const TunnelEnd end = co_await tunnel(context.loop, client, *upstream,
                                        {.idle = timeouts.idle, .total = timeouts.stream});
  record.bytes_from_downstream = end.bytes_up + received.size();
  record.bytes_to_downstream = end.bytes_down + greeting.size();
  co_return end.outcome;
}

// Of the upstream, and of what was counted for it.
void TcpFlow::let_go() {
  upstream.reset();
  in_flight.end();
  place.leave();
}

void finish(Context& context, obs::AccessRecord& record, Instant start,
            const Result<void>& outcome) {
  if (!outcome) record.error = outcome.error().message;
  record.total = context.loop.now() - start;
  context.metrics.record_connection(record);
}

// What failed is not to look like an orderly end: neither a stream that was cut, nor a connection
// that nobody took.
void TcpFlow::finish(Instant start, const Result<void>& outcome) {
  if (!outcome) {
    client.reset_when_closed();
    if (upstream) upstream->reset_when_closed();
  }
  if (shed) context.metrics.shed(record.service, record.service_port).add();
  proxy::finish(context, record, start, outcome);
}

// Who speaks first decides: the client with HTTP or something else, or the server.
enum class Spoken : std::uint8_t { http, other, ended };

rt::Task<Spoken> client_speaks(TcpFlow& flow) {
  const auto buffer = first_bytes();
  for (;;) {
    const auto count = co_await net::read(flow.client, *buffer);
    if (!count) co_return Spoken::ended;
    if (*count == 0) co_return flow.received.empty() ? Spoken::ended : Spoken::other;
    flow.received.append(buffer->data(), *count);
    switch (recognise(flow.received)) {
      case Recognised::http: co_return Spoken::http;
      case Recognised::other: co_return Spoken::other;
      case Recognised::undecided: break;
    }
  }
}

// Who has nowhere to go. A client of HTTP says so soon, and is told why; one that waits for the
// server to speak would wait for ever.
constexpr Duration kHearing = std::chrono::seconds(1);

rt::Task<Spoken> hear_out(TcpFlow& flow) {
  const Instant deadline = flow.context.loop.now() + kHearing;
  auto first = co_await rt::race(client_speaks(flow), rt::until(flow.context.loop, deadline));
  co_return first.index() == 0 ? std::get<0>(first) : Spoken::ended;
}

// An upstream that ends without a word has not spoken: the client may still, to another one.
rt::Task<Result<void>> server_speaks(TcpFlow& flow, mesh::FirstSpeaker expected) {
  if (expected == mesh::FirstSpeaker::client) {
    co_await rt::sleep(flow.context.loop, kClientPatience);
  }
  CO_TRY_VOID(co_await flow.connect_to_service());
  const auto buffer = first_bytes();
  const auto count = co_await net::read(*flow.upstream, *buffer);
  if (count && *count > 0) {
    flow.greeting.assign(buffer->data(), *count);
    co_return Result<void>();
  }
  flow.let_go();
  co_return count ? fail(Code::closed, "the endpoint closed the connection") : count.error();
}

void learn(mesh::PortState& port, mesh::FirstSpeaker speaker) {
  // Of every connection to the port, and mostly nothing new.
  if (port.first_speaker.load(std::memory_order_relaxed) == speaker) return;
  port.first_speaker.store(speaker, std::memory_order_relaxed);
}

// A client that speaks first mostly has spoken when it is accepted. If it has not, the upstream is
// dialled, for the server may be the one to speak: at once, unless the port is known for clients
// that do. What was learned decides when, never what becomes of the connection.
rt::Task<Spoken> recognise_by_first(TcpFlow& flow, mesh::PortState& port) {
  const auto expected = port.first_speaker.load(std::memory_order_relaxed);
  auto first = co_await rt::race(client_speaks(flow), server_speaks(flow, expected));
  if (first.index() == 0) co_return std::get<0>(first);
  if (std::get<1>(first)) {
    if (!is_http2_greeting(flow.greeting)) {
      learn(port, mesh::FirstSpeaker::server);
      co_return Spoken::other;
    }
    // Its client comes with the preface. Streams get connections of their own.
    flow.greeting.clear();
    flow.let_go();
    co_return co_await client_speaks(flow);
  }
  flow.record.error = std::get<1>(first).error().message;
  co_return co_await hear_out(flow);
}

rt::Task<Spoken> recognise_protocol(TcpFlow& flow, std::shared_ptr<mesh::PortState> port) {
  const Spoken spoken = co_await recognise_by_first(flow, *port);
  if (!flow.received.empty()) learn(*port, mesh::FirstSpeaker::client);
  co_return spoken;
}

// What is known of a connection when it turns out to be one of HTTP.
struct HttpStart {
  std::string received = {};
  std::optional<Chosen> chosen = {};
  UpstreamKey key = {};  // of a connection that is kept for its requests
};

// A connection until it is known what it carries. Where that takes a while it is no part of the
// frame that waits: what an idle connection of HTTP consists of stays there as long as that does.
struct Accepted {
  std::unique_ptr<net::Stream> stream;
  Downstream downstream;
};

[[gnu::noinline]] rt::Task<void> serve_flow(std::unique_ptr<HttpFlow> flow,
                                            rt::Task<void> serving) {
  static_cast<void>(flow);  // outlives what is served
  co_await std::move(serving);
}

rt::Task<void> serve_http(Context& context, std::unique_ptr<Accepted> accepted,
                          std::unique_ptr<HttpStart> start) {
  Downstream& downstream = accepted->downstream;
  http::ConnectionContext connection{
      .local = downstream.destination, .peer = downstream.peer, .idle = downstream.idle};
  if (start) connection.received = start->received;
  auto flow = std::make_unique<HttpFlow>(context, std::move(downstream),
                                         start ? start->chosen : std::nullopt);
  if (start) flow->note_key(start->key);
  auto serving = http::serve_connection(context.loop, std::move(accepted->stream), *flow,
                                        context.server_options, connection);
  return serve_flow(std::move(flow), std::move(serving));
}

// The connection that was dialled in case the server speaks first serves a request just as well.
void keep_for_later(TcpFlow& flow) {
  flow.in_flight.end();
  flow.place.leave();
  if (!flow.upstream) return;
  flow.context.upstreams.put(flow.key, {.connection = std::make_unique<http::ClientConnection>(
                                            flow.context.loop, std::move(flow.upstream)),
                                        .places = std::move(flow.places)});
}

// Serves a connection to a service to its end, unless it is one of HTTP: then, what is known of it.
[[gnu::noinline]] rt::Task<std::unique_ptr<HttpStart>> serve_unless_http(
    Context& context, net::Stream& stream, const Downstream& downstream) {
  TcpFlow flow{.context = context, .downstream = downstream, .client = stream};
  flow.record = begin_record(context, downstream, "tcp");
  const Instant start = context.loop.now();
  Spoken spoken = Spoken::other;
  const mesh::ServicePort& port = *route_connection(context, downstream).port;
  switch (port.protocol) {
    case mesh::ProtocolHint::http: spoken = Spoken::http; break;
    case mesh::ProtocolHint::tcp: break;
    case mesh::ProtocolHint::http2: spoken = co_await client_speaks(flow); break;
    case mesh::ProtocolHint::detect: spoken = co_await recognise_protocol(flow, port.state); break;
  }
  if (spoken == Spoken::http) {
    keep_for_later(flow);
    co_return std::make_unique<HttpStart>(HttpStart{
        .received = std::move(flow.received), .chosen = flow.chosen, .key = std::move(flow.key)});
  }
  Result<void> outcome;
  if (spoken == Spoken::ended) {
    outcome = fail(Code::closed,
                   flow.record.error.empty() ? "the client sent nothing" : flow.record.error);
  } else {
    if (!flow.upstream) {
      flow.record.attempts = 0;  // dialling was given up, not refused
      outcome = co_await flow.connect_to_service();
    }
    if (outcome) outcome = co_await flow.carry();
  }
  flow.finish(start, outcome);
  co_return nullptr;
}

[[gnu::noinline]] rt::Task<void> serve_address(Context& context, net::Stream& stream,
                                               const Downstream& downstream) {
  TcpFlow flow{.context = context, .downstream = downstream, .client = stream};
  flow.record = begin_record(context, downstream, "tcp");
  const Instant start = context.loop.now();
  auto outcome = co_await flow.connect(route_connection(context, downstream));
  if (outcome) outcome = co_await flow.carry();
  flow.finish(start, outcome);
}

// Nowhere to go. Who speaks HTTP is told why; others see the connection reset.
[[gnu::noinline]] rt::Task<std::unique_ptr<HttpStart>> refuse_unless_http(
    Context& context, net::Stream& stream, const Downstream& downstream) {
  TcpFlow flow{.context = context, .downstream = downstream, .client = stream};
  if (co_await hear_out(flow) != Spoken::http) {
    stream.reset_when_closed();
    co_return nullptr;
  }
  co_return std::make_unique<HttpStart>(HttpStart{.received = std::move(flow.received)});
}

// What a connection begins with, once `parse` finds it complete in all that was received; an end or
// an error where it does not come, or is none.
template <class Opening>
rt::Task<Result<Opening>> read_opening(net::Stream& stream, std::string& received,
                                       Opening (*parse)(std::string_view), std::string_view what) {
  const auto buffer = first_bytes();
  for (;;) {
    CO_TRY(const std::size_t count, co_await net::read(stream, *buffer));
    if (count == 0) co_return failf(Code::closed, "the connection ended within its {}", what);
    received.append(buffer->data(), count);
    auto opening = parse(received);
    switch (opening.outcome) {
      case Opening::Outcome::complete: co_return opening;
      case Opening::Outcome::malformed:
        co_return failf(Code::malformed, "the connection does not begin with a {}", what);
      case Opening::Outcome::incomplete: break;
    }
  }
}

// To the service that has the server name, as it is.
rt::Task<void> pass_through(Context& context, net::Stream& stream, const Downstream& downstream,
                            std::string received) {
  TcpFlow flow{.context = context, .downstream = downstream, .client = stream};
  flow.received = std::move(received);
  flow.record = begin_record(context, downstream, "tls");
  const Instant start = context.loop.now();
  auto outcome = co_await flow.connect_to_service();
  if (outcome) outcome = co_await flow.carry();
  flow.finish(start, outcome);
}

// Whoever speaks plain HTTP to a port of TLS learns it; others see the connection end.
rt::Task<void> refuse_plain(net::Stream& stream, std::string_view received) {
  if (recognise(received) != Recognised::http) co_return;
  constexpr std::string_view why = "this port speaks HTTPS\n";
  const std::string answer =
      "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
      std::to_string(why.size()) + "\r\nConnection: close\r\n\r\n" + std::string(why);
  (void)co_await net::write_all(stream, answer);
  (void)stream.shutdown_write();
}

// Reads the PROXY header off the stream. False: there is none, and the connection is over.
[[gnu::noinline]] rt::Task<bool> read_announcement(Context& context, Accepted& accepted) {
  const Instant start = context.loop.now();
  Downstream& downstream = accepted.downstream;
  std::string received;
  const auto header = co_await rt::with_deadline(
      context.loop, start + kProxyHeaderTimeout,
      read_opening(*accepted.stream, received, codec::parse_proxy_header, "PROXY header"));
  if (!header) {
    obs::AccessRecord record = begin_record(context, downstream, "tcp");
    finish(context, record, start, header.error());
    co_return false;
  }
  received.erase(0, header->length);
  const auto& told = header->addresses;
  downstream.announced_destination = told ? told->destination : downstream.destination;
  if (told) downstream.peer = told->source;
  accepted.stream =
      http::prefixed_stream(context.loop, std::move(received), std::move(accepted.stream));
  co_return true;
}

rt::Task<void> serve_announced(Context& context, std::unique_ptr<Accepted> accepted,
                               ServeConnection serve) {
  if (!co_await read_announcement(context, *accepted)) co_return;
  co_await serve(context, std::move(accepted->stream), std::move(accepted->downstream));
}

// Puts the stream within TLS in its place. False: the connection was served, or refused.
[[gnu::noinline]] rt::Task<bool> end_tls(Context& context, Accepted& accepted) {
  const Instant deadline = context.loop.now() + kTlsHandshakeTimeout;
  Downstream& downstream = accepted.downstream;
  std::string received;
  const auto hello = co_await rt::with_deadline(
      context.loop, deadline,
      read_opening(*accepted.stream, received, codec::parse_client_hello, "ClientHello"));
  if (!hello) {
    co_await refuse_plain(*accepted.stream, received);
    co_return false;
  }
  const mesh::TlsHost* host = context.snapshot->tls()->find(hello->server_name);
  if (host != nullptr && !host->certificate) {
    downstream.listener = mesh::ListenerKind::tls_passthrough;
    downstream.server_name = hello->server_name;
    co_await pass_through(context, *accepted.stream, downstream, std::move(received));
    co_return false;
  }
  const auto tls = host != nullptr ? context.certificates.context_for(host->certificate)
                                   : fail(Code::not_found, "nobody has the server name");
  if (!tls) {
    (void)co_await net::write_all(*accepted.stream, codec::unrecognized_name_alert());
    (void)accepted.stream->shutdown_write();
    co_return false;
  }
  auto secured = co_await rt::with_deadline(
      context.loop, deadline,
      net::tls_accept(
          context.loop,
          http::prefixed_stream(context.loop, std::move(received), std::move(accepted.stream)),
          *tls));
  if (!secured) co_return false;
  downstream.tls = true;
  accepted.stream = *std::move(secured);
  co_return true;
}

rt::Task<void> serve_tls(Context& context, std::unique_ptr<Accepted> accepted) {
  if (!co_await end_tls(context, *accepted)) co_return;
  co_await serve_http(context, std::move(accepted), nullptr);
}

// The host's own loopback is nobody's business: a pod that dials the capture port ends there.
bool leads_nowhere(const Downstream& downstream) {
  return downstream.listener == mesh::ListenerKind::capture &&
         downstream.destination.ip.is_loopback();
}

rt::Task<void> serve(Context& context, std::unique_ptr<Accepted> accepted) {
  if (leads_nowhere(accepted->downstream)) co_return;
  std::unique_ptr<HttpStart> http;
  switch (route_connection(context, accepted->downstream).target()) {
    case mesh::RouteTarget::service:
      http = co_await serve_unless_http(context, *accepted->stream, accepted->downstream);
      break;
    case mesh::RouteTarget::workload:
    case mesh::RouteTarget::passthrough:
      co_await serve_address(context, *accepted->stream, accepted->downstream);
      break;
    case mesh::RouteTarget::refused:
      http = co_await refuse_unless_http(context, *accepted->stream, accepted->downstream);
      break;
  }
  if (http) co_await serve_http(context, std::move(accepted), std::move(http));
}

std::unique_ptr<Accepted> accept(std::unique_ptr<net::Stream> stream, Downstream downstream) {
  return std::make_unique<Accepted>(
      Accepted{.stream = std::move(stream), .downstream = std::move(downstream)});
}

}  // namespace

rt::Task<void> serve_announced_connection(Context& context, std::unique_ptr<net::Stream> stream,
                                          Downstream downstream, ServeConnection serve) {
  return serve_announced(context, accept(std::move(stream), std::move(downstream)), serve);
}

rt::Task<void> serve_tls_connection(Context& context, std::unique_ptr<net::Stream> stream,
                                    Downstream downstream) {
  return serve_tls(context, accept(std::move(stream), std::move(downstream)));
}

rt::Task<void> serve_connection(Context& context, std::unique_ptr<net::Stream> stream,
                                Downstream downstream) {
  const bool is_http = downstream.listener == mesh::ListenerKind::ingress;
  auto accepted = accept(std::move(stream), std::move(downstream));
  return is_http ? serve_http(context, std::move(accepted), nullptr)
                 : serve(context, std::move(accepted));
}

}  // namespace tulle::proxy
