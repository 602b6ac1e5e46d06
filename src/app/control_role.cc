#include "app/control_role.h"

#include "apiserver/api_server.h"
#include "apiserver/local_client.h"
#include "app/credentials.h"
#include "app/report.h"
#include "app/request_rates.h"
#include "base/log.h"
#include "controllers/manager.h"
#include "http/server.h"
#include "kube/scheme.h"
#include "kube/storage.h"
#include "net/kernel_network.h"
#include "node/agent.h"
#include "rt/combine.h"
#include "rt/process.h"
#include "rt/thread_pool.h"
#include "store/sqlite_store.h"

#include <csignal>
#include <optional>

namespace tulle::app {

namespace {

constexpr std::size_t kBlockingThreads = 4;
// Commits come one after the other. They wait for no unpacking of images and no mounting.
constexpr std::size_t kStoreThreads = 1;
constexpr Duration kDrainTime = std::chrono::milliseconds(500);

apiserver::User component(std::string name) {
  return {.name = "system:" + std::move(name),
          .groups = {std::string(apiserver::group_masters),
                     std::string(apiserver::group_authenticated)}};
}

// Pods' streams are answered by the agent, which comes after the API server.
class Streams final : public apiserver::PodStreams {
 public:
  rt::Task<void> handle(http::Request& request, http::Exchange& exchange,
                        apiserver::PodStreamTarget target) override {
    if (agent == nullptr) return unavailable(exchange);
    return agent->handle(request, exchange, std::move(target.namespace_), std::move(target.pod),
                         std::move(target.subresource));
  }
  node::Agent* agent = nullptr;

 private:
  static rt::Task<void> unavailable(http::Exchange& exchange) {
    (void)co_await exchange.send({.status = 503}, "the node agent is still starting\n");
  }
};

// So is what they use; nothing, until it is there.
class Metrics final : public apiserver::ResourceMetrics {
 public:
  Documents pods() const override { return agent == nullptr ? Documents() : agent->pod_metrics(); }
  Documents nodes() const override {
    return agent == nullptr ? Documents() : agent->node_metrics();
  }
  const node::Agent* agent = nullptr;
};

class ControlRole final {
 public:
  // `sockets` may be null.
  ControlRole(rt::Loop& loop, rt::EpollDriver& driver, net::KeptSockets* sockets,
              const ControlOptions& options)
      : loop_(loop), driver_(driver), options_(options), sockets_(sockets) {}

  rt::Task<Result<void>> start() {
    const Instance& instance = options_.instance;
    const IpAddress kubernetes = options_.services.at(1);
    CO_TRY(credentials_, ensure_credentials(instance, kubernetes, loop_.wall_now()));
    CO_TRY(store_, store::SqliteStore::open(loop_, committing_, instance.store()));
    CO_TRY(scheme_, kube::make_builtin_scheme());
    CO_TRY(auto listener,
           network_.listen({.at = {.ip = IpAddress::v4(127, 0, 0, 1), .port = options_.api_port}}));
    if (sockets_ != nullptr) sockets_->drop_untaken();
    const SocketAddress at = listener->local_address();
    CO_TRY_VOID(write_kubeconfigs(instance, credentials_, at.port));
    api_ = std::make_unique<apiserver::ApiServer>(
        loop_, *store_, *scheme_, Random(random_.next()),
        apiserver::ApiServer::Options{.service_addresses = options_.services,
                                      .kubernetes_address = kubernetes,
                                      .dns_address = options_.dns,
                                      .server_address = at.to_string(),
                                      .authentication = {},
                                      .pod_streams = &streams_,
                                      .metrics = &metrics_,
                                      .ready = {}});
    if (const auto made = co_await api_->bootstrap(); !made) {
      co_return fail(Code::internal, "preparing the API: " + made.error().message);
    }
    CO_TRY(const auto tls,
           net::TlsContext::server({.certificate_chain_pem = credentials_.server.certificate_pem,
                                    .private_key_pem = credentials_.server.private_key_pem,
                                    .client_ca_pem = credentials_.authority.certificate_pem,
                                    .alpn = {"http/1.1"}}));
    http::Server::Options server;
    server.tls = tls;
    server_ = std::make_unique<http::Server>(loop_, std::move(listener), *api_, std::move(server));
    notify_ready(options_.ready_fd);
    co_return co_await start_workers();
  }

  // Ends the pods while the API still answers, then the API.
  rt::Task<void> stop() {
    if (agent_) co_await agent_->stop();
    manager_.reset();
    if (server_) co_await server_->drain(loop_.now() + kDrainTime);
    if (store_) (void)co_await store_->flush();
  }

  // Leaves the pods to the next control.
  rt::Task<void> retire() {
    if (sockets_ != nullptr) sockets_->leave();
    if (server_) co_await server_->drain(loop_.now() + kDrainTime);
    if (store_) (void)co_await store_->flush();
  }

 private:
  rt::Task<Result<void>> start_workers() {
    controllers_client_ =
        std::make_unique<apiserver::LocalClient>(*api_, component("tulle-controllers"));
    node_client_ =
        std::make_unique<apiserver::LocalClient>(*api_, component("node:" + host_name()));
    manager_ = std::make_unique<controllers::Manager>(
        loop_, *controllers_client_, Random(random_.next()),
        controllers::ManagerOptions{
            .ingress_port = options_.ingress_port,
            .ca_pem = credentials_.authority.certificate_pem,
            .request_rates = &request_rates_,
            .volumes_directory = kube::local_volumes_directory(options_.instance.data_dir)});
    manager_->start();
    CO_TRY(auto images, node::ImageStore::open(options_.instance.images()));
    node::AgentOptions agent;
    agent.data_dir = options_.instance.data_dir;
    agent.node_name = host_name();
    agent.pod_network = options_.pods;
    agent.service_network = options_.services;
    agent.dns_address = options_.dns;
    agent.proxy_socket = options_.instance.handover_socket();
    agent.runtime = options_.runtime;
    agent_ =
        std::make_unique<node::Agent>(loop_, driver_, blocking_, network_, *node_client_,
                                      std::move(images), Random(random_.next()), std::move(agent));
    streams_.agent = agent_.get();
    metrics_.agent = agent_.get();
    co_return co_await agent_->start();
  }

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  const ControlOptions& options_;
  net::KeptSockets* const sockets_;
  Random random_ = net::random_seed();
  rt::ThreadPool blocking_{loop_, kBlockingThreads};
  rt::ThreadPool committing_{loop_, kStoreThreads};
  net::KernelNetwork network_{loop_, driver_, {.kept = sockets_}};
  ProxyRequestRates request_rates_{loop_, network_, options_.instance.admin_socket()};
  Credentials credentials_;
  std::unique_ptr<store::SqliteStore> store_;
  std::unique_ptr<kube::Scheme> scheme_;
  Streams streams_;
  Metrics metrics_;
  std::unique_ptr<apiserver::ApiServer> api_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<apiserver::LocalClient> controllers_client_;
  std::unique_ptr<apiserver::LocalClient> node_client_;
  std::unique_ptr<controllers::Manager> manager_;
  std::unique_ptr<node::Agent> agent_;
};

}  // namespace

int run_control(const ControlOptions& options) {
  auto driver = rt::EpollDriver::create();
  if (!driver) return report(driver.error());
  rt::Loop loop(*driver);
  const auto signals = rt::Signals::watch(loop, *driver, {SIGTERM, SIGINT, kRetireSignal});
  if (!signals) return report(signals.error());
  const auto sockets = inherit_sockets(loop, *driver, options.sockets_fd);
  if (!sockets) return report(sockets.error());
  ControlRole role(loop, *driver, sockets->get(), options);
  const auto started = loop.run(role.start());
  if (!started) {
    if (*sockets) (*sockets)->leave();  // they are the next one's
    loop.run(role.stop());
    return report(started.error());
  }
  if (loop.run((*signals)->next()) == kRetireSignal) {
    loop.run(role.retire());
  } else {
    loop.run(role.stop());
  }
  return 0;
}

}  // namespace tulle::app
