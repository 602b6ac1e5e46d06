#include "app/up.h"

#include "app/report.h"
#include "app/supervisor.h"
#include "cli/apply.h"
#include "cli/manifest.h"
#include "kube/scheme.h"
#include "kubeclient/http_client.h"
#include "kubeclient/kubeconfig.h"
#include "net/kernel_network.h"
#include "node/agent.h"
#include "node/nftables.h"
#include "rt/combine.h"

#include <unistd.h>
#include <csignal>
#include <cstdio>

namespace tulle::app {

namespace {

// Control ends its pods within their grace; the proxy has only to close.
constexpr Duration kControlPatience = std::chrono::seconds(40);
constexpr Duration kProxyPatience = std::chrono::seconds(5);

void say(const std::string& line) {
  std::fprintf(stdout, "%s\n", line.c_str());
  std::fflush(stdout);
}

Result<void> check_port(net::Network& network, std::uint16_t port, const std::string& flag) {
  if (port == 0) return {};
  const auto listener = network.listen({.at = {.ip = IpAddress::v4(127, 0, 0, 1), .port = port}});
  if (listener) return {};
  return fail(listener.error().code,
              listener.error().message + "; stop that one, or choose another port with " + flag);
}

// What is missing on this machine, before anything is started.
Result<void> check_machine(const UpOptions& options) {
  if (::geteuid() != 0) {
    return fail(Code::permission_denied,
                "tulle up needs root, for network namespaces and containers; use sudo");
  }
  if (options.runtime.empty()) {
    const auto runtime = node::find_runtime();
    if (!runtime) return runtime.error();
  }
  return node::check_nftables();
}

class Up final {
 public:
  Up(rt::Loop& loop, rt::EpollDriver& driver, const UpOptions& options)
      : loop_(loop), driver_(driver), options_(options) {}

  Result<void> prepare() {
    TRY_VOID(check_machine(options_));
    if (!options_.manifests.empty()) {
      TRY(const auto scheme, kube::make_builtin_scheme());
      TRY(manifests_, cli::read_manifests(options_.manifests, *scheme));
    }
    TRY(lock_, claim(options_.instance));
    TRY_VOID(check_port(network_, options_.api_port, "--api-port"));
    return check_port(network_, options_.ingress_port, "--ingress-port");
  }

  rt::Task<Result<void>> start() {
    CO_TRY_VOID(co_await control_.start());
    CO_TRY_VOID(co_await proxy_.start());
    CO_TRY(const auto config, kubeclient::load_kubeconfig(options_.instance.kubeconfig()));
    CO_TRY(client_, kubeclient::HttpClient::create(loop_, network_, config));
    say("Tulle is up: API at https://" + config.host + ":" + std::to_string(config.port) +
        ", Ingress at http://127.0.0.1:" + std::to_string(options_.ingress_port));
    if (!manifests_.empty()) {
      CO_TRY_VOID(co_await cli::apply(*client_, manifests_, say));
      CO_TRY_VOID(co_await cli::wait_until_available(*client_, manifests_, say));
      CO_TRY(const std::string services, co_await cli::describe_services(*client_));
      say("\n" + services);
    }
    say_what_next();
    co_return Result<void>();
  }

  rt::Task<void> stop() {
    client_.reset();
    co_await control_.stop(kControlPatience);
    co_await proxy_.stop(kProxyPatience);
  }

 private:
  void say_what_next() const {
    const std::string& data = options_.instance.data_dir;
    const std::string port =
        options_.ingress_port == 80 ? "" : ":" + std::to_string(options_.ingress_port);
    const std::string flag = data == kDefaultDataDir ? "" : " --data-dir " + data;
    say("Try next, in another terminal:");
    say("  export KUBECONFIG=" + options_.instance.kubeconfig() + " && kubectl get pods -o wide");
    say(manifests_.empty() ? "  kubectl apply -f FOLDER"
                           : "  curl http://hello.localhost" + port + "/world");
    say("  tulle status" + flag);
    say("Ctrl-C ends everything.");
  }

  std::vector<std::string> common() const {
    return {"--data-dir", options_.instance.data_dir, "--ingress-port",
            std::to_string(options_.ingress_port)};
  }

  SupervisedProcess::Options control_options() const {
    std::vector<std::string> arguments = common();
    arguments.insert(arguments.begin(), "control");
    arguments.insert(arguments.end(), {"--api-port", std::to_string(options_.api_port)});
    if (!options_.runtime.empty()) {
      arguments.insert(arguments.end(), {"--runtime", options_.runtime});
    }
    return {.name = "control", .arguments = std::move(arguments), .leaves_work = true};
  }

  SupervisedProcess::Options proxy_options() const {
    std::vector<std::string> arguments = common();
    arguments.insert(arguments.begin(), "proxy");
    arguments.insert(arguments.end(),
                     {"--ingress-tls-port", std::to_string(options_.ingress_tls_port)});
    arguments.insert(arguments.end(), {"--admin-port", std::to_string(options_.admin_port),
                                       "--fast-path", options_.fast_path});
    if (options_.ingress_proxy_protocol) arguments.emplace_back("--ingress-proxy-protocol");
    for (const std::string& stub : options_.dns_stubs) {
      arguments.insert(arguments.end(), {"--dns-stub", stub});
    }
    for (const std::string& space : options_.explain_namespaces) {
      arguments.insert(arguments.end(), {"--explain-namespace", space});
    }
    return {.name = "proxy", .arguments = std::move(arguments)};
  }

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  const UpOptions& options_;
  net::KernelNetwork network_{loop_, driver_};
  std::vector<cli::Manifest> manifests_;
  OwnedFd lock_;
  SupervisedProcess control_{loop_, driver_, control_options()};
  SupervisedProcess proxy_{loop_, driver_, proxy_options()};
  std::unique_ptr<kubeclient::HttpClient> client_;
};

rt::Task<int> until_signal(rt::Signals& signals) { co_return co_await signals.next(); }

}  // namespace

int run_up(const UpOptions& options) {
  auto driver = rt::EpollDriver::create();
  if (!driver) return report(driver.error());
  rt::Loop loop(*driver);
  const auto signals = rt::Signals::watch(loop, *driver, {SIGTERM, SIGINT});
  if (!signals) return report(signals.error());
  Up up(loop, *driver, options);
  if (const auto prepared = up.prepare(); !prepared) return report(prepared.error());
  const auto run = [](Up& instance, rt::Signals& until) -> rt::Task<Result<void>> {
    auto first = co_await rt::race(instance.start(), until_signal(until));
    if (first.index() == 1) co_return Result<void>();
    auto& started = std::get<0>(first);
    if (!started) co_return std::move(started).error();
    co_await until.next();
    co_return Result<void>();
  };
  const auto outcome = loop.run(run(up, **signals));
  if (outcome) say("\nEnding everything …");
  loop.run(up.stop());
  // A process that ended before it was ready has said why itself.
  if (!outcome)
    return outcome.error().code == Code::closed ? kExitFailure : report(outcome.error());
  return 0;
}

}  // namespace tulle::app
