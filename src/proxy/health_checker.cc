#include "proxy/health_checker.h"

#include "base/log.h"
#include "http/client_connection.h"
#include "http/grpc_health.h"
#include "rt/combine.h"

#include <set>

namespace tulle::proxy {

namespace {

constexpr const char* kUserAgent = "tulle-health-check";
// Checks of many endpoints are not to fall together.
constexpr double kJitter = 0.1;

rt::Task<Result<void>> check_http(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                                  std::string path, std::string host) {
  http::ClientConnection connection(loop, std::move(stream));
  const codec::RequestHead head{
      .method = "GET",
      .target = std::move(path),
      .headers = {{"Host", host}, {"User-Agent", kUserAgent}, {"Connection", "close"}}};
  CO_TRY(const auto response, co_await connection.exchange(head));
  const int status = response.head.status;
  if (status < 200 || status > 399) {
    co_return fail(Code::unavailable, "status " + std::to_string(status));
  }
  co_return Result<void>();
}

rt::Task<Result<void>> ask(rt::Loop& loop, net::Network& network, SocketAddress address,
                           mesh::HealthCheck check, std::string greeting) {
  CO_TRY(auto stream, co_await network.connect({.to = address}));
  CO_TRY_VOID(co_await net::write_all(*stream, greeting));
  const std::string host = check.host.empty() ? address.to_string() : check.host;
  switch (check.type) {
    case mesh::HealthCheck::Type::tcp: break;
    case mesh::HealthCheck::Type::http:
      co_return co_await check_http(loop, std::move(stream), check.path, host);
    case mesh::HealthCheck::Type::grpc:
      co_return co_await http::check_grpc_health(
          loop, std::move(stream),
          {.service = check.service, .authority = host, .user_agent = kUserAgent});
  }
  co_return Result<void>();
}

}  // namespace

rt::Task<Result<void>> check_health(rt::Loop& loop, net::Network& network, SocketAddress address,
                                    mesh::HealthCheck check, std::string greeting) {
  const Instant deadline = loop.now() + check.timeout;
  co_return co_await rt::with_deadline(
      loop, deadline, ask(loop, network, address, std::move(check), std::move(greeting)));
}

struct HealthChecker::Checked {
  Checked(rt::Loop& loop, const SocketAddress& at, std::shared_ptr<mesh::EndpointState> shared)
      : address(at), state(std::move(shared)), task(loop) {}
  // Whoever shares the endpoint and does not check it takes it for well.
  ~Checked() { state->check_fails.store(false, std::memory_order_relaxed); }

  const SocketAddress address;
  const std::shared_ptr<mesh::EndpointState> state;
  mesh::HealthCheck check = {};
  std::string greeting = {};  // what a connection begins with
  std::string service = {};
  rt::Scope task;
};

HealthChecker::HealthChecker(rt::Loop& loop, net::Network& network, Random random)
    : loop_(loop), network_(network), random_(random) {}
HealthChecker::~HealthChecker() = default;

void HealthChecker::follow(const mesh::Snapshot& snapshot) {
  if (snapshot.checked()->empty() && checked_.empty()) return;
  std::set<SocketAddress> wanted;
  for (const mesh::ObjectName& name : *snapshot.checked()) {
    const mesh::Service& service = *snapshot.service(name);
    for (const mesh::ServicePort& port : service.ports) {
      if (port.transport != mesh::Transport::tcp) continue;
      for (const mesh::Endpoint& endpoint : port.pickable()) {
        const IpAddress& ip = endpoint.address.ip;
        const bool is_pod = !endpoint.workload.empty() || snapshot.networks().pods.contains(ip) ||
                            snapshot.networks().services.contains(ip);
        if (is_pod || !wanted.insert(endpoint.address).second) continue;
        auto& checked = checked_[endpoint.address];
        const bool is_new = !checked || checked->state != endpoint.state;
        if (is_new) {
          checked = std::make_unique<Checked>(loop_, endpoint.address, endpoint.state);
        }
        const mesh::Policy& policy = service.the_policy();
        checked->check = *policy.health_check;
        const auto version = policy.proxy_protocol.send;
        checked->greeting = version ? codec::encode_proxy_header(*version, {}) : std::string();
        checked->service = name.to_string();
        if (is_new) checked->task.spawn(run(*checked));
      }
    }
  }
  std::erase_if(checked_, [&](const auto& entry) { return !wanted.contains(entry.first); });
}

rt::Task<void> HealthChecker::run(Checked& checked) {
  std::uint32_t in_a_row = 0;  // that say the other thing
  for (;;) {
    const auto well =
        co_await check_health(loop_, network_, checked.address, checked.check, checked.greeting);
    const bool fails = checked.state->check_fails.load(std::memory_order_relaxed);
    in_a_row = well.has_value() == fails ? in_a_row + 1 : 0;
    const std::uint32_t threshold =
        fails ? checked.check.healthy_threshold : checked.check.unhealthy_threshold;
    if (in_a_row >= threshold) {
      in_a_row = 0;
      checked.state->check_fails.store(!fails, std::memory_order_relaxed);
      log::warn(fails ? "an endpoint is well again" : "the health check of an endpoint fails",
                {{"service", checked.service},
                 {"endpoint", checked.address.to_string()},
                 {"why", well ? std::string("it answers") : well.error().message}});
    }
    const double jitter = 1 + kJitter * (2 * random_.unit() - 1);
    co_await rt::sleep(loop_,
                       std::chrono::duration_cast<Duration>(checked.check.interval * jitter));
  }
}

}  // namespace tulle::proxy
