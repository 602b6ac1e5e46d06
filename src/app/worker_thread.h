// One loop of the data plane on a thread of its own: proxy and DNS for the pods it is given.
#pragma once

#include "dns/server.h"
#include "net/kernel_network.h"
#include "proxy/worker.h"
#include "rt/loop_thread.h"

#include <functional>
#include <memory>

namespace tulle::app {

class WorkerThread final {
 public:
  struct Options {
    proxy::Worker::Options proxy;
    dns::ServerOptions dns;
    std::uint64_t seed = 0;
    net::SocketHooks hooks = {};
  };
  // `home` is the loop that callbacks run on; it and `metrics` must outlive the thread.
  static Result<std::unique_ptr<WorkerThread>> start(rt::Loop& home, proxy::Metrics& metrics,
                                                     Options options);

  // What a callback owns is let go at home, too.
  using Done = std::function<void(Result<void>)>;
  void set_snapshot(mesh::SnapshotPtr snapshot);
  void open_front_door();
  void set_pods(proxy::PodTablePtr pods);
  // Ends what is idle between this worker and a pod's address. `done` runs at home, after all that
  // the worker was doing when this was called.
  void close_idle(const IpAddress& address, std::function<void()> done);
  // The same, and nothing is ended.
  void pass(std::function<void()> done);
  // Listens nowhere any more, and answers what was asked; `done` at home.
  void retire(std::function<void()> done);
  // Ends retired connections that wait for a request.
  void end_idle();
  // How many connections and questions are left, told at home.
  void count_connections(std::function<void(std::size_t)> told);
  // Opens the pod's listeners here; `done` runs at home.
  void listen_in(std::shared_ptr<const proxy::Pod> pod, Done done);
  void leave(const std::string& uid, Done done);
  // Answers DNS in the host's network, too; `done` runs at home.
  void listen_dns(const SocketAddress& address, Done done);

 private:
  // What lives on the thread.
  struct Parts {
    Parts(rt::Loop& loop, rt::EpollDriver& driver, proxy::Metrics& metrics, const Options& options);
    net::KernelNetwork network;
    proxy::Worker proxy;
    dns::Server dns;
  };

  explicit WorkerThread(rt::Loop& home) : home_(home) {}

  rt::Loop& home_;
  Parts* parts_ = nullptr;  // touched on the thread only
  std::unique_ptr<rt::LoopThread> thread_;
};

}  // namespace tulle::app
