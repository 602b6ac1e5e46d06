#include "app/worker_thread.h"

#include "net/pki.h"

namespace tulle::app {

WorkerThread::Parts::Parts(rt::Loop& loop, rt::EpollDriver& driver, proxy::Metrics& metrics,
                           const Options& options)
    : network(loop, driver, options.hooks),
      proxy(loop, network, Random(options.seed), metrics, options.proxy),
      dns(loop, network, Random(~options.seed), net::random_seed(), options.dns) {}

Result<std::unique_ptr<WorkerThread>> WorkerThread::start(rt::Loop& home, proxy::Metrics& metrics,
                                                          Options options) {
  auto worker = std::unique_ptr<WorkerThread>(new WorkerThread(home));
  auto body = [self = worker.get(), &metrics, options = std::move(options)](
                  rt::Loop& loop, rt::EpollDriver& driver) {
    Parts parts(loop, driver, metrics, options);
    self->parts_ = &parts;
    loop.run();
  };
  TRY(worker->thread_, rt::LoopThread::start(std::move(body)));
  return worker;
}

void WorkerThread::set_snapshot(mesh::SnapshotPtr snapshot) {
  thread_->post([this, snapshot = std::move(snapshot)] {
    parts_->proxy.set_snapshot(snapshot);
    parts_->dns.set_snapshot(snapshot);
  });
}

void WorkerThread::open_front_door() {
  thread_->post([this] { parts_->proxy.open_front_door(); });
}

void WorkerThread::set_pods(proxy::PodTablePtr pods) {
  thread_->post([this, pods = std::move(pods)] { parts_->proxy.set_pods(pods); });
}

void WorkerThread::close_idle(const IpAddress& address, std::function<void()> done) {
  thread_->post([this, address, done = std::move(done)]() mutable {
    parts_->proxy.close_idle(address);
    home_.post(std::move(done));
  });
}

void WorkerThread::pass(std::function<void()> done) {
  thread_->post([this, done = std::move(done)]() mutable { home_.post(std::move(done)); });
}

void WorkerThread::retire(std::function<void()> done) {
  thread_->post([this, done = std::move(done)]() mutable {
    parts_->proxy.retire();
    parts_->dns.retire();
    home_.post(std::move(done));
  });
}

void WorkerThread::end_idle() {
  thread_->post([this] { parts_->proxy.end_idle(); });
}

void WorkerThread::count_connections(std::function<void(std::size_t)> told) {
  thread_->post([this, told = std::move(told)]() mutable {
    const std::size_t count = parts_->proxy.connections() + parts_->dns.pending();
    home_.post([told = std::move(told), count] { told(count); });
  });
}

void WorkerThread::listen_in(std::shared_ptr<const proxy::Pod> pod, Done done) {
  thread_->post([this, pod = std::move(pod), done = std::move(done)]() mutable {
    auto outcome = parts_->dns.listen_in(pod->uid, pod->name, pod->space);
    if (outcome) outcome = parts_->proxy.listen_in(pod);
    if (!outcome) parts_->dns.leave(pod->uid);
    home_.post([done = std::move(done), outcome = std::move(outcome)] { done(outcome); });
  });
}

void WorkerThread::listen_dns(const SocketAddress& address, Done done) {
  thread_->post([this, address, done = std::move(done)]() mutable {
    auto outcome = parts_->dns.listen_on_host(address);
    home_.post([done = std::move(done), outcome = std::move(outcome)] { done(outcome); });
  });
}

void WorkerThread::leave(const std::string& uid, Done done) {
  thread_->post([this, uid, done = std::move(done)]() mutable {
    parts_->proxy.leave(uid);
    parts_->dns.leave(uid);
    home_.post([done = std::move(done)] { done({}); });
  });
}

}  // namespace tulle::app
