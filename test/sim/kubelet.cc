#include "kubelet.h"

#include "kubeclient/resources.h"
#include "rt/combine.h"
#include "rt/sleep.h"

#include <boost/json.hpp>

#include <algorithm>
#include <vector>

namespace tulle::sim {

using namespace std::chrono_literals;
using kubeclient::ObjectPtr;

namespace {

constexpr Duration kGracePeriod = 5s;

}  // namespace

// Answers with the pod's name and the path, after a moment. Once the pod was told to stop nobody
// may ask it any more.
class Kubelet::Greeter final : public http::Handler {
 public:
  Greeter(rt::Loop& loop, Random random, std::string name, const Hooks& hooks)
      : loop_(loop), random_(random), name_(std::move(name)), hooks_(hooks) {}

  void tell_to_stop() { is_told_ = true; }

  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override {
    if (is_told_) hooks_.fail(name_ + " was told to stop and got " + request.head.target);
    co_await rt::sleep(loop_, std::chrono::microseconds(random_.below(10'000)));
    const std::string answer = name_ + " " + request.head.target;
    static_cast<void>(co_await exchange.send({}, answer));
  }

 private:
  rt::Loop& loop_;
  Random random_;
  const std::string name_;
  const Hooks& hooks_;
  bool is_told_ = false;
};

struct Kubelet::Life {
  Life(rt::Loop& loop, ObjectPtr first)
      : uid(kube::uid_of(*first)),
        key(kube::key_of(*first)),
        object(std::move(first)),
        changed(loop) {}

  bool is_ending() const { return !object || kube::is_deleting(*object); }
  bool has_ended() const {
    const std::string_view phase = kube::string_at(*object, "status.phase");
    return phase == "Succeeded" || phase == "Failed";
  }

  const std::string uid;
  const kube::NamespacedName key;
  ObjectPtr object;  // null: gone
  std::shared_ptr<proxy::Pod> pod;
  std::unique_ptr<Greeter> greeter;
  std::unique_ptr<http::Server> server;
  bool answering = false;
  bool said_ready = false;
  rt::Event changed;
};

Kubelet::Kubelet(rt::Loop& loop, net::MemoryNetwork& network, kubeclient::Client& client,
                 Random random, Hooks hooks)
    : loop_(loop),
      network_(network),
      client_(client),
      random_(random),
      hooks_(std::move(hooks)),
      pods_(loop, client, Random(random_.next()), kubeclient::kPods),
      scope_(loop) {
  pods_.on_change([this](const ObjectPtr& before, const ObjectPtr& after) { see(before, after); });
}

void Kubelet::see(const ObjectPtr& before, const ObjectPtr& after) {
  if (before && (!after || kube::uid_of(*after) != kube::uid_of(*before))) {
    const auto life = lives_.find(std::string(kube::uid_of(*before)));
    if (life != lives_.end()) {
      life->second->object = nullptr;
      life->second->changed.set();
    }
  }
  if (after) {
    LifePtr& life = lives_[std::string(kube::uid_of(*after))];
    if (!life) {
      life = std::make_shared<Life>(loop_, after);
      scope_.spawn(live(life));
    }
    life->object = after;
    life->changed.set();
  }
  hooks_.pods_changed();
}

std::shared_ptr<const proxy::Pod> Kubelet::add_caller(const std::string& name,
                                                      const IpAddress& address) {
  auto pod = std::make_shared<proxy::Pod>();
  pod->uid = name;
  pod->name = {.namespace_name = "callers", .name = name};
  pod->address = address;
  pod->space = std::make_shared<net::Namespace>(name, OwnedFd());
  table_[address] = pod;
  publish();
  return pod;
}

rt::Task<void> Kubelet::wait(Duration least, Duration most) {
  const auto spread = static_cast<std::uint64_t>((most - least).count());
  co_await rt::sleep(loop_, least + Duration(static_cast<std::int64_t>(random_.below(spread))));
}

rt::Task<void> Kubelet::live(LifePtr life) {
  co_await wait(1ms, 50ms);
  if (!life->is_ending() && !life->has_ended() && co_await placed(life)) {
    const bool serves = kube::string_at(*life->object, "spec.restartPolicy", "Always") == "Always";
    co_await (serves ? run(life) : work(life));
  }
  co_await end(life);
  lives_.erase(life->uid);
}

rt::Task<void> Kubelet::run(LifePtr life) {
  co_await wait(50ms, 500ms);
  if (life->is_ending()) co_return;
  serve(life);
  hooks_.trace("serves " + to_string(life->key) + " at " + life->pod->address.to_string());
  while (!life->is_ending()) {
    life->changed.clear();
    if (life->answering != life->said_ready) {
      co_await wait(20ms, 200ms);
      const bool ready = life->answering;
      if (life->is_ending() || !co_await say(life, "Running", ready)) break;
      life->said_ready = ready;
      continue;
    }
    co_await life->changed.wait();
  }
}

// One that is told to end while it works may still come to an end of its own.
rt::Task<void> Kubelet::work(LifePtr life) {
  co_await wait(10ms, 100ms);
  if (life->is_ending() || !co_await say(life, "Running", true)) co_return;
  if (hanging_) co_return;
  co_await wait(100ms, 3s);
  const bool fails = random_.below(100) < failures_;
  if (!life->object || !co_await say(life, fails ? "Failed" : "Succeeded", false)) co_return;
  hooks_.trace((fails ? "failed " : "succeeded ") + to_string(life->key));
  succeeded_ += fails ? 0 : 1;
}

rt::Task<void> Kubelet::end(LifePtr life) {
  while (life->object && !kube::is_deleting(*life->object)) {
    life->changed.clear();
    co_await life->changed.wait();
  }
  if (life->server) co_await stop(life);
  hooks_.trace("ended " + to_string(life->key));
  while (life->object) {
    const auto removed = co_await client_.remove(
        kubeclient::kPods, {.namespace_ = life->key.namespace_, .name = life->key.name},
        {.grace_period_seconds = 0, .uid = life->uid});
    if (removed || removed.error().is(kube::Reason::not_found)) break;
    co_await wait(5ms, 50ms);
  }
}

// As the real agent (node/pod_worker.cc): the proxy drains the pod, then it is told to stop. Some
// programs die of that at once, some take their time.
rt::Task<void> Kubelet::stop(LifePtr life) {
  const auto drained = std::make_shared<rt::Event>(loop_);
  hooks_.drain(*life->pod, [drained] { drained->set(); });
  co_await rt::race(drained->wait(), rt::until(loop_, loop_.now() + kGracePeriod));
  hooks_.trace("told to stop " + to_string(life->key));
  if (drained->is_set()) life->greeter->tell_to_stop();
  if (random_.below(2) == 0) co_await wait(1ms, 300ms);
  life->server.reset();
  life->answering = false;
  table_.erase(life->pod->address);
  network_.revive(life->pod->address);
  publish();
  hooks_.forget(life->uid);
  hooks_.endpoints_changed();
}

void Kubelet::serve(const LifePtr& life) {
  if (serves(life->key)) hooks_.fail(to_string(life->key) + " runs twice");
  const std::uint32_t number = ++last_address_;
  life->pod = std::make_shared<proxy::Pod>();
  life->pod->uid = life->uid;
  life->pod->name = {.namespace_name = life->key.namespace_, .name = life->key.name};
  life->pod->address = IpAddress::v4(10, 244, static_cast<std::uint8_t>(number / 256),
                                     static_cast<std::uint8_t>(number % 256));
  life->pod->space = std::make_shared<net::Namespace>(life->uid, OwnedFd());
  life->greeter = std::make_unique<Greeter>(loop_, Random(random_.next()), life->key.name, hooks_);
  auto listener =
      network_.listen({.at = {.ip = life->pod->address, .port = kPort}, .in = life->pod->space});
  life->server = std::make_unique<http::Server>(loop_, std::move(listener).value(), *life->greeter,
                                                http::Server::Options());
  life->answering = true;
  table_[life->pod->address] = life->pod;
  publish();
}

void Kubelet::publish() {
  hooks_.publish(std::make_shared<proxy::PodTable>(table_.begin(), table_.end()));
}

// Until it has a node; false when it is to end before.
rt::Task<bool> Kubelet::placed(LifePtr life) {
  while (!life->is_ending()) {
    if (!kube::string_at(*life->object, "spec.nodeName").empty()) co_return true;
    life->changed.clear();
    co_await life->changed.wait();
  }
  co_return false;
}

// Writes status until it is written; false when the pod is gone.
rt::Task<bool> Kubelet::say(LifePtr life, std::string phase, bool ready) {
  for (;;) {
    const kubeclient::ObjectKey key{.namespace_ = life->key.namespace_, .name = life->key.name};
    const auto read = co_await client_.get(kubeclient::kPods, key);
    if (!read && read.error().is(kube::Reason::not_found)) co_return false;
    if (read) {
      if (kube::uid_of(**read) != life->uid) co_return false;
      boost::json::object pod = **read;
      kube::set_at(pod, "status.phase", boost::json::value(phase));
      if (life->pod) {
        kube::set_at(pod, "status.podIP", boost::json::value(life->pod->address.to_string()));
      }
      kube::set_condition(pod, {.type = "Ready", .status = ready ? "True" : "False"},
                          std::chrono::floor<std::chrono::microseconds>(loop_.wall_now()));
      if (co_await client_.update(kubeclient::kPods, std::move(pod), "status")) co_return true;
    }
    co_await wait(1ms, 20ms);
  }
}

bool Kubelet::answers(const IpAddress& address) const {
  for (const auto& [uid, life] : lives_) {
    if (life->pod && life->pod->address == address) return life->answering;
  }
  return false;
}

bool Kubelet::serves(const kube::NamespacedName& pod) const {
  return std::ranges::any_of(lives_, [&pod](const auto& entry) {
    return entry.second->server && entry.second->key == pod;
  });
}

Kubelet::LifePtr Kubelet::any_life(bool answering) {
  std::vector<LifePtr> found;
  for (const auto& [uid, life] : lives_) {
    if (life->server && !life->is_ending() && life->answering == answering) found.push_back(life);
  }
  return found.empty() ? nullptr : found[random_.below(found.size())];
}

bool Kubelet::kill_one() {
  const LifePtr life = any_life(true);
  if (!life) return false;
  hooks_.trace("kill " + to_string(life->key));
  life->answering = false;
  network_.kill(life->pod->address);
  life->changed.set();
  hooks_.endpoints_changed();
  return true;
}

bool Kubelet::revive_one() {
  const LifePtr life = any_life(false);
  if (!life) return false;
  hooks_.trace("revive " + to_string(life->key));
  life->answering = true;
  network_.revive(life->pod->address);
  life->changed.set();
  hooks_.endpoints_changed();
  return true;
}

}  // namespace tulle::sim
