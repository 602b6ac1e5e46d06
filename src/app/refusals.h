// Has the kernel refuse what would come to nobody: in every pod's network, connections and
// datagrams to the ports of Services that no endpoint serves. The proxy could only accept a
// connection and then end it, and whoever waits for a service by connecting to it (nc -z,
// wait-for-it, psql) would take it for served.
//
// The rules follow the Snapshot within some milliseconds. What they let through meanwhile, or where
// they cannot be made, the proxy ends itself.
#pragma once

#include "mesh/snapshot.h"
#include "node/nftables.h"
#include "proxy/pods.h"
#include "rt/thread_pool.h"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tulle::app {

class Refusals final {
 public:
  // `dns` is answered by the proxy, whatever Service claims that address. `loop` must outlive it.
  Refusals(rt::Loop& loop, const IpAddress& dns) : dns_(dns), thread_(loop, 1) {}

  // From now on these are refused, in all pods.
  void follow(const mesh::Snapshot& snapshot);
  // Leaves what there is to another process. REQUIRES: pass() before that begins.
  void retire() { retired_ = true; }
  // In this pod, too.
  void attach(const proxy::Pod& pod);
  void detach(const std::string& uid);
  // `done` on the loop, when all that was asked for before is done.
  void pass(std::function<void()> done);

 private:
  using Ports = std::vector<mesh::UnservedPort>;

  // What is to be refused now: several changes that come while the thread is busy are made as one.
  class Wanted final {
   public:
    std::shared_ptr<const Ports> get() const;
    void set(std::shared_ptr<const Ports> ports);

   private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Ports> ports_ = std::make_shared<const Ports>();
  };
  // The rules of one pod. Touched on the thread only, but for its space.
  struct Rules {
    explicit Rules(net::NamespacePtr in) : space(std::move(in)) {}
    Result<void> run(const std::string& commands);

    const net::NamespacePtr space;
    std::optional<node::Nftables> kernel = std::nullopt;
    std::shared_ptr<const Ports> made = nullptr;  // what was last asked for; null: nothing
  };
  static void bring_up_to_date(Rules& rules, const Wanted& wanted);

  const IpAddress dns_;
  bool retired_ = false;
  std::shared_ptr<const Ports> followed_;  // as the Snapshot has it
  const std::shared_ptr<Wanted> wanted_ = std::make_shared<Wanted>();
  std::map<std::string, std::shared_ptr<Rules>> pods_;  // by uid
  rt::ThreadPool thread_;                               // does one thing after the other
};

}  // namespace tulle::app
