#include "node/probes.h"

#include "base/format.h"
#include "http/client_connection.h"
#include "http/grpc_health.h"
#include "kube/object.h"
#include "net/tls.h"
#include "node/container_command.h"
#include "node/http_place.h"
#include "node/probe_state.h"
#include "rt/sleep.h"

#include <boost/json.hpp>

#include <cerrno>
#include <charconv>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;

constexpr Duration kEagerPause = std::chrono::milliseconds(50);
constexpr int kRedirectsMax = 10;
constexpr const char* kUserAgent = "kube-probe/tulle";

// A number, or the name of one of the container's ports.
Result<std::uint16_t> port_of(const json::object& action, const json::object& container) {
  const json::value* value = action.if_contains("port");
  if (value == nullptr) return fail(Code::invalid_argument, "no port is given");
  const std::string text = kube::scalar_text(*value);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error == std::errc() && end == text.data() + text.size()) return port;
  for (const json::value& each : kube::array_at(container, "ports")) {
    const json::object& named = kube::object_or_empty(each);
    if (string_at(named, "name") == text) {
      return static_cast<std::uint16_t>(kube::integer_at(named, "containerPort"));
    }
  }
  return failf(Code::invalid_argument, "the container has no port named \"{}\"", text);
}

Result<SocketAddress> address_of(const ActionTarget& target, const json::object& action) {
  TRY(const std::uint16_t port, port_of(action, target.container));
  const std::string_view host = string_at(action, "host");
  IpAddress address = target.context.address;
  if (!host.empty()) {
    TRY(address, IpAddress::parse(host));
  }
  return SocketAddress{.ip = address, .port = port};
}

rt::Task<Result<std::unique_ptr<net::Stream>>> connect(PodContext& context, SocketAddress to) {
  co_return co_await context.node.network.connect({.to = to, .in = context.space});
}

rt::Task<Result<void>> connect_only(const ActionTarget& target, const json::object& action) {
  CO_TRY(const SocketAddress to, address_of(target, action));
  auto stream = co_await connect(target.context, to);
  if (!stream) co_return std::move(stream).error();
  co_return Result<void>();
}

// Whoever answers at the pod's own address is the pod: its certificate is not looked at.
rt::Task<Result<std::unique_ptr<net::Stream>>> without_verification(
    rt::Loop& loop, std::unique_ptr<net::Stream> inner) {
  CO_TRY(auto context, net::TlsContext::client({.verify_peer = false, .alpn = {"http/1.1"}}));
  std::string name = inner->peer_address().ip.to_string();
  CO_TRY(std::unique_ptr<net::Stream> stream,
         co_await net::tls_connect(loop, std::move(inner), std::move(context), std::move(name)));
  co_return stream;
}

// The probe's own headers stand in for those that are sent anyway.
void add_headers(const json::object& action, codec::Headers& headers) {
  std::vector<codec::Header> own;
  for (const json::value& each : kube::array_at(action, "httpHeaders")) {
    const json::object& header = kube::object_or_empty(each);
    const codec::Header field{.name = string_at(header, "name"),
                              .value = string_at(header, "value")};
    if (codec::is_token(field.name) && codec::is_field_value(field.value)) own.push_back(field);
  }
  for (const codec::Header& field : own) headers.remove(field.name);
  for (const codec::Header& field : own) headers.append(field.name, field.value);
}

rt::Task<Result<codec::ResponseHead>> ask_http(const ActionTarget& target,
                                               const json::object& action, HttpPlace place) {
  rt::Loop& loop = target.context.node.loop;
  CO_TRY(auto stream, co_await connect(target.context, place.to));
  codec::RequestHead head{.method = "GET", .target = place.target};
  head.headers.append("Host", place.to.to_string());
  head.headers.append("User-Agent", kUserAgent);
  head.headers.append("Accept", "*/*");
  head.headers.append("Connection", "close");
  add_headers(action, head.headers);
  if (place.tls) {
    CO_TRY(stream, co_await without_verification(loop, std::move(stream)));
  }
  http::ClientConnection connection(loop, std::move(stream));
  CO_TRY(const http::Response response, co_await connection.exchange(head));
  co_return response.head;
}

rt::Task<Result<void>> http_get(const ActionTarget& target, const json::object& action) {
  CO_TRY(const SocketAddress to, address_of(target, action));
  HttpPlace place{.to = to,
                  .tls = string_at(action, "scheme") == "HTTPS",
                  .target = std::string(string_at(action, "path", "/"))};
  if (!place.target.starts_with('/')) place.target.insert(0, "/");
  for (int redirects = 0; redirects <= kRedirectsMax; ++redirects) {
    CO_TRY(const codec::ResponseHead answer, co_await ask_http(target, action, place));
    if (answer.status < 200 || answer.status > 399) {
      co_return failf(Code::unavailable, "HTTP probe failed with statuscode: {}", answer.status);
    }
    if (answer.status < 300) break;
    auto next = redirected(place, answer.headers.get("Location").value_or(""));
    if (!next) break;
    if (redirects == kRedirectsMax) {
      co_return failf(Code::unavailable, "stopped after {} redirects", kRedirectsMax);
    }
    place = *std::move(next);
  }
  co_return Result<void>();
}

rt::Task<Result<void>> ask_grpc(const ActionTarget& target, const json::object& action) {
  CO_TRY(const SocketAddress to, address_of(target, action));
  CO_TRY(auto stream, co_await connect(target.context, to));
  co_return co_await http::check_grpc_health(target.context.node.loop, std::move(stream),
                                             {.service = std::string(string_at(action, "service")),
                                              .authority = to.to_string(),
                                              .user_agent = kUserAgent});
}

rt::Task<Result<void>> execute(const ActionTarget& target, const json::object& action) {
  std::vector<std::string> arguments;
  for (const json::value& each : kube::array_at(action, "command")) {
    arguments.emplace_back(kube::string_or(each));
  }
  if (arguments.empty()) co_return fail(Code::invalid_argument, "no command is given");
  CO_TRY(const auto command,
         ContainerCommand::start(target.context.node, {.container_id = target.container_id,
                                                       .arguments = std::move(arguments)}));
  CO_TRY(const rt::ExitStatus status, co_await command->exited());
  if (status.success()) co_return Result<void>();
  co_return failf(Code::unavailable, "command terminated with exit code {}",
                  status.signal != 0 ? 128 + status.signal : status.code);
}

rt::Task<Result<void>> carry_out(ActionTarget target, const json::object& action) {
  if (const json::object* get = kube::find_object(action, "httpGet")) {
    co_return co_await http_get(target, *get);
  }
  if (const json::object* socket = kube::find_object(action, "tcpSocket")) {
    co_return co_await connect_only(target, *socket);
  }
  if (const json::object* grpc = kube::find_object(action, "grpc")) {
    co_return co_await ask_grpc(target, *grpc);
  }
  if (const json::object* exec = kube::find_object(action, "exec")) {
    co_return co_await execute(target, *exec);
  }
  if (const json::object* pause = kube::find_object(action, "sleep")) {
    co_await rt::sleep(target.context.node.loop,
                       std::chrono::seconds(kube::integer_at(*pause, "seconds")));
    co_return Result<void>();
  }
  co_return fail(Code::unsupported, "this kind of action is not supported");
}

}  // namespace

ProbeTimes probe_times(const json::object& probe) {
  const auto seconds = [&probe](std::string_view field, std::int64_t fallback) {
    return Duration(std::chrono::seconds(kube::integer_at(probe, field, fallback)));
  };
  const Duration second = std::chrono::seconds(1);
  return {.initial_delay = seconds("initialDelaySeconds", 0),
          .period = std::max(second, seconds("periodSeconds", 10)),
          .timeout = std::max(second, seconds("timeoutSeconds", 1)),
          .successes_needed = static_cast<int>(
              std::max<std::int64_t>(1, kube::integer_at(probe, "successThreshold", 1))),
          .failures_needed = static_cast<int>(
              std::max<std::int64_t>(1, kube::integer_at(probe, "failureThreshold", 3)))};
}

rt::Task<Result<void>> run_action(ActionTarget target, const json::object& action,
                                  Instant deadline) {
  rt::Loop& loop = target.context.node.loop;
  co_return co_await rt::with_deadline(loop, deadline, carry_out(target, action));
}

Prober::Prober(ActionTarget target, ProbedBefore before)
    : target_(std::move(target)),
      began_(target_.context.node.loop.now()),
      scope_(target_.context.node.loop) {
  const json::object* startup = kube::find_object(target_.container, "startupProbe");
  const json::object* readiness = kube::find_object(target_.container, "readinessProbe");
  started_ = startup == nullptr || before.started;
  ready_ = readiness == nullptr || before.ready;
  scope_.spawn(run_startup(started_ ? nullptr : startup));
}

rt::Task<void> Prober::run_startup(const json::object* probe) {
  if (probe != nullptr) {
    const ProbeTimes times = probe_times(*probe);
    ProbeState state(times, false);
    co_await rt::sleep_until(scope_.loop(), began_ + times.initial_delay);
    for (;;) {
      const bool reached = state.add(co_await run_once(*probe, "Startup"));
      if (reached && !state.good()) co_return want_restart("startup", *probe);
      if (state.good()) break;
      co_await rt::sleep(scope_.loop(), times.period);
    }
    started_ = true;
    target_.context.touch();
  }
  if (const json::object* liveness = kube::find_object(target_.container, "livenessProbe")) {
    scope_.spawn(run_liveness(*liveness));
  }
  if (const json::object* readiness = kube::find_object(target_.container, "readinessProbe")) {
    scope_.spawn(run_readiness(*readiness));
  }
}

rt::Task<void> Prober::run_liveness(const json::object& probe) {
  const ProbeTimes times = probe_times(probe);
  ProbeState state(times, true);
  co_await rt::sleep_until(scope_.loop(), began_ + times.initial_delay);
  for (;;) {
    if (state.add(co_await run_once(probe, "Liveness")) && !state.good()) {
      co_return want_restart("liveness", probe);
    }
    co_await rt::sleep(scope_.loop(), times.period);
  }
}

rt::Task<void> Prober::run_readiness(const json::object& probe) {
  const ProbeTimes times = probe_times(probe);
  ProbeState state(times, ready_);
  co_await rt::sleep_until(scope_.loop(), began_ + times.initial_delay);
  // One that has just started is asked more often at first, quietly: it is not to wait a whole
  // period because it was not listening in its first millisecond.
  Duration pause = ready_ ? times.period : std::min(kEagerPause, times.period);
  for (;;) {
    const bool good = co_await run_once(probe, pause < times.period ? "" : "Readiness");
    (void)state.add(good);
    if (ready_ != state.good()) {
      ready_ = state.good();
      target_.context.touch();
    }
    pause = ready_ ? times.period : pause;
    co_await rt::sleep(scope_.loop(), pause);
    pause = std::min(pause * 2, times.period);
  }
}

rt::Task<bool> Prober::run_once(const json::object& probe, std::string kind) {
  Result<void> outcome;
  for (;;) {
    outcome = co_await run_action(target_, probe, scope_.loop().now() + probe_times(probe).timeout);
    // What this process lacks says nothing of the container.
    if (outcome || (outcome.error().os_error != EMFILE && outcome.error().os_error != ENFILE))
      break;
    co_await rt::sleep(scope_.loop(), probe_times(probe).period);
  }
  if (!outcome && !kind.empty()) {
    target_.context.warning("Unhealthy",
                            fmt::format("{} probe failed: {}", kind, outcome.error().message));
  }
  co_return outcome.has_value();
}

void Prober::want_restart(std::string kind, const json::object& probe) {
  wish_ = RestartWish{.probe = std::move(kind), .grace = std::nullopt};
  const std::int64_t seconds = kube::integer_at(probe, "terminationGracePeriodSeconds", -1);
  if (seconds >= 0) wish_->grace = std::chrono::seconds(seconds);
  wish_waiters_.wake_all(scope_.loop());
}

rt::Task<RestartWish> Prober::restart_wanted() {
  while (!wish_) co_await rt::wait_on(wish_waiters_);
  co_return *wish_;
}

}  // namespace tulle::node
