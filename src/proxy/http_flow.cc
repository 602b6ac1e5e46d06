#include "proxy/http_flow.h"

#include "codec/url.h"
#include "proxy/grpc.h"
#include "proxy/replay_body.h"
#include "proxy/tunnel.h"
#include "rt/combine.h"
#include "rt/sleep.h"

#include <algorithm>

namespace tulle::proxy {

namespace {

constexpr int kSwitchingProtocols = 101;
constexpr int kBadGateway = 502;
constexpr int kServiceUnavailable = 503;
constexpr int kGatewayTimeout = 504;

// What a client may not decide for the connection behind us. An upgrade goes through, but for that
// to HTTP/2: behind it requests would pass that nobody here has seen (RFC 9113 took it out).
void make_outgoing(codec::RequestHead& head) {
  std::string upgrade;
  if (codec::is_upgrade(head) && !head.headers.contains_token("Upgrade", "h2c")) {
    upgrade = head.headers.get("Upgrade").value_or("");
  }
  codec::remove_hop_by_hop(head.headers);
  head.headers.remove("Expect");  // answered on this side when the body is first read
  if (!upgrade.empty()) {
    head.headers.append("Connection", "upgrade");
    head.headers.append("Upgrade", upgrade);
  }
  const codec::Target target = codec::split_target(head.target);
  if (!target.authority.empty()) {
    // Absolute form: its authority is the host, whatever Host says (RFC 9112 §3.2.2).
    head.headers.set("Host", target.authority);
    std::string origin(target.path);
    if (target.has_query) origin.append("?").append(target.query);
    head.target = std::move(origin);
  }
  head.minor_version = 1;
}

bool is_safe(std::string_view method) { return method == "GET" || method == "HEAD"; }

int status_for(const Error& error) {
  switch (error.code) {
    case Code::refused: return kServiceUnavailable;
    case Code::timed_out: return kGatewayTimeout;
    default: return kBadGateway;
  }
}

rt::Task<void> nothing() { co_return; }

rt::Task<void> until(rt::Loop& loop, Instant at) { co_await rt::sleep_until(loop, at); }

// Where the length is unknown the body may begin long after the head (a stream of events): then
// only what is there already.
rt::Task<Result<std::optional<std::string_view>>> first_piece(http::Body& body) {
  if (body.length()) co_return co_await body.read();
  auto outcome = co_await rt::race(body.read(), nothing());
  if (outcome.index() == 1) co_return std::nullopt;
  co_return std::get<0>(std::move(outcome));
}

}  // namespace

// What was tried so far for one request.
struct HttpFlow::Attempts {
  std::vector<SocketAddress> failed;  // not again
  std::size_t count = 0;
  bool fresh = false;  // an idle connection was stale: make a new one
  Error last;

  bool may_go_on() const { return count < kAttemptsMax; }
};

rt::Task<void> HttpFlow::handle(http::Request& request, http::Exchange& exchange) {
  obs::AccessRecord record =
      begin_record(context_, downstream_, request.http2 ? "http/2" : "http/1.1");
  const Instant start = context_.loop.now();
  record.method = request.head.method;
  record.host = request.head.headers.get("Host").value_or("");
  record.path = codec::split_target(request.head.target).path;
  const auto timeout = grpc_timeout(request.head);
  if (!timeout) {
    co_await forward(request, exchange, record);
  } else {
    auto outcome = co_await rt::race(forward(request, exchange, record),
                                     until(context_.loop, start + *timeout));
    if (outcome.index() == 1) co_await time_out(request, exchange, record);
  }
  record.total = context_.loop.now() - start;
  record.bytes_to_downstream = exchange.body_bytes_sent();
  requests_.record(record);
}

// Route and pick, anew for each attempt: over the Snapshot of that moment, which is then let go.
Choice HttpFlow::choose(const codec::RequestHead& head, Attempts& attempts,
                        obs::AccessRecord& record) {
  const mesh::RouteRequest request{.listener = downstream_.listener,
                                   .destination = downstream_.destination,
                                   .host = head.headers.get("Host").value_or(""),
                                   .path = codec::split_target(head.target).path,
                                   .method = head.method};
  const mesh::Decision decision = mesh::route(*context_.snapshot, request);
  if (decision.target() != mesh::RouteTarget::service) {
    Choice none;
    record.route_reason = mesh::to_string(decision.reason);
    none.status = decision.status != 0 ? decision.status : kServiceUnavailable;
    none.why = mesh::explain(decision, request);
    return none;
  }
  Choice choice = choose_endpoint(context_, decision, downstream_, attempts.failed,
                                  std::exchange(chosen_, std::nullopt), record);
  if (!choice.endpoint && attempts.count > 0) {
    choice.status = static_cast<std::uint16_t>(status_for(attempts.last));
    choice.why += "; the last attempt failed: " + attempts.last.message;
  }
  return choice;
}

// The caller's own deadline has passed: what is under way was dropped.
rt::Task<void> HttpFlow::time_out(http::Request& request, http::Exchange& exchange,
                                  obs::AccessRecord& record) {
  if (!exchange.started()) {
    co_return co_await answer(request, exchange, kGatewayTimeout, "the deadline has passed",
                              record);
  }
  record.error = "the deadline has passed";
  exchange.abort();
}

// HTTP/2 where the endpoint is known to speak it, or where nobody translated for the client before:
// a port that says nothing is spoken to as its client does.
Upstreams::Version HttpFlow::version_for(const http::Request& request, const Choice& choice) const {
  using Version = Upstreams::Version;
  switch (choice.protocol) {
    case mesh::ProtocolHint::http2: return Version::http2;
    case mesh::ProtocolHint::http:
    case mesh::ProtocolHint::tcp: return Version::http1;
    case mesh::ProtocolHint::detect: break;
  }
  const bool translated = downstream_.listener == mesh::ListenerKind::ingress;
  return request.http2 && !translated ? Version::http2 : Version::http1;
}

rt::Task<void> HttpFlow::forward(http::Request& request, http::Exchange& exchange,
                                 obs::AccessRecord& record) {
  make_outgoing(request.head);
  const codec::RequestHead& head = request.head;
  ReplayBody replay(request.body);
  http::Body* const body = request.body.length() != 0U ? &replay : nullptr;
  Attempts attempts;
  for (;;) {
    // Route and pick.
    Choice choice = choose(head, attempts, record);
    if (!choice.endpoint) {
      co_return co_await answer(request, exchange, choice.status, std::move(choice.why), record);
    }
    ++attempts.count;

    // Connect. Nothing was sent when it fails, so any request may go elsewhere.
    const UpstreamKey key{.caller = downstream_.workload_address, .endpoint = *choice.endpoint};
    auto upstream = co_await context_.upstreams.get(key, version_for(request, choice),
                                                    attempts.fresh, context_.snapshot->networks());
    if (!upstream) {
      attempts.failed.push_back(*choice.endpoint);
      attempts.last = std::move(upstream).error();
      if (attempts.may_go_on()) continue;
      co_return co_await answer(request, exchange, status_for(attempts.last), attempts.last.message,
                                record);
    }

    // Send, and wait for the response as long as the client does.
    http::Channel& channel = upstream->channel();
    auto outcome = co_await rt::race(channel.exchange(head, body, kNever), exchange.client_gone());
    if (outcome.index() == 1) {
      record.error = "the client went away";
      co_return;
    }
    auto& response = std::get<0>(outcome);
    if (response) {
      if (response->head.status == kSwitchingProtocols) {
        co_return co_await relay_upgrade(channel, *response, exchange, record);
      }
      const auto relayed = co_await relay(request, *response, exchange, record);
      if (!relayed) record.error = relayed.error().message;
      context_.upstreams.put(key, *std::move(upstream));
      co_return;
    }

    // Once more where the request was surely not processed, or does no harm when it was.
    attempts.last = std::move(response).error();
    record.error = attempts.last.message;
    if (channel.request_body_failed()) co_return;
    const bool unprocessed = channel.request_progress() == http::RequestProgress::unsent;
    const bool harmless = is_safe(head.method) && body == nullptr;
    const bool again = (unprocessed || harmless) && !channel.response_started() && replay.rewind();
    // A kept connection that turns out to be stale says nothing of its endpoint.
    const bool stale = channel.reused();
    if (stale) --attempts.count;
    if (!again || !attempts.may_go_on()) {
      co_return co_await answer(request, exchange, status_for(attempts.last), attempts.last.message,
                                record);
    }
    if (stale) {
      attempts.fresh = true;
    } else {
      attempts.failed.push_back(*choice.endpoint);
    }
  }
}

rt::Task<void> HttpFlow::answer(http::Request& request, http::Exchange& exchange, int status,
                                std::string why, obs::AccessRecord& record) {
  codec::ResponseHead head{.status = status};
  record.status = static_cast<std::uint16_t>(status);
  record.error = why;
  if (is_grpc(request.head)) {
    head = grpc_failure(status, why);
    why.clear();
  } else {
    head.headers.append("Content-Type", "text/plain; charset=utf-8");
    why.push_back('\n');
  }
  head.headers.append("Server", "tulle");
  const auto sent = co_await exchange.send(head, why);
  if (!sent) record.error += "; the client went away";
}

rt::Task<Result<void>> HttpFlow::relay(http::Request& request, http::Response& response,
                                       http::Exchange& exchange, obs::AccessRecord& record) {
  codec::ResponseHead& head = response.head;
  record.status = static_cast<std::uint16_t>(head.status);
  codec::remove_hop_by_hop(head.headers);
  const auto first = co_await first_piece(response.body);
  if (!first) {
    co_await answer(request, exchange, kBadGateway, first.error().message, record);
    co_return first.error();
  }
  // A body that is there already goes out with its head, in one write.
  const std::optional<std::string_view>& piece = *first;
  const bool is_end = piece && piece->empty() && response.body.trailers() == nullptr;
  if (is_end || (piece && response.body.length() == piece->size())) {
    CO_TRY_VOID(co_await exchange.send(head, *piece));
    if (!piece->empty()) CO_TRY_VOID(co_await response.body.read());
    co_return Result<void>();
  }
  auto outcome = co_await rt::race(stream(response, exchange, piece), exchange.client_gone());
  if (outcome.index() == 1) co_return fail(Code::closed, "the client went away");
  co_return std::get<0>(std::move(outcome));
}

rt::Task<Result<void>> HttpFlow::stream(http::Response& response, http::Exchange& exchange,
                                        std::optional<std::string_view> first) {
  using Flush = http::Exchange::Flush;
  CO_TRY_VOID(co_await exchange.start(response.head, first ? Flush::with_first_write : Flush::now));
  for (;;) {
    if (first && first->empty()) co_return co_await exchange.finish(response.body.trailers());
    if (first) CO_TRY_VOID(co_await exchange.write(*first));
    const auto next = co_await response.body.read();
    if (!next) {
      exchange.abort();
      co_return next.error();
    }
    first = *next;
  }
}

rt::Task<void> HttpFlow::relay_upgrade(http::Channel& channel, http::Response& response,
                                       http::Exchange& exchange, obs::AccessRecord& record) {
  record.status = kSwitchingProtocols;
  const auto downstream = co_await exchange.upgrade(response.head);
  if (!downstream) {
    record.error = downstream.error().message;
    co_return;
  }
  const auto upstream = channel.take_stream();
  const TunnelEnd end = co_await tunnel(**downstream, *upstream);
  record.bytes_from_downstream = end.bytes_up;
  record.bytes_to_downstream = end.bytes_down;
  if (!end.outcome) record.error = end.outcome.error().message;
}

}  // namespace tulle::proxy
