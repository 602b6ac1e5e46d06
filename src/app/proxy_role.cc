#include "app/proxy_role.h"

#include "app/admin.h"
#include "app/fast_path_role.h"
#include "app/folder_source.h"
#include "app/instance.h"
#include "app/pod_registry.h"
#include "app/refusals.h"
#include "app/report.h"
#include "app/snapshot_source.h"
#include "app/worker_thread.h"
#include "base/log.h"
#include "kubeclient/http_client.h"
#include "kubeclient/kubeconfig.h"
#include "mesh/snapshot_builder.h"
#include "net/pki.h"
#include "proxy/drains.h"
#include "proxy/health_checker.h"
#include "proxy/loads.h"
#include "rt/combine.h"
#include "rt/process.h"
#include "rt/sleep.h"
#include "rt/sync.h"

#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <thread>

namespace tulle::app {

namespace {

// An agent that lives has told of its pods long before.
constexpr Duration kAgentPatience = std::chrono::seconds(2);
// Where connections wait for pods that the proxy before knew.
constexpr Duration kSuccessorPatience = std::chrono::seconds(10);

constexpr Duration kRetirementCheck = std::chrono::milliseconds(50);

class ProxyRole final {
 public:
  // `sockets` may be null.
  ProxyRole(rt::Loop& loop, rt::EpollDriver& driver, net::KeptSockets* sockets,
            const ProxyOptions& options, Random random)
      : loop_(loop), driver_(driver), options_(options), sockets_(sockets), random_(random) {}

  Result<void> start() {
    TRY_VOID(start_workers());
    TRY_VOID(start_admin());
    TRY_VOID(options_.manifests.empty() ? follow_api() : follow_folders());
    fast_path_.report();
    return {};
  }

  // Leaves all it listens on to the next proxy, and finishes what is under way, for some time.
  rt::Task<void> retire() {
    log::info("another proxy takes over; finishing what is under way", {});
    tasks_.cancel();
    admin_servers_.clear();
    make_room_for_handover();
    if (sockets_ != nullptr) sockets_->leave();
    registry_.take_no_more();
    refusals_.retire();
    rt::Event retired(loop_);
    on_all_workers(
        [](WorkerThread& worker, std::function<void()> each) { worker.retire(std::move(each)); },
        [this, &retired] { refusals_.pass([&retired] { retired.set(); }); });
    co_await retired.wait();
    registry_.retire();
    if (sockets_ != nullptr) sockets_->say_retired();
    const Instant deadline = loop_.now() + kRetirement;
    while (loop_.now() < deadline && co_await connections() != 0) {
      co_await rt::sleep(loop_, kRetirementCheck);
    }
    for (const auto& worker : workers_) worker->end_idle();
    rt::Event ended(loop_);
    pass_all_workers([&ended] { ended.set(); });
    co_await ended.wait();
    ::unlink(retired_socket().c_str());
  }

 private:
  // Agents still find this proxy, among those that were replaced.
  void make_room_for_handover() const {
    const std::string& path = options_.handover_socket;
    if (!handover_ || ::rename(path.c_str(), retired_socket().c_str()) == 0) return;
    log::error("the node agent will not know of what this proxy still carries",
               {{"why", os_error(errno, "renaming " + path).message}});
  }
  std::string retired_socket() const {
    return options_.handover_socket + std::string(mesh::kRetiredSocket) +
           std::to_string(::getpid());
  }

  rt::Task<std::size_t> connections() {
    std::size_t count = 0;
    rt::Event counted(loop_);
    const auto left = std::make_shared<std::size_t>(workers_.size());
    for (const auto& worker : workers_) {
      worker->count_connections([&, left](std::size_t of_worker) {
        count += of_worker;
        if (--*left == 0) counted.set();
      });
    }
    co_await counted.wait();
    co_return count;
  }

  Result<void> follow_api() {
    TRY(const auto config, kubeclient::load_kubeconfig(options_.kubeconfig));
    TRY(client_, kubeclient::HttpClient::create(loop_, network_, config));
    source_ = std::make_unique<SnapshotSource>(
        loop_, *client_, random_, options_.networks, options_.here,
        [this](const mesh::SnapshotPtr& snapshot, std::vector<kube::Time> change_times) {
          publish(snapshot);
          measure_propagation(std::move(change_times));
        });
    tasks_.spawn(take_pods());
    return {};
  }

  Result<void> follow_folders() {
    folders_ = std::make_unique<FolderSource>(
        loop_, driver_, options_.manifests, options_.networks, options_.here,
        [this](const mesh::SnapshotPtr& snapshot) { publish(snapshot); });
    TRY_VOID(folders_->start());
    open_front_door();
    notify_ready(options_.ready_fd);
    return {};
  }

  Result<void> start_workers() {
    // A resolver of the host that is missing shows when something is forwarded.
    const auto resolv_conf = read_file("/etc/resolv.conf");
    const auto resolvers = dns::parse_resolvers(resolv_conf ? *resolv_conf : std::string());
    const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
    const std::size_t count = options_.workers != 0 ? options_.workers : cores;
    for (std::size_t i = 0; i < count; ++i) {
      WorkerThread::Options options;
      options.proxy.front_door.ingress = options_.ingress;
      options.proxy.front_door.ingress_tls = options_.ingress_tls;
      options.proxy.front_door.ingress_proxy_protocol = options_.ingress_proxy_protocol;
      options.proxy.front_door.worker = i;
      options.proxy.front_door.workers = count;
      options.proxy.explain_namespaces = options_.explain_namespaces;
      options.dns.address = options_.dns;
      options.dns.forwarder.resolvers = resolvers;
      options.dns.forwarder.stub_domains = options_.stub_domains;
      options.seed = random_.next();
      options.hooks = fast_path_.hooks();
      options.hooks.kept = sockets_;
      TRY(auto worker, WorkerThread::start(loop_, metrics_, std::move(options)));
      workers_.push_back(std::move(worker));
    }
    if (options_.host_dns) {
      workers_[0]->listen_dns(*options_.host_dns, [this](const Result<void>& outcome) {
        if (outcome) return;
        log::error("no DNS for the host; choose another address with --dns-address",
                   {{"at", options_.host_dns->to_string()}, {"why", outcome.error().message}});
      });
    }
    return {};
  }

  Result<void> start_admin() {
    if (!options_.admin_socket.empty()) {
      TRY(auto listener, network_.listen_unix(options_.admin_socket));
      admin_servers_.push_back(std::make_unique<http::Server>(
          loop_, std::move(listener), private_admin_, http::Server::Options{}));
    }
    if (options_.admin) {
      auto listener = network_.listen({.at = *options_.admin});
      if (!listener) {
        log::warn("no metrics over TCP; choose another port with --admin-port",
                  {{"why", listener.error().message}});
        return {};
      }
      admin_servers_.push_back(std::make_unique<http::Server>(loop_, *std::move(listener), admin_,
                                                              http::Server::Options{}));
    }
    return {};
  }

  void publish(const mesh::SnapshotPtr& snapshot) {
    snapshot_ = snapshot;
    drains_.follow(*snapshot);
    health_checker_.follow(*snapshot);
    metrics_.generation().set(static_cast<double>(snapshot->generation()));
    for (const auto& worker : workers_) worker->set_snapshot(snapshot);
    refusals_.follow(*snapshot);
  }

  // From each of these moments to when every worker, and what is refused, is as the Snapshot just
  // published has it.
  void measure_propagation(std::vector<kube::Time> change_times) {
    if (change_times.empty()) return;
    auto record = [this, change_times = std::move(change_times)] {
      const auto now = std::chrono::floor<std::chrono::microseconds>(loop_.wall_now());
      for (const kube::Time changed : change_times) metrics_.record_propagation(now - changed);
    };
    refusals_.pass([this, record = std::move(record)] { pass_all_workers(record); });
  }

  // Pods are accepted only once it is known where their requests go, and requests from outside once
  // the pods are there.
  rt::Task<void> take_pods() {
    co_await source_->ready();
    if (options_.handover_socket.empty()) {
      open_front_door();
      notify_ready(options_.ready_fd);
      co_return;
    }
    auto listener = net::FdChannelListener::listen(loop_, driver_, options_.handover_socket);
    if (!listener) {
      log::error("pods cannot be taken", {{"why", listener.error().message}});
      co_return;
    }
    handover_ = *std::move(listener);
    handing_over_.spawn(registry_.serve(*handover_));
    notify_ready(options_.ready_fd);
    const bool inherits = sockets_ != nullptr && sockets_->has_untaken();
    co_await rt::sleep(loop_, inherits ? kSuccessorPatience : kAgentPatience);
    open_front_door();
  }

  void open_front_door() {
    for (const auto& worker : workers_) worker->open_front_door();
  }

  // The workers listen in all pods of the node. What pods and doors that are no more listened on is
  // kept no longer.
  void note_pods_known() {
    open_front_door();
    if (sockets_ == nullptr) return;
    pass_all_workers([this] { sockets_->drop_untaken(); });
  }

  PodRegistry::Actions actions() {
    return {.publish =
                [this](const proxy::PodTablePtr& pods) {
                  metrics_.pods().set(static_cast<double>(pods->size()));
                  for (const auto& worker : workers_) worker->set_pods(pods);
                },
            .attach =
                [this](std::shared_ptr<const proxy::Pod> pod, PodRegistry::Actions::Done done) {
                  proxy::Drains::revive(pod->address, *snapshot_);
                  refusals_.attach(*pod);
                  WorkerThread& worker = worker_of(pod->uid);
                  const std::string uid = pod->uid;
                  worker.listen_in(std::move(pod), [this, uid, done](const Result<void>& outcome) {
                    if (!outcome) refusals_.detach(uid);
                    refusals_.pass([done, outcome] { done(outcome); });
                  });
                },
            .detach =
                [this](const std::string& uid, PodRegistry::Actions::Done done) {
                  drains_.forget(uid);
                  refusals_.detach(uid);
                  worker_of(uid).leave(uid, std::move(done));
                },
            .synced = [this] { note_pods_known(); },
            .drain =
                [this](const proxy::Pod& pod, std::function<void()> done) {
                  drains_.begin(pod, *snapshot_, [this, address = pod.address, done] {
                    on_all_workers(
                        [&](WorkerThread& worker, std::function<void()> each) {
                          worker.close_idle(address, std::move(each));
                        },
                        done);
                  });
                }};
  }

  // Calls `each` with every worker, and `done` when all of them have called back.
  template <class Each>
  void on_all_workers(Each each, std::function<void()> done) {
    const auto left = std::make_shared<std::size_t>(workers_.size());
    for (const auto& worker : workers_) {
      each(*worker, [left, done] {
        if (--*left == 0) done();
      });
    }
  }

  // `done` when every worker has done what it was given before.
  void pass_all_workers(std::function<void()> done) {
    on_all_workers(
        [](WorkerThread& worker, std::function<void()> each) { worker.pass(std::move(each)); },
        std::move(done));
  }

  WorkerThread& worker_of(const std::string& uid) {
    return *workers_[std::hash<std::string>{}(uid) % workers_.size()];
  }

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  const ProxyOptions& options_;
  net::KeptSockets* const sockets_;
  Random random_;
  net::KernelNetwork network_{loop_, driver_};
  obs::Registry metrics_registry_;
  proxy::Metrics metrics_{metrics_registry_};
  FastPathRole fast_path_{options_.fast_path, metrics_registry_};
  mesh::SnapshotPtr snapshot_ = mesh::SnapshotBuilder().build();  // the last published
  proxy::HealthChecker health_checker_{loop_, network_, Random(random_.next())};
  Refusals refusals_{loop_, options_.dns.ip};
  Admin admin_{metrics_registry_, [this] { fast_path_.update_metrics(); }, {}};
  // Behind the Unix socket, which only root can open.
  Admin private_admin_{metrics_registry_,
                       [this] { fast_path_.update_metrics(); },
                       {.explain =
                            [this](const proxy::ImaginedRequest& imagined) {
                              return proxy::explain_request(*snapshot_, imagined, loop_.now(),
                                                            random_);
                            },
                        .loads = [this] { return proxy::loads_json(*snapshot_); }}};
  std::vector<std::unique_ptr<http::Server>> admin_servers_;
  proxy::Drains drains_{loop_,
                        [this](std::function<void()> done) { pass_all_workers(std::move(done)); }};
  std::vector<std::unique_ptr<WorkerThread>> workers_;
  std::unique_ptr<kubeclient::HttpClient> client_;
  std::unique_ptr<SnapshotSource> source_;
  std::unique_ptr<FolderSource> folders_;
  PodRegistry registry_{loop_, actions()};
  std::unique_ptr<net::FdChannelListener> handover_;
  rt::Scope handing_over_{loop_};
  rt::Scope tasks_{loop_};
};

rt::Task<void> until_signal(rt::Signals& signals) { (void)co_await signals.next(); }

rt::Task<void> retire(ProxyRole& role, rt::Signals& signals) {
  co_await rt::race(role.retire(), until_signal(signals));
}

}  // namespace

int run_proxy(const ProxyOptions& options) {
  rt::allow_all_descriptors();
  auto driver = rt::EpollDriver::create();
  if (!driver) return report(driver.error());
  rt::Loop loop(*driver);
  const auto signals = rt::Signals::watch(loop, *driver, {SIGTERM, SIGINT, kRetireSignal});
  if (!signals) return report(signals.error());
  const auto sockets = inherit_sockets(loop, *driver, options.sockets_fd);
  if (!sockets) return report(sockets.error());
  ProxyRole role(loop, *driver, sockets->get(), options, net::random_seed());
  if (const auto started = role.start(); !started) return report(started.error());
  if (loop.run((*signals)->next()) == kRetireSignal) {
    loop.run(retire(role, **signals));
  }
  return 0;
}

}  // namespace tulle::app
