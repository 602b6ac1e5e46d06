// A node that runs pods as the simulation likes: each becomes ready after a while, serves HTTP at
// an address of its own, may stop answering, and drains before it is told to stop. One that is not
// always restarted does not serve but ends by itself, well or not.
#pragma once

#include "http/server.h"
#include "kubeclient/cache.h"
#include "net/memory_network.h"
#include "proxy/pods.h"

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace tulle::sim {

class Kubelet final {
 public:
  static constexpr std::uint16_t kPort = 8080;

  struct Hooks {
    std::function<void(const std::string& what)> trace;
    std::function<void()> pods_changed;       // what the API knows of pods
    std::function<void()> endpoints_changed;  // which addresses answer
    std::function<void(proxy::PodTablePtr)> publish;
    // Calls back when the proxy has drained the pod.
    std::function<void(const proxy::Pod&, std::function<void()>)> drain;
    std::function<void(const std::string& uid)> forget;  // one that had to drain and is gone
    std::function<void(const std::string& what)> fail;   // what must not happen did
  };

  // All must outlive the kubelet.
  Kubelet(rt::Loop& loop, net::MemoryNetwork& network, kubeclient::Client& client, Random random,
          Hooks hooks);
  void start() { pods_.start(); }

  // A pod that is not on the API server: one that only calls.
  std::shared_ptr<const proxy::Pod> add_caller(const std::string& name, const IpAddress& address);

  const kubeclient::Cache& pods() const { return pods_; }
  // Whether connections to `address` are taken and answered.
  bool answers(const IpAddress& address) const;
  std::size_t running() const { return lives_.size(); }
  // Whether a program of this pod, or of one that had its name, is there.
  bool serves(const kube::NamespacedName& pod) const;

  // How many of a hundred pods that end by themselves fail.
  void set_failures(std::uint64_t of_a_hundred) { failures_ = of_a_hundred; }
  // From now on they do not end unless they are told to.
  void set_hanging(bool hanging) { hanging_ = hanging; }
  // How many have ended well so far, and the API was told so.
  std::size_t succeeded() const { return succeeded_; }

  // One that answers stops doing so, or one that does not begins again; false when there is none.
  bool kill_one();
  bool revive_one();

 private:
  struct Life;
  class Greeter;
  using LifePtr = std::shared_ptr<Life>;

  void see(const kubeclient::ObjectPtr& before, const kubeclient::ObjectPtr& after);
  rt::Task<void> live(LifePtr life);
  rt::Task<void> run(LifePtr life);
  rt::Task<void> work(LifePtr life);
  rt::Task<void> end(LifePtr life);
  rt::Task<void> stop(LifePtr life);
  void serve(const LifePtr& life);
  void publish();
  rt::Task<bool> placed(LifePtr life);
  rt::Task<bool> say(LifePtr life, std::string phase, bool ready);
  rt::Task<void> wait(Duration least, Duration most);
  LifePtr any_life(bool answering);

  rt::Loop& loop_;
  net::MemoryNetwork& network_;
  kubeclient::Client& client_;
  Random random_;
  const Hooks hooks_;
  kubeclient::Cache pods_;
  std::uint64_t failures_ = 0;
  bool hanging_ = false;
  std::size_t succeeded_ = 0;
  std::uint32_t last_address_ = 1;
  std::map<std::string, LifePtr> lives_;  // by uid
  std::map<IpAddress, std::shared_ptr<const proxy::Pod>> table_;
  rt::Scope scope_;
};

}  // namespace tulle::sim
