#include "node/agent.h"

#include "base/format.h"
#include "base/log.h"
#include "kube/object.h"
#include "kubeclient/resources.h"
#include "node/adoption.h"
#include "node/image_collector.h"
#include "node/local_volumes.h"
#include "node/node.h"
#include "node/node_status.h"
#include "node/pod_streams.h"
#include "node/pod_worker.h"
#include "node/usage_sampler.h"
#include "rt/combine.h"
#include "rt/sleep.h"

#include <boost/json.hpp>

#include <map>
#include <set>

namespace tulle::node {

namespace {

namespace json = boost::json;

// How long containers get when the whole instance ends.
constexpr Duration kStopGrace = std::chrono::seconds(3);
constexpr std::int64_t kGraceDefault = 30;
constexpr Duration kCollectImages = std::chrono::minutes(5);

// What events about the node refer to; its uid is its name, as upstream has it.
json::object node_reference(const std::string& name) {
  return {{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", name}, {"uid", name}}}};
}

}  // namespace

struct Agent::State {
  State(rt::Loop& on, rt::EpollDriver& driver, rt::Blocking& blocking, net::KernelNetwork& network,
        kubeclient::Client& client, ImageStore image_store, Random random, AgentOptions with)
      : loop(on),
        options(std::move(with)),
        runtime(options.runtime, options.data_dir + "/run/runtime"),
        images(on, driver, blocking, std::move(image_store)),
        events(on, client, Random(random.next()), "kubelet", options.node_name),
        pods(on, client, Random(random.next()), kubeclient::kPods),
        services(on, client, Random(random.next()), kubeclient::kServices),
        config_maps(on, client, Random(random.next()), kubeclient::kConfigMaps),
        secrets(on, client, Random(random.next()), kubeclient::kSecrets),
        claims(on, client, Random(random.next()), kubeclient::kPersistentVolumeClaims),
        proxy(on, driver, options.proxy_socket),
        addresses(options.pod_network),
        background(on),
        node{.loop = on,
             .driver = driver,
             .blocking = blocking,
             .network = network,
             .client = client,
             .options = options,
             .runtime = runtime,
             .images = images,
             .events = events,
             .pods = pods,
             .services = services,
             .proxy = proxy,
             .addresses = addresses,
             .background = background},
        streams(node, Random(random.next())),
        usage(node, [this] { return running(); }),
        local_volumes(node, Random(random.next())),
        collector(on, blocking, images.store(),
                  [path = options.data_dir] { return disk_room(path); }),
        workers_scope(on),
        scope(on) {}

  rt::Task<Result<void>> start();
  rt::Task<void> stop();
  void on_pod(const kubeclient::ObjectPtr& before, const kubeclient::ObjectPtr& after);
  void on_referred(const kubeclient::ObjectPtr& before, const kubeclient::ObjectPtr& after);
  void begin(const kubeclient::ObjectPtr& pod);
  rt::Task<void> work(std::string uid);
  rt::Task<void> collect_images();
  std::vector<RunPlace> running() const;
  void follow_deletion(PodWorker& worker, const json::object& pod) const;
  bool is_ours(const json::object& pod) const {
    return kube::string_at(pod, "spec.nodeName") == options.node_name;
  }

  rt::Loop& loop;
  const AgentOptions options;
  Runtime runtime;
  Images images;
  kubeclient::EventRecorder events;
  kubeclient::Cache pods;
  kubeclient::Cache services;
  kubeclient::Cache config_maps;
  kubeclient::Cache secrets;
  kubeclient::Cache claims;
  HandoverClient proxy;
  AddressPool addresses;
  rt::Scope background;
  Node node;
  PodStreamServer streams;
  UsageSampler usage;
  LocalVolumes local_volumes;
  ImageCollector collector;
  bool stopping = false;
  bool adopted = false;
  std::map<std::string, std::unique_ptr<PodWorker>> workers;  // by uid
  rt::Scope workers_scope;
  rt::Scope scope;
};

rt::Task<Result<void>> Agent::State::start() {
  auto registered = co_await register_node(node);
  if (!registered) {
    co_return kube::to_error(registered.error()).context("registering the node");
  }
  scope.spawn(keep_lease(node));
  scope.spawn(watch_disk(node));
  pods.on_change([this](const kubeclient::ObjectPtr& before, const kubeclient::ObjectPtr& after) {
    on_pod(before, after);
  });
  for (kubeclient::Cache* cache : {&config_maps, &secrets, &claims}) {
    cache->on_change([this](const kubeclient::ObjectPtr& before,
                            const kubeclient::ObjectPtr& after) { on_referred(before, after); });
  }
  pods.start();
  services.start();
  config_maps.start();
  secrets.start();
  claims.start();
  local_volumes.start();
  co_await pods.synced();
  co_await services.synced();
  // Addresses of running pods are known before new ones are given out, and the proxy is offered
  // all running pods at once: it drops what it is not offered.
  adopted = true;
  for (const auto& [key, pod] : pods.objects()) {
    if (is_ours(*pod)) begin(pod);
  }
  co_await remove_strangers(node, pods);
  proxy.start();
  scope.spawn(usage.run());
  scope.spawn(keep_images_listed(node));
  scope.spawn(collect_images());
  for (const auto& [key, pod] : pods.objects()) on_pod(nullptr, pod);
  co_return Result<void>();
}

void Agent::State::on_pod(const kubeclient::ObjectPtr& before, const kubeclient::ObjectPtr& after) {
  if (!adopted || stopping) return;
  if (before && (!after || kube::uid_of(*after) != kube::uid_of(*before))) {
    const auto gone = workers.find(std::string(kube::uid_of(*before)));
    if (gone != workers.end()) gone->second->end(PodEnd::vanished, loop.now());
  }
  if (!after) return;
  const std::string uid(kube::uid_of(*after));
  if (const auto known = workers.find(uid); known != workers.end()) {
    known->second->update(after);
    follow_deletion(*known->second, *after);
  } else if (is_ours(*after)) {
    begin(after);
  }
}

void Agent::State::on_referred(const kubeclient::ObjectPtr& before,
                               const kubeclient::ObjectPtr& after) {
  for (const auto& [uid, worker] : workers) {
    worker->note_change(after ? *after : *before);
  }
}

void Agent::State::begin(const kubeclient::ObjectPtr& pod) {
  const std::string uid(kube::uid_of(*pod));
  auto worker = std::make_unique<PodWorker>(node, pod);
  (void)worker->adopt_network();
  follow_deletion(*worker, *pod);
  workers.emplace(uid, std::move(worker));
  workers_scope.spawn(work(uid));
}

rt::Task<void> Agent::State::work(std::string uid) {
  co_await workers.at(uid)->run();
  workers.erase(uid);
}

void Agent::State::follow_deletion(PodWorker& worker, const json::object& pod) const {
  if (!kube::is_deleting(pod)) return;
  const Duration grace = std::chrono::seconds(
      kube::integer_at(pod, "metadata.deletionGracePeriodSeconds", kGraceDefault));
  worker.end(PodEnd::deleted, loop.now() + grace);
}

std::vector<RunPlace> Agent::State::running() const {
  std::vector<RunPlace> places;
  for (const auto& [uid, worker] : workers) {
    for (RunPlace& place : worker->running()) places.push_back(std::move(place));
  }
  return places;
}

rt::Task<void> Agent::State::collect_images() {
  bool is_short = false;
  for (;;) {
    co_await rt::sleep(loop, kCollectImages);
    const auto collected = co_await collector.collect();
    if (!collected) {
      log::warn("unused images cannot be collected", {{"why", collected.error().message}});
      continue;
    }
    for (const std::string& name : collected->names) {
      log::info("an unused image was removed, as the disk is nearly full", {{"image", name}});
    }
    // Said once, not every time.
    if (collected->bytes_short > 0 && !is_short) {
      events.record(node_reference(options.node_name),
                    {.type = kubeclient::EventType::warning,
                     .reason = "FreeDiskSpaceFailed",
                     .message = fmt::format("Failed to garbage collect required amount of images. "
                                            "{} more should be free, and no image may go that "
                                            "would make room",
                                            human_size(collected->bytes_short))});
    }
    is_short = collected->bytes_short > 0;
  }
}

rt::Task<void> Agent::State::stop() {
  stopping = true;
  scope.cancel();
  for (const auto& [uid, worker] : workers) worker->end(PodEnd::evicted, loop.now() + kStopGrace);
  co_await workers_scope.idle();
}

Agent::Agent(rt::Loop& loop, rt::EpollDriver& driver, rt::Blocking& blocking,
             net::KernelNetwork& network, kubeclient::Client& client, ImageStore images,
             Random random, AgentOptions options) {
  if (options.runtime.empty()) options.runtime = find_runtime().value_or("runc");
  state_ = std::make_unique<State>(loop, driver, blocking, network, client, std::move(images),
                                   random, std::move(options));
}

// Tasks go before what they work on.
Agent::~Agent() {
  state_->workers_scope.cancel();
  state_->scope.cancel();
}

rt::Task<Result<void>> Agent::start() { return state_->start(); }

rt::Task<void> Agent::stop() { return state_->stop(); }

rt::Task<void> Agent::handle(http::Request& request, http::Exchange& exchange,
                             std::string namespace_, std::string pod, std::string subresource) {
  const auto object = state_->pods.get({.namespace_ = namespace_, .name = pod});
  return state_->streams.handle(request, exchange, {.pod = object, .subresource = subresource});
}

std::vector<kubeclient::ObjectPtr> Agent::pod_metrics() const { return state_->usage.pods(); }

std::vector<kubeclient::ObjectPtr> Agent::node_metrics() const { return state_->usage.nodes(); }

}  // namespace tulle::node
