#include "proxy/http_flow.h"

#include "base/text.h"
#include "codec/http2.h"
#include "codec/url.h"
#include "codec/websocket.h"
#include "proxy/admission.h"
#include "proxy/explain.h"
#include "proxy/grpc.h"
#include "proxy/replay_body.h"
#include "proxy/request_key.h"
#include "proxy/retry.h"
#include "proxy/tunnel.h"
#include "rt/combine.h"
#include "rt/sleep.h"
#include "rt/sync.h"

#include <algorithm>
#include <array>
#include <bit>

namespace tulle::proxy {

namespace {

constexpr std::string_view kExplainField = "x-tulle-explain";
constexpr int kSwitchingProtocols = 101;
constexpr int kNotImplemented = 501;
constexpr int kBadGateway = 502;
constexpr int kServiceUnavailable = 503;
constexpr int kGatewayTimeout = 504;
constexpr int kTooManyRequests = 429;

// Whether a list of protocols has HTTP/2 over plain TCP, with a version or without.
bool asks_for_http2(std::string_view protocols) {
  while (!protocols.empty()) {
    std::string_view protocol = take_until(protocols, ',');
    if (codec::equals_ignoring_case(trim(take_until(protocol, '/')), "h2c")) return true;
  }
  return false;
}

// What a client may not decide for the connection behind us. An upgrade goes through, but for that
// to HTTP/2: behind it requests would pass that nobody here has seen (RFC 9113 took it out).
void make_outgoing(codec::RequestHead& head, const SocketAddress& destination) {
  std::string upgrade;
  if (codec::is_upgrade(head)) {
    upgrade = head.headers.get("Upgrade").value_or("");
    if (head.headers.count("Upgrade") > 1 || asks_for_http2(upgrade)) upgrade.clear();
  }
  codec::remove_hop_by_hop(head.headers);
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
  // HTTP/1.0 knows requests without a Host, which HTTP/1.1 does not: what was dialled stands for
  // it.
  if (!head.headers.contains("Host")) head.headers.append("Host", destination.to_string());
  head.minor_version = 1;
}

// Whoever is behind an Ingress learns who asked, and for what, from fields that only the Ingress
// writes: what a client says of itself there is not believed.
void set_forwarded(codec::Headers& headers, const Downstream& downstream) {
  const std::string address = downstream.peer.ip.to_string();
  const std::string host(headers.get("Host").value_or(""));
  headers.remove("Forwarded");
  headers.set("X-Forwarded-For", address);
  headers.set("X-Forwarded-Host", host);
  headers.set("X-Forwarded-Proto", downstream.tls ? "https" : "http");
  headers.set("X-Real-IP", address);
}

int status_for(const Error& error) {
  switch (error.code) {
    case Code::refused:
    case Code::exhausted: return kServiceUnavailable;
    case Code::timed_out: return kGatewayTimeout;
    default: return kBadGateway;
  }
}

// A WebSocket of HTTP/2 has no key, but that of HTTP/1.1 must (RFC 8441 §5): we are the client
// then.
void add_websocket_key(codec::Headers& headers, Random& random) {
  const std::array<std::uint64_t, 2> words = {random.next(), random.next()};
  headers.set("Sec-WebSocket-Key",
              codec::websocket_key(std::bit_cast<std::array<std::uint8_t, 16>>(words)));
}

// Whether it can be said to an extended CONNECT: that it is a WebSocket now, which a client of
// HTTP/1.1 makes sure of by itself, or why it is none. Any 2xx would be taken for one.
bool answers_websocket(const codec::RequestHead& asked, const codec::ResponseHead& answer) {
  if (answer.status != kSwitchingProtocols) return answer.status >= 300;
  const auto key = codec::websocket_accept_key(asked.headers.get("Sec-WebSocket-Key").value_or(""));
  return key && answer.headers.get("Sec-WebSocket-Accept") == *key;
}

rt::Task<void> nothing() { co_return; }

// Where the length is unknown the body may begin long after the head (a stream of events): then
// only what is there already.
rt::Task<Result<std::optional<std::string_view>>> first_piece(http::Body& body) {
  if (body.length()) co_return co_await body.read();
  auto outcome = co_await rt::race(body.read(), nothing());
  if (outcome.index() == 1) co_return std::nullopt;
  co_return std::get<0>(std::move(outcome));
}

}  // namespace

namespace {

// To the client, as they come.
class Interim final : public http::InterimSink {
 public:
  explicit Interim(http::Exchange& exchange) : exchange_(exchange) {}
  void take_interim(const codec::ResponseHead& head) override {
    codec::ResponseHead outgoing = head;
    codec::remove_hop_by_hop(outgoing.headers);
    outgoing.headers.remove("Content-Length");  // RFC 9110 §8.6
    exchange_.send_interim(outgoing);
  }

 private:
  http::Exchange& exchange_;
};

}  // namespace

// One request, and how far it is. Lives as long as its handler.
struct HttpFlow::Asked {
  http::Request& request;
  http::Exchange& exchange;
  obs::AccessRecord& record;
  ReplayBody& replay;
  Interim interim{exchange};
  mesh::RouteRequest routed = {};              // of the head as it goes out
  std::optional<mesh::Decision> decided = {};  // for the first pick, of the Snapshot of that moment
  std::shared_ptr<const mesh::Policy> policy = {};  // null: none

  std::vector<SocketAddress> refused_by = {};  // they are not asked again
  std::vector<SocketAddress> asked = {};       // in order; not again, if there is another
  std::uint32_t retries = 0;                   // attempts beyond the first that were sent
  bool fresh = false;                          // an idle connection was stale: make a new one
  mesh::RetryLease lease = {};
  Error last = {};
  bool wants_reasons = false;
  std::vector<std::string> reasons = {};  // of the last choice

  const mesh::Policy& the_policy() const { return policy ? *policy : mesh::Policy::none(); }
  const codec::RequestHead& head() const { return request.head; }
  // The last `count` of those asked, and those that refused.
  std::vector<SocketAddress> tried(std::size_t count) const {
    std::vector<SocketAddress> all = refused_by;
    all.insert(all.end(), asked.end() - static_cast<std::ptrdiff_t>(count), asked.end());
    return all;
  }
};

struct HttpFlow::Tried {
  Choice choice = {};
  UpstreamKey key = {};
  bool connected = false;
  Upstream upstream = {};
  std::optional<http::Response> response = {};  // of the upstream's channel
  Error error = {};                             // where there is none
  Duration latency = {};                        // to the response's head

  // The endpoint has as many connections as it may have, and was waited for.
  bool found_no_place() const { return !connected && error.code == Code::exhausted; }
};

void HttpFlow::note_key(const UpstreamKey& key) {
  if (key.announcement.empty()) return;
  if (std::ranges::find(announced_, key) == announced_.end()) announced_.push_back(key);
}

HttpFlow::~HttpFlow() {
  for (const UpstreamKey& key : announced_) context_.upstreams.drop(key);
}

rt::Task<void> HttpFlow::handle(http::Request& request, http::Exchange& exchange) {
  obs::AccessRecord record =
      begin_record(context_, downstream_, request.http2 ? "http/2" : "http/1.1");
  const Instant start = context_.loop.now();
  record.method = request.head.method;
  record.host = request.head.headers.get("Host").value_or("");
  record.path = codec::split_target(request.head.target).path;
  auto timeout = grpc_timeout(request.head);
  make_outgoing(request.head, downstream_.destination);
  if (request.http2 && codec::is_upgrade(request.head)) {
    add_websocket_key(request.head.headers, context_.random);
  }
  const bool is_ingress = downstream_.listener == mesh::ListenerKind::ingress;
  if (is_ingress) set_forwarded(request.head.headers, downstream_);
  ReplayBody replay(request.body);
  Asked asked{.request = request, .exchange = exchange, .record = record, .replay = replay};
  asked.wants_reasons = take_explain_field(request.head.headers);
  if (request.head.method == "CONNECT") {
    // There is no tunnel: what a client sends behind it would be taken for requests.
    co_await answer(asked, kNotImplemented, "CONNECT is not served here");
    record.total = context_.loop.now() - start;
    co_return requests_.record(record);
  }
  asked.routed = route_request(request.head);
  asked.decided = route(asked);
  if (asked.decided->service != nullptr) asked.policy = asked.decided->service->policy;
  if (const auto limit = asked.the_policy().timeouts.request) {
    timeout = std::min(timeout.value_or(*limit), *limit);
  }
  if (!timeout) {
    co_await forward(asked);
  } else {
    auto outcome = co_await rt::race(forward(asked), rt::until(context_.loop, start + *timeout));
    if (outcome.index() == 1) co_await time_out(asked);
  }
  record.total = context_.loop.now() - start;
  record.bytes_to_downstream = exchange.body_bytes_sent();
  requests_.record(record);
}

// Whether the client may know why its request goes where it goes, and asks: it sits on this
// machine, or in a pod of a namespace that may. Then the field has done its work.
bool HttpFlow::take_explain_field(codec::Headers& headers) const {
  const auto field = headers.get(kExplainField);
  if (!field || *field != "1") return false;
  const bool from_pod = downstream_.listener == mesh::ListenerKind::capture;
  const std::string space = downstream_.workload.substr(0, downstream_.workload.find('/'));
  const auto& allowed = context_.explain_namespaces;
  const bool told = downstream_.announced_destination.has_value();  // of the peer, and not seen
  const bool may = from_pod ? std::ranges::find(allowed, space) != allowed.end()
                            : !told && downstream_.peer.ip.is_loopback();
  if (may) headers.remove(kExplainField);
  return may;
}

mesh::RouteRequest HttpFlow::route_request(const codec::RequestHead& head) const {
  return {.listener = downstream_.listener,
          .destination = downstream_.destination,
          .host = head.headers.get("Host").value_or(""),
          .path = codec::split_target(head.target).path,
          .method = head.method};
}

mesh::Decision HttpFlow::route(const Asked& asked) const {
  return mesh::route(*context_.snapshot, asked.routed);
}

// Route and pick, anew for each attempt: over the Snapshot of that moment, which is then let go.
Choice HttpFlow::choose(Asked& asked) {
  const auto decided = std::exchange(asked.decided, std::nullopt);
  const mesh::Decision decision = decided ? *decided : route(asked);
  if (decision.target() != mesh::RouteTarget::service) {
    Choice none;
    if (asked.wants_reasons) {
      asked.reasons =
          explain_choice(decision, asked.routed, {}, {}, context_.loop.now(), context_.random);
    }
    asked.record.route_reason = mesh::to_string(decision.reason);
    none.status = decision.status != 0 ? decision.status : kServiceUnavailable;
    none.why = mesh::explain(decision, asked.routed);
    return none;
  }
  // One that was not asked yet; else another than the last; else any that did not refuse.
  std::size_t count = asked.asked.size();
  std::vector<SocketAddress> tried = asked.tried(count);
  ChoiceRequest request{.head = &asked.head(),
                        .tried = tried,
                        .chosen = std::exchange(chosen_, std::nullopt),
                        .routed = &asked.routed,
                        .reasons = asked.wants_reasons ? &asked.reasons : nullptr};
  Choice choice = choose_endpoint(context_, decision, downstream_, request, asked.record);
  while (choice.reason == mesh::PickReason::all_tried && count > 0) {
    count = count > 1 ? 1 : 0;
    tried = asked.tried(count);
    request.tried = tried;
    choice = choose_endpoint(context_, decision, downstream_, request, asked.record);
  }
  if (!choice.endpoint && !(asked.refused_by.empty() && asked.asked.empty())) {
    choice.status = static_cast<std::uint16_t>(status_for(asked.last));
    choice.why += "; the last attempt failed: " + asked.last.message;
  }
  return choice;
}

// The caller's own deadline, or that of the policy, has passed: what is under way was dropped.
rt::Task<void> HttpFlow::time_out(Asked& asked) {
  if (!asked.exchange.started()) {
    co_return co_await answer(asked, kGatewayTimeout, "the deadline has passed");
  }
  asked.record.error = "the deadline has passed";
  asked.exchange.abort();
}

// HTTP/2 where the endpoint is known to speak it, or where nobody translated for the client before:
// a port that says nothing is spoken to as its client does.
Upstreams::Version HttpFlow::version_for(const http::Request& request, const Choice& choice) const {
  using Version = Upstreams::Version;
  const bool other_upgrade =
      codec::is_upgrade(request.head) && !codec::is_websocket_handshake(request.head);
  if (other_upgrade) return Version::http1;  // HTTP/2 has none
  switch (choice.protocol) {
    case mesh::ProtocolHint::http2: return Version::http2;
    case mesh::ProtocolHint::http:
    case mesh::ProtocolHint::tcp: return Version::http1;
    case mesh::ProtocolHint::detect: break;
  }
  const bool translated = downstream_.listener == mesh::ListenerKind::ingress;
  return request.http2 && !translated ? Version::http2 : Version::http1;
}

// Where the policy limits how many are under way, only with a place among them.
rt::Task<void> HttpFlow::forward(Asked& asked) {
  http::Body* const body = asked.request.body.length() != 0U ? &asked.replay : nullptr;
  const mesh::Decision& decision = *asked.decided;
  if (decision.port == nullptr || !decision.port->gate) co_return co_await send(asked, body);
  asked.record.service = decision.service->name.to_string();
  asked.record.service_port = decision.port->port;
  auto outcome = co_await rt::race(admit(context_.loop, decision), asked.exchange.client_gone());
  asked.decided = std::nullopt;  // the Snapshot may be another one by now
  if (outcome.index() == 1) {
    asked.record.error = "the client went away";
    co_return;
  }
  const mesh::Gate::Place& place = std::get<0>(outcome);
  if (place.entry() == mesh::Gate::Entry::inside) co_return co_await send(asked, body);
  context_.metrics.shed(asked.record.service, asked.record.service_port).add();
  co_await answer(asked, kServiceUnavailable,
                  "service " + asked.record.service + " has as many requests as its policy allows");
}

// Attempts, until one has an answer for the client or none may follow.
rt::Task<void> HttpFlow::send(Asked& asked, http::Body* body) {
  for (;;) {
    Choice choice = choose(asked);
    if (!choice.endpoint) {
      co_return co_await answer(asked, choice.status, std::move(choice.why));
    }
    // As long as the client waits for it.
    const auto delay = body == nullptr ? hedge_delay(asked, choice) : std::nullopt;
    auto outcome = co_await rt::race(
        delay ? hedge(asked, std::move(choice), *delay) : attempt(asked, body, std::move(choice)),
        asked.exchange.client_gone());
    if (outcome.index() == 1) {
      asked.record.error = "the client went away";
      co_return;
    }
    Tried& tried = std::get<0>(outcome);
    const auto& codes = asked.the_policy().retry.codes;
    const bool counts =
        tried.response && std::ranges::find(codes, tried.response->head.status) == codes.end();
    if (counts) co_return co_await hand_on(asked, std::move(tried));
    if (!tried.response) {
      asked.last = tried.error;
      asked.record.error = asked.last.message;
      if (tried.connected && tried.upstream.channel().request_body_failed()) co_return;
    }
    if (co_await once_more(asked, tried)) {
      tried.upstream = {};  // it reads the body no more
      asked.replay.rewind();
      continue;
    }
    if (tried.response) co_return co_await hand_on(asked, std::move(tried));
    co_return co_await answer(asked, status_for(asked.last), asked.last.message);
  }
}

rt::Task<HttpFlow::Tried> HttpFlow::attempt(Asked& asked, http::Body* body, Choice choice) {
  Tried tried{.choice = std::move(choice)};
  const mesh::Timeouts& timeouts = tried.choice.the_policy().timeouts;
  tried.key = upstream_key(downstream_, tried.choice);
  note_key(tried.key);
  ConnectLimits limits = connect_limits(tried.choice);
  limits.fresh = asked.fresh;
  limits.websocket = codec::is_websocket_handshake(asked.head());
  auto upstream = co_await context_.upstreams.get(
      tried.key, version_for(asked.request, tried.choice), limits, context_.snapshot->networks());
  if (!upstream) {
    tried.error = std::move(upstream).error();
    note(asked, tried);
    co_return tried;
  }
  tried.choice.in_flight.note_sent();
  tried.connected = true;
  tried.upstream = *std::move(upstream);
  const Instant sent = context_.loop.now();
  auto response = co_await tried.upstream.channel().exchange(
      asked.head(), body,
      {.deadline = timeouts.per_try ? sent + *timeouts.per_try : kNever,
       .interim = &asked.interim});
  tried.latency = context_.loop.now() - sent;
  if (response) {
    tried.response.emplace(*response);
  } else {
    tried.error = std::move(response).error();
  }
  note(asked, tried);
  co_return tried;
}

// What the attempt says of its endpoint. A kept connection that turns out to be stale says nothing,
// and neither does a request whose own body broke off, or that was let in by none.
void HttpFlow::note(Asked& asked, const Tried& tried) {
  if (tried.found_no_place()) return;
  mesh::Outcome outcome = mesh::Outcome::connect_error;
  if (tried.response) {
    outcome = outcome_of(tried.response->head);
  } else if (tried.connected) {
    const http::Channel& channel = tried.upstream.channel();
    const bool stale =
        channel.reused() && !channel.response_started() && tried.error.code != Code::timed_out;
    if (stale || channel.request_body_failed()) return;
    outcome = mesh::Outcome::broken;
  }
  if (count_outcome(context_, tried.choice, outcome, tried.latency)) {
    judge_endpoint(context_, route(asked), tried.choice, outcome);
  }
  const auto pause =
      tried.response ? retry_after(tried.response->head, context_.loop.wall_now()) : std::nullopt;
  if (pause) note_retry_after(context_, route(asked), tried.choice, *pause);
}

std::optional<Duration> HttpFlow::hedge_delay(const Asked& asked, const Choice& choice) const {
  if (!choice.latencies || !is_idempotent(asked.head())) return std::nullopt;
  return choice.latencies->percentile(choice.the_policy().hedging_percentile);
}

// Two attempts, the second one when the first is slow; whichever ends first counts.
rt::Task<HttpFlow::Tried> HttpFlow::hedge(Asked& asked, Choice choice, Duration delay) {
  const SocketAddress first = *choice.endpoint;
  auto outcome = co_await rt::race(attempt(asked, nullptr, std::move(choice)),
                                   attempt_later(asked, first, delay));
  co_return std::visit([](auto& tried) { return std::move(tried); }, outcome);
}

// Ends only with a response: otherwise it leaves the word to the first attempt.
rt::Task<HttpFlow::Tried> HttpFlow::attempt_later(Asked& asked, SocketAddress other,
                                                  Duration delay) {
  rt::WaitList never;
  co_await rt::sleep(context_.loop, delay);
  const mesh::Decision decision = route(asked);
  std::vector<SocketAddress> tried = asked.tried(asked.asked.size());
  tried.push_back(other);
  const auto lease = lease_retry(decision, context_.loop.now());
  if (lease) {
    obs::AccessRecord record = asked.record;
    Choice choice = choose_endpoint(context_, decision, downstream_,
                                    {.head = &asked.head(), .tried = tried}, record);
    // What only stands in is not warmed up for that.
    if (choice.endpoint && !choice.stands_in) {
      asked.record.attempts = record.attempts;
      Tried second = co_await attempt(asked, nullptr, std::move(choice));
      if (second.response) {
        asked.record = std::move(record);
        co_return second;
      }
    }
  }
  co_await rt::wait_on(never);
  co_return Tried{};
}

rt::Task<bool> HttpFlow::once_more(Asked& asked, Tried& tried) {
  const mesh::Retry& policy = asked.the_policy().retry;
  if (tried.found_no_place()) {
    context_.metrics.shed(asked.record.service, asked.record.service_port).add();
    co_return false;
  }
  // Nothing was sent: any request may go elsewhere.
  if (!tried.connected) {
    asked.refused_by.push_back(*tried.choice.endpoint);
    co_return asked.refused_by.size() < kAttemptsMax;
  }
  const http::Channel& channel = tried.upstream.channel();
  const bool answered = tried.response.has_value();
  const bool unprocessed = !answered && channel.request_progress() == http::RequestProgress::unsent;
  const bool begun = !answered && channel.response_started();
  const bool may = unprocessed || is_idempotent(asked.head());
  if (!may || begun || !asked.replay.can_rewind()) co_return false;
  const bool stale = !answered && channel.reused() && asked.last.code != Code::timed_out;
  if (stale && !asked.fresh) {
    // The server may have been closing it. That is no attempt.
    asked.fresh = true;
    co_return true;
  }
  if (asked.retries >= policy.attempts) co_return false;
  const auto pause =
      answered ? retry_after(tried.response->head, context_.loop.wall_now()) : std::nullopt;
  // Too long to wait for. Of a 503 another endpoint may be better off; a 429 means the client.
  if (pause && *pause > policy.backoff_max && tried.response->head.status == kTooManyRequests) {
    co_return false;
  }
  if (!unprocessed) {
    auto lease = lease_retry(route(asked), context_.loop.now());
    if (!lease) {
      asked.last.message += "; the retry budget of the service is spent";
      co_return false;
    }
    asked.lease = *std::move(lease);
    Duration wait = backoff(policy, asked.retries, context_.random);
    if (pause && *pause <= policy.backoff_max) wait = std::max(wait, *pause);
    // Neither the connection nor the count at the endpoint is needed any more.
    tried.upstream = {};
    tried.choice.in_flight.end();
    co_await rt::race(rt::until(context_.loop, context_.loop.now() + wait),
                      asked.exchange.client_gone());
  }
  asked.asked.push_back(*tried.choice.endpoint);
  ++asked.retries;
  co_return true;
}

rt::Task<void> HttpFlow::answer(Asked& asked, int status, std::string why) {
  codec::ResponseHead head{.status = status};
  asked.record.status = static_cast<std::uint16_t>(status);
  asked.record.error = why;
  if (is_grpc(asked.head())) {
    head = grpc_failure(status, why);
    why.clear();
  } else {
    head.headers.append("Content-Type", "text/plain; charset=utf-8");
    why.push_back('\n');
  }
  head.headers.append("Server", "tulle");
  if (status == kNotImplemented) head.headers.append("Connection", "close");
  for (const std::string& reason : asked.reasons) head.headers.append(kExplainField, reason);
  const auto sent = co_await asked.exchange.send(head, why);
  if (!sent) asked.record.error += "; the client went away";
}

// The answer that counts, to the client. Then its connection is kept.
rt::Task<void> HttpFlow::hand_on(Asked& asked, Tried tried) {
  asked.record.error.clear();
  asked.lease.end();
  const codec::ResponseHead& head = tried.response->head;
  const bool extended_connect = asked.request.http2 && codec::is_upgrade(asked.head());
  if (extended_connect && !answers_websocket(asked.head(), head)) {
    co_return co_await answer(asked, kBadGateway, "the endpoint did not switch to WebSocket");
  }
  if (head.status == kSwitchingProtocols) co_return co_await relay_upgrade(asked, tried);
  const auto relayed = co_await relay(asked, tried);
  if (!relayed) asked.record.error = relayed.error().message;
  context_.upstreams.put(tried.key, std::move(tried.upstream));
}

rt::Task<Result<void>> HttpFlow::relay(Asked& asked, Tried& tried) {
  http::Response& response = *tried.response;
  codec::ResponseHead& head = response.head;
  asked.record.status = static_cast<std::uint16_t>(head.status);
  codec::remove_hop_by_hop(head.headers);
  if (tried.choice.new_session) {
    write_session(*tried.choice.policy->session, *tried.choice.new_session, head.headers);
  }
  for (const std::string& reason : asked.reasons) head.headers.append(kExplainField, reason);
  const auto first = co_await first_piece(response.body);
  if (!first) {
    co_await answer(asked, kBadGateway, first.error().message);
    co_return first.error();
  }
  // A body that is there already goes out with its head, in one write.
  const std::optional<std::string_view>& piece = *first;
  const bool is_end = piece && piece->empty() && response.body.trailers() == nullptr;
  if (is_end || (piece && response.body.length() == piece->size())) {
    CO_TRY_VOID(co_await asked.exchange.send(head, *piece));
    if (!piece->empty()) CO_TRY_VOID(co_await response.body.read());
    co_return Result<void>();
  }
  auto outcome = co_await rt::race(stream(asked, response, piece), asked.exchange.client_gone());
  if (outcome.index() == 1) co_return fail(Code::closed, "the client went away");
  co_return std::get<0>(std::move(outcome));
}

rt::Task<Result<void>> HttpFlow::stream(Asked& asked, http::Response& response,
                                        std::optional<std::string_view> first) {
  using Flush = http::Exchange::Flush;
  http::Exchange& exchange = asked.exchange;
  CO_TRY_VOID(co_await exchange.start(response.head, first ? Flush::with_first_write : Flush::now));
  rt::Fairness fairness(context_.loop);
  for (;;) {
    co_await fairness.pass();
    if (first && first->empty()) co_return co_await exchange.finish(response.body.trailers());
    if (first) CO_TRY_VOID(co_await exchange.write(*first));
    const auto next = co_await read_next(asked, response.body);
    if (!next) {
      exchange.abort();
      co_return next.error();
    }
    first = *next;
  }
}

rt::Task<Result<std::string_view>> HttpFlow::read_next(Asked& asked, http::Body& body) {
  const auto idle = asked.the_policy().timeouts.idle;
  if (!idle) return body.read();
  return rt::with_deadline(context_.loop, context_.loop.now() + *idle, body.read());
}

rt::Task<void> HttpFlow::relay_upgrade(Asked& asked, Tried& tried) {
  asked.record.status = kSwitchingProtocols;
  const auto downstream = co_await asked.exchange.upgrade(tried.response->head);
  if (!downstream) {
    asked.record.error = downstream.error().message;
    co_return;
  }
  const auto upstream = tried.upstream.channel().take_stream();
  const mesh::Timeouts& timeouts = asked.the_policy().timeouts;
  const TunnelEnd end = co_await tunnel(context_.loop, **downstream, *upstream,
                                        {.idle = timeouts.idle, .total = timeouts.stream});
  asked.record.bytes_from_downstream = end.bytes_up;
  asked.record.bytes_to_downstream = end.bytes_down;
  if (!end.outcome) {
    asked.record.error = end.outcome.error().message;
    co_return;
  }
  const Instant patience = context_.loop.now() + context_.server_options.write_timeout;
  co_await rt::race(tried.upstream.channel().stream_sent(), rt::until(context_.loop, patience));
}

}  // namespace tulle::proxy
