// Has the kernel refuse what would come to nobody: in every pod's network, connections and
// datagrams to the ports of Services that no endpoint serves. The proxy could only accept a
// connection and then end it, and whoever waits for a service by connecting to it (nc -z,
// wait-for-it, psql) would take it for served.
//
// The rules follow the Snapshot within some milliseconds. What they let through meanwhile, or where
// they cannot be made, the proxy ends itself.
#pragma once

#include "mesh/snapshot.h"
#include "proxy/pods.h"
#include "rt/thread_pool.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
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
  void detach(const std::string& uid) { pods_.erase(uid); }
  // `done` on the loop, when all that was asked for before is done.
  void pass(std::function<void()> done);

 private:
  using Ports = std::vector<mesh::UnservedPort>;

  const IpAddress dns_;
  bool retired_ = false;
  std::shared_ptr<const Ports> followed_ = std::make_shared<const Ports>();
  std::shared_ptr<const Ports> refused_ = followed_;  // of those, what rules can be made of
  std::map<std::string, net::NamespacePtr> pods_;     // by uid
  rt::ThreadPool thread_;                             // does one thing after the other
};

}  // namespace tulle::app
