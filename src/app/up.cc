#include "app/up.h"

#include "app/report.h"
#include "app/succession.h"
#include "app/supervisor.h"
#include "base/log.h"
#include "cli/apply.h"
#include "cli/manifest.h"
#include "http/server.h"
#include "kube/scheme.h"
#include "kubeclient/http_client.h"
#include "kubeclient/kubeconfig.h"
#include "net/kernel_network.h"
#include "node/agent.h"
#include "node/nftables.h"
#include "rt/combine.h"
#include "rt/sync.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <unistd.h>
#include <csignal>
#include <cstdio>

namespace tulle::app {

namespace {

namespace json = boost::json;

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

// Takes orders over the Unix socket, which only root can open: POST /upgrade, with the path of the
// new program as the body, is answered when that is done.
class UpgradeDesk final : public http::Handler {
 public:
  using Upgrade = std::function<rt::Task<Result<std::string>>(std::string path)>;
  // `follow` is called after an upgrade that went well, when it has been answered.
  UpgradeDesk(rt::Loop& loop, Upgrade upgrade, std::function<void()> follow)
      : loop_(loop), upgrade_(std::move(upgrade)), follow_(std::move(follow)), upgrades_(loop) {}

  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override {
    if (request.head.method != "POST" || request.head.target != "/upgrade") {
      (void)co_await exchange.send({.status = 404}, "there is only POST /upgrade\n");
      co_return;
    }
    auto path = co_await http::read_all(request.body, kPathBytesMax);
    if (!path) co_return;
    if (upgrades_.size() != 0) {
      (void)co_await exchange.send({.status = 409}, "another upgrade is under way");
      co_return;
    }
    // It goes on when whoever asked for it has gone.
    const auto order = std::make_shared<Order>(loop_);
    upgrades_.spawn(carry_out(order, *std::move(path)));
    const Answering answering{order.get()};
    co_await order->done.wait();
    const auto& outcome = order->outcome;
    (void)co_await exchange.send({.status = outcome ? 200 : 500},
                                 outcome ? *outcome : outcome.error().message);
  }

  // Until none is under way.
  rt::Task<void> idle() { return upgrades_.idle(); }

 private:
  static constexpr std::size_t kPathBytesMax = 4096;
  struct Order {
    explicit Order(rt::Loop& loop) : done(loop), answered(loop) {}
    rt::Event done;
    rt::Event answered;  // or nobody is there to be answered
    Result<std::string> outcome;
  };
  struct Answering {
    Order* order;
    ~Answering() { order->answered.set(); }
  };
  rt::Task<void> carry_out(std::shared_ptr<Order> order, std::string path) {
    order->outcome = co_await upgrade_(std::move(path));
    order->done.set();
    co_await order->answered.wait();
    if (order->outcome) follow_();
  }

  rt::Loop& loop_;
  const Upgrade upgrade_;
  const std::function<void()> follow_;
  rt::Scope upgrades_;
};

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
    CO_TRY_VOID(take_orders());
    say_what_next();
    co_return Result<void>();
  }

  // In place of the two above: goes on where the program before has left.
  Result<void> resume() {
    TRY(const json::object state, read_succession(options_.resume_fd));
    lock_ = inherited(state.at("lock").to_number<int>());
    rt::set_descriptors_of_children(state.at("descriptors_of_children").to_number<std::uint64_t>());
    TRY_VOID(control_.resume(state.at("control").as_object()));
    TRY_VOID(proxy_.resume(state.at("proxy").as_object()));
    return take_orders();
  }

  rt::Task<void> stop() {
    stopping_ = true;
    co_await desk_.idle();
    orders_.reset();
    client_.reset();
    co_await control_.stop(kControlPatience);
    co_await proxy_.stop(kProxyPatience);
  }

 private:
  Result<void> take_orders() {
    TRY(auto listener, network_.listen_unix(options_.instance.supervisor_socket()));
    orders_ =
        std::make_unique<http::Server>(loop_, std::move(listener), desk_, http::Server::Options{});
    return {};
  }

  // Control and proxy run this program from now on. With an error everything is as it was before.
  rt::Task<Result<std::string>> upgrade(std::string path) {
    const auto program = std::make_shared<const OwnedFd>(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!*program) co_return os_error(errno, "opening " + path);
    CO_TRY(const std::string version, co_await version_of(program, path));
    say("Upgrading to " + version + " …");
    CO_TRY_VOID(co_await control_.replace(program));
    if (auto replaced = co_await proxy_.replace(program); !replaced) {
      const auto back = co_await control_.replace(program_);
      if (!back) log::error("control cannot go back", {{"why", back.error().message}});
      co_return std::move(replaced).error();
    }
    program_ = program;
    say("Upgraded.");
    co_return version;
  }

  // And so does this process, which has nobody to wait for any more.
  void follow() {
    if (stopping_) return;
    std::vector<int> descriptors{lock_.get()};
    json::object state{{"lock", lock_.get()},
                       {"descriptors_of_children", rt::descriptors_of_children()},
                       {"control", control_.hand_over(descriptors)},
                       {"proxy", proxy_.hand_over(descriptors)}};
    const Error why = succeed(path_of(program_), options_.arguments, state, std::move(descriptors));
    log::error("the supervisor goes on as the program that it was", {{"why", why.message}});
  }

  // Asked of it with a limit: whatever was named may be anything.
  rt::Task<Result<std::string>> version_of(Program program, std::string path) {
    CO_TRY(auto output, co_await rt::run_command(loop_, driver_,
                                                 {.arguments = {"timeout", "--signal=KILL", "5",
                                                                path_of(program), "version"},
                                                  .die_with_parent = true,
                                                  .own_process_group = true}));
    std::string& version = output.output;
    while (version.ends_with('\n')) version.pop_back();
    if (output.status.success() && version.starts_with("tulle ")) co_return std::move(version);
    co_return fail(Code::invalid_argument, path + " is no tulle: it does not say its version");
  }

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
    return {.name = "proxy", .arguments = std::move(arguments), .retirement = kRetirement};
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
  Program program_;  // what control and proxy are started from
  bool stopping_ = false;
  UpgradeDesk desk_{loop_, [this](std::string path) { return upgrade(std::move(path)); },
                    [this] { follow(); }};
  std::unique_ptr<http::Server> orders_;
};

rt::Task<int> until_signal(rt::Signals& signals) { co_return co_await signals.next(); }

rt::Task<Result<void>> run_on(rt::Signals& until) {
  co_await until.next();
  co_return Result<void>();
}

rt::Task<Result<void>> run(Up& instance, rt::Signals& until) {
  auto first = co_await rt::race(instance.start(), until_signal(until));
  if (first.index() == 1) co_return Result<void>();
  auto& started = std::get<0>(first);
  if (!started) co_return std::move(started).error();
  co_return co_await run_on(until);
}

}  // namespace

int run_up(const UpOptions& options) {
  rt::allow_all_descriptors();
  auto driver = rt::EpollDriver::create();
  if (!driver) return report(driver.error());
  rt::Loop loop(*driver);
  const auto signals = rt::Signals::watch(loop, *driver, {SIGTERM, SIGINT});
  if (!signals) return report(signals.error());
  Up up(loop, *driver, options);
  const bool resumes = options.resume_fd >= 0;
  if (const auto ready = resumes ? up.resume() : up.prepare(); !ready) return report(ready.error());
  const auto outcome = loop.run(resumes ? run_on(**signals) : run(up, **signals));
  if (outcome) say("\nEnding everything …");
  loop.run(up.stop());
  // A process that ended before it was ready has said why itself.
  if (!outcome)
    return outcome.error().code == Code::closed ? kExitFailure : report(outcome.error());
  return 0;
}

}  // namespace tulle::app
