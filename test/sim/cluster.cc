#include "cluster.h"

#include "http/client_connection.h"
#include "rt/combine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace tulle::sim {

using namespace std::chrono_literals;
namespace json = boost::json;
using kubeclient::ObjectKey;

namespace {

constexpr Duration kPatience = 5s;  // of a caller

kube::Scheme& scheme() {
  static const std::unique_ptr<kube::Scheme> made = kube::make_builtin_scheme().value();
  return *made;
}

ObjectKey in_namespace(const std::string& name) {
  return {.namespace_ = std::string(Cluster::kNamespace), .name = name};
}

apiserver::ApiServer::Options server_options() {
  return {.service_addresses = *Cidr::parse("10.96.0.0/12"),
          .kubernetes_address = IpAddress::v4(10, 96, 0, 1),
          .dns_address = IpAddress::v4(10, 96, 0, 10),
          .server_address = "127.0.0.1:6443"};
}

std::int64_t integer(const json::object& object, std::string_view path) {
  return kube::integer_at(object, path);
}

// With one container that serves.
json::object workload(std::string_view kind, std::string_view name) {
  const json::object labels{{"app", name}};
  const json::object container{
      {"name", "main"},
      {"image", "main:1"},
      {"ports", json::array{json::object{{"containerPort", Kubelet::kPort}}}}};
  return {{"apiVersion", "apps/v1"},
          {"kind", kind},
          {"metadata", {{"name", name}, {"namespace", Cluster::kNamespace}}},
          {"spec",
           {{"selector", {{"matchLabels", labels}}},
            {"template",
             {{"metadata", {{"labels", labels}}},
              {"spec", {{"containers", json::array{container}}}}}}}}};
}

// "web" of pod "web-5d9c-abcde", by its label.
std::string_view app_of(const json::object& pod) { return kube::label_of(pod, "app"); }

}  // namespace

Cluster::Cluster(std::uint64_t seed)
    : random(seed),
      network(loop, Random(random.next()), {.latency_min = 50us, .latency_max = 500us}),
      server(loop, store, scheme(), Random(random.next()), server_options()),
      controllers_client(loop, local, Random(random.next()), {}),
      node_client(loop, local, Random(random.next()), {}),
      mesh_client(loop, local, Random(random.next()), {}),
      worker_(loop, network, Random(random.next()), metrics_, {}),
      kubelet(loop, network, node_client, Random(random.next()),
              {.trace = [this](const std::string& what) { trace(what); },
               .pods_changed = [this] { check_limits(); },
               .endpoints_changed = [this] { note_endpoints(); },
               .publish = [this](proxy::PodTablePtr pods) { worker_.set_pods(std::move(pods)); },
               .drain = [this](const proxy::Pod& pod,
                               std::function<void()> done) { drain(pod, std::move(done)); },
               .forget = [this](const std::string& uid) { drains_.forget(uid); },
               .fail = [this](const std::string& what) { fail(what); }}) {}

rt::Task<void> Cluster::start() {
  const auto started = co_await server.bootstrap();
  if (!started) fail("bootstrap: " + started.error().message);
  json::object space{
      {"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", kNamespace}}}};
  if (!co_await local.create(kubeclient::kNamespaces, std::move(space))) fail("no namespace");
  co_await create_node("a");
  restart_controllers();
  kubelet.start();
  source_ = std::make_unique<app::SnapshotSource>(
      loop, mesh_client, random, mesh::Networks{}, compile::Place{},
      [this](mesh::SnapshotPtr snapshot, const std::vector<kube::Time>& change_times) {
        note_propagation(change_times);
        publish(std::move(snapshot));
      });
  co_await source_->ready();
}

void Cluster::trace(const std::string& what) {
  const std::chrono::duration<double> now = loop.now().time_since_epoch();
  history.push_back(fmt::format("{:10.6f} {}", now.count(), what));
  // FNV-1a.
  for (const char c : history.back()) {
    trace_hash = (trace_hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
}

rt::Task<void> Cluster::until(std::string what, std::function<bool()> condition, Duration limit) {
  const Instant deadline = loop.now() + limit;
  while (!condition()) {
    if (loop.now() > deadline) {
      fail("in vain waited until " + what);
      co_return;
    }
    co_await rt::sleep(loop, 10ms);
  }
  trace(what);
}

rt::Task<void> Cluster::step_wall(int count) {
  wall_steps = true;
  for (int i = 0; i < count; ++i) {
    co_await rt::sleep(loop, std::chrono::milliseconds(random.below(2000)));
    const std::chrono::minutes by(static_cast<std::int64_t>(random.below(600)) - 300);
    trace(fmt::format("the clock is set by {} minutes", by.count()));
    driver.step_wall(by);
  }
}

rt::Task<void> Cluster::lose_store(int count) {
  for (int i = 0; i < count; ++i) {
    co_await rt::sleep(loop, std::chrono::milliseconds(random.below(2000)));
    trace("the disk is full");
    store.set_full(true);
    co_await rt::sleep(loop, std::chrono::milliseconds(random.below(3000)));
    trace("there is room on the disk");
    store.set_full(false);
  }
}

rt::Task<void> Cluster::cut_off(UnreliableClient& client, int count) {
  for (int i = 0; i < count; ++i) {
    co_await rt::sleep(loop, std::chrono::milliseconds(random.below(3000)));
    const UnreliableClient::Options before = client.options();
    client.set_options({.unavailable = 100, .lost_watches = 100});
    trace("a client is cut off");
    co_await rt::sleep(loop, std::chrono::milliseconds(random.below(3000)));
    client.set_options(before);
    trace("it is no longer");
  }
}

void Cluster::restart_controllers() {
  trace("controllers start");
  manager.reset();
  manager.emplace(loop, controllers_client, Random(random.next()), controllers::ManagerOptions());
  manager->start();
}

rt::Task<void> Cluster::until_status(kubeclient::Resource resource, std::string name,
                                     std::function<bool(const json::object&)> is_done) {
  const Instant deadline = loop.now() + 2min;
  for (;;) {
    const auto read = co_await local.get(resource, in_namespace(name));
    if (read && integer(**read, "status.observedGeneration") == kube::generation_of(**read) &&
        is_done(**read)) {
      break;
    }
    if (read && loop.now() > deadline) {
      fail(fmt::format("{}/{} does not come to its end: {}", resource.plural, name,
                       json::serialize(kube::object_at(**read, "status"))));
      co_return;
    }
    co_await rt::sleep(loop, 10ms);
  }
  trace("rolled out " + name);
}

rt::Task<void> Cluster::rolled_out(std::string name) {
  return until_status(kubeclient::kDeployments, std::move(name), [](const json::object& object) {
    const std::int64_t wanted = integer(object, "spec.replicas");
    return integer(object, "status.replicas") == wanted &&
           integer(object, "status.updatedReplicas") == wanted &&
           integer(object, "status.availableReplicas") == wanted;
  });
}

rt::Task<void> Cluster::set_rolled_out(std::string name) {
  return until_status(kubeclient::kStatefulSets, std::move(name), [](const json::object& object) {
    const std::int64_t wanted = integer(object, "spec.replicas");
    return integer(object, "status.replicas") == wanted &&
           integer(object, "status.updatedReplicas") == wanted &&
           integer(object, "status.availableReplicas") == wanted &&
           kube::string_at(object, "status.currentRevision") ==
               kube::string_at(object, "status.updateRevision");
  });
}

rt::Task<void> Cluster::daemons_rolled_out(std::string name) {
  return until_status(kubeclient::kDaemonSets, std::move(name), [](const json::object& object) {
    const std::int64_t wanted = integer(object, "status.desiredNumberScheduled");
    return wanted > 0 && integer(object, "status.updatedNumberScheduled") == wanted &&
           integer(object, "status.numberAvailable") == wanted;
  });
}

rt::Task<void> Cluster::create(kubeclient::Resource resource, json::object object) {
  const std::string name(kube::name_of(object));
  const auto made = co_await local.create(resource, std::move(object));
  if (!made) fail("creating " + name + ": " + made.error().message);
}

rt::Task<void> Cluster::create_deployment(std::string name, std::int64_t replicas) {
  json::object deployment = workload("Deployment", name);
  kube::set_at(deployment, "spec.replicas", replicas);
  return create(kubeclient::kDeployments, std::move(deployment));
}

rt::Task<void> Cluster::create_stateful_set(std::string name, std::int64_t replicas,
                                            std::string policy) {
  json::object set = workload("StatefulSet", name);
  kube::set_at(set, "spec.replicas", replicas);
  kube::set_at(set, "spec.serviceName", json::string(name));
  kube::set_at(set, "spec.podManagementPolicy", json::string(policy));
  kube::set_at(set, "spec.persistentVolumeClaimRetentionPolicy",
               {{"whenDeleted", "Delete"}, {"whenScaled", "Delete"}});
  kube::set_at(set, "spec.volumeClaimTemplates",
               json::array{json::object{{"metadata", {{"name", "data"}}},
                                        {"spec",
                                         {{"accessModes", json::array{"ReadWriteOnce"}},
                                          {"resources", {{"requests", {{"storage", "1Mi"}}}}}}}}});
  return create(kubeclient::kStatefulSets, std::move(set));
}

rt::Task<void> Cluster::create_daemon_set(std::string name) {
  return create(kubeclient::kDaemonSets, workload("DaemonSet", name));
}

rt::Task<void> Cluster::create_node(std::string name) {
  return create(
      kubeclient::kNodes,
      {{"apiVersion", "v1"},
       {"kind", "Node"},
       {"metadata", {{"name", name}}},
       {"status",
        {{"allocatable", {{"pods", "1000"}}},
         {"conditions", json::array{json::object{{"type", "Ready"}, {"status", "True"}}}}}}});
}

rt::Task<void> Cluster::create_service(std::string name) {
  return create(
      kubeclient::kServices,
      {{"apiVersion", "v1"},
       {"kind", "Service"},
       {"metadata", {{"name", name}, {"namespace", kNamespace}}},
       {"spec",
        {{"selector", {{"app", name}}},
         {"ports", json::array{json::object{{"port", 80}, {"targetPort", Kubelet::kPort}}}}}}});
}

rt::Task<void> Cluster::create_job(std::string name, json::object spec) {
  spec["template"] = json::object{
      {"metadata", {{"labels", {{"app", name}}}}},
      {"spec",
       {{"restartPolicy", "Never"},
        {"containers", json::array{json::object{{"name", "main"}, {"image", "main:1"}}}}}}};
  json::object job{{"apiVersion", "batch/v1"},
                   {"kind", "Job"},
                   {"metadata", {{"name", name}, {"namespace", kNamespace}}},
                   {"spec", std::move(spec)}};
  return create(kubeclient::kJobs, std::move(job));
}

rt::Task<json::object> Cluster::finished(std::string job) {
  const Instant deadline = loop.now() + 20min;
  json::object status;
  for (;;) {
    if (const auto read = co_await local.get(kubeclient::kJobs, in_namespace(job))) {
      status = kube::object_at(**read, "status");
      if (kube::is_condition_true(**read, "Complete") ||
          kube::is_condition_true(**read, "Failed")) {
        break;
      }
    }
    if (loop.now() > deadline) {
      fail("job " + job + " does not come to its end: " + json::serialize(status));
      break;
    }
    co_await rt::sleep(loop, 250ms);
  }
  trace("finished " + job + " " + json::serialize(status));
  co_return status;
}

rt::Task<void> Cluster::delete_pod_of(std::string job) {
  std::vector<std::string> names;
  for (const auto& [key, pod] : kubelet.pods().objects()) {
    if (app_of(*pod) == job && !kube::is_deleting(*pod)) names.push_back(key.name);
  }
  if (names.empty()) co_return;
  const std::string name = names[random.below(names.size())];
  trace("delete " + name);
  (void)co_await local.remove(kubeclient::kPods, in_namespace(name), {});
}

rt::Task<void> Cluster::change(kubeclient::Resource resource, std::string name, json::value spec) {
  trace("change " + name + " " + json::serialize(spec));
  json::object patch{{"spec", std::move(spec)}};
  const auto made = co_await local.patch(resource, in_namespace(name), kubeclient::PatchType::merge,
                                         std::move(patch), {});
  if (!made) fail("changing " + name + ": " + made.error().message);
}

rt::Task<void> Cluster::scale(std::string deployment, std::int64_t replicas) {
  return change(std::move(deployment), json::object{{"replicas", replicas}});
}

rt::Task<void> Cluster::roll(kubeclient::Resource resource, std::string name, std::string version) {
  return change(resource, std::move(name),
                json::object{{"template", {{"metadata", {{"annotations", {{"v", version}}}}}}}});
}

rt::Task<void> Cluster::insist(kubeclient::Resource resource, std::string name,
                               std::string version) {
  trace("roll " + name + " to " + version);
  const json::object patch{
      {"spec", {{"template", {{"metadata", {{"annotations", {{"v", version}}}}}}}}}};
  while (!co_await local.patch(resource, in_namespace(name), kubeclient::PatchType::merge, patch,
                               {})) {
    co_await rt::sleep(loop, 100ms);
  }
}

// --- Callers ------------------------------------------------------------------------------------

struct Cluster::Call {
  std::string service;
  SocketAddress to;
  std::shared_ptr<const proxy::Pod> caller;
  std::uint64_t number = 0;
  std::unique_ptr<http::ClientConnection> connection = nullptr;  // kept from call to call
};

rt::Task<void> Cluster::start_callers(std::string service, int count) {
  for (int i = 0; i < count; ++i) {
    const int number = ++callers_made_;
    const std::string name = fmt::format("caller-{}", number);
    const auto caller =
        kubelet.add_caller(name, IpAddress::v4(10, 244, 255, static_cast<std::uint8_t>(number)));
    network.redirect(name, {.ip = IpAddress::v4(127, 0, 0, 1), .port = proxy::kCapturePort});
    if (!worker_.listen_in(caller)) fail("cannot listen in " + name);
    callers_.spawn(call_for_ever(service, caller, Random(random.next())));
  }
  co_return;
}

rt::Task<void> Cluster::call_for_ever(std::string service, std::shared_ptr<const proxy::Pod> caller,
                                      Random random_of_caller) {
  const auto object = co_await local.get(kubeclient::kServices, in_namespace(service));
  const auto ip = IpAddress::parse(object ? kube::string_at(**object, "spec.clusterIP") : "");
  if (!ip) co_return fail("service " + service + " has no address");
  Call current{.service = service, .to = {.ip = *ip, .port = 80}, .caller = caller};
  for (;;) {
    co_await rt::sleep(loop, 1ms + std::chrono::microseconds(random_of_caller.below(40'000)));
    // Some keep their connection, some do not.
    if (random_of_caller.below(4) == 0) current.connection.reset();
    ++current.number;
    co_await call(current);
  }
}

rt::Task<Result<std::string>> ask(http::ClientConnection& connection, std::string path) {
  codec::RequestHead head{.method = "GET", .target = std::move(path)};
  head.headers.append("Host", "service");
  CO_TRY(auto response, co_await connection.exchange(head));
  CO_TRY(std::string body, co_await http::read_all(response.body, 64 * 1024));
  if (response.head.status != 200) {
    co_return tulle::fail(Code::unavailable, fmt::format("{} {}", response.head.status, body));
  }
  co_return body;
}

rt::Task<void> Cluster::call(Call& call) {
  const Instant start = loop.now();
  const std::string path = fmt::format("/{}/{}", call.caller->uid, call.number);
  if (call.connection && !call.connection->reusable()) call.connection.reset();
  Result<std::string> answer = tulle::fail(Code::refused, "the proxy does not listen");
  if (!call.connection) {
    auto stream = co_await network.connect({.to = call.to, .in = call.caller->space});
    if (stream) {
      call.connection = std::make_unique<http::ClientConnection>(loop, *std::move(stream));
    }
  }
  if (call.connection) {
    answer = co_await rt::with_deadline(loop, start + kPatience, ask(*call.connection, path));
  }
  trace(path + " " + (answer ? *answer : answer.error().message));
  if (answer && answer->starts_with(call.service + "-") && answer->ends_with(" " + path)) {
    ++answered;
    co_return;
  }
  call.connection.reset();
  const bool nobody = !somebody_[call.service] || nobody_[call.service] >= start;
  if (!answer && nobody) {
    ++excused;
  } else {
    fail(path + " was answered: " + (answer ? *answer : answer.error().message));
  }
}

// --- What must hold -----------------------------------------------------------------------------

void Cluster::publish(mesh::SnapshotPtr snapshot) {
  snapshot_ = std::move(snapshot);
  drains_.follow(*snapshot_);
  worker_.set_snapshot(snapshot_);
  trace(fmt::format("snapshot {}", snapshot_->generation()));
  note_endpoints();
}

void Cluster::drain(const proxy::Pod& pod, std::function<void()> done) {
  drains_.begin(pod, *snapshot_, [this, address = pod.address, done = std::move(done)] {
    worker_.close_idle(address);
    done();
  });
}

void Cluster::note_propagation(const std::vector<kube::Time>& change_times) {
  for (const kube::Time changed : change_times) {
    if (wall_steps) continue;
    propagations.push_back(loop.wall_now() - changed);
    if (propagations.back() < Duration::zero())
      fail("a change reached the mesh before it was made");
  }
}

// Whether of the endpoints that the mesh knows of at least one answers, service by service.
void Cluster::note_endpoints() {
  std::map<std::string, bool> somebody;
  snapshot_->for_each_service([&](const mesh::Service& service) {
    bool& any = somebody[service.name.name];
    for (const mesh::ServicePort& port : service.ports) {
      for (const mesh::Endpoint& endpoint : port.pickable()) {
        any = any || kubelet.answers(endpoint.address.ip);
      }
    }
  });
  for (auto& [service, was] : somebody_) {
    if (!was) nobody_[service] = loop.now();
  }
  somebody_ = std::move(somebody);
  for (const auto& [service, any] : somebody_) {
    if (!any) nobody_[service] = loop.now();
  }
}

void Cluster::check_limits() {
  std::map<std::string, PodLimits> found;
  for (const auto& [key, pod] : kubelet.pods().objects()) {
    if (seen_.emplace(kube::uid_of(*pod)).second) check_order(*pod);
    if (kube::is_deleting(*pod)) continue;
    PodLimits& of = found[std::string(app_of(*pod))];
    ++of.pods_max;
    if (kube::is_condition_true(*pod, "Ready")) ++of.available_min;
  }
  for (const auto& [deployment, limit] : limits) {
    const PodLimits& now = found[deployment];
    if (now.pods_max > limit.pods_max || now.available_min < limit.available_min) {
      fail(fmt::format("{} has {} pods (at most {}), {} available (at least {})", deployment,
                       now.pods_max, limit.pods_max, now.available_min, limit.available_min));
    }
  }
}

// A new pod of a set that comes up in order: all before it are ready. And nobody runs under its
// name any more.
void Cluster::check_order(const json::object& pod) {
  const std::string name(kube::name_of(pod));
  if (kubelet.serves(kube::key_of(pod))) fail("an earlier " + name + " still runs");
  const std::string app(app_of(pod));
  if (!ordered.contains(app)) return;
  const std::int64_t ordinal = std::strtoll(
      std::string(kube::label_of(pod, "apps.kubernetes.io/pod-index")).c_str(), nullptr, 10);
  for (std::int64_t i = 0; i < ordinal; ++i) {
    const auto before = kubelet.pods().get(
        {.namespace_ = std::string(kNamespace), .name = fmt::format("{}-{}", app, i)});
    if (!before || kube::is_deleting(*before) || !kube::is_condition_true(*before, "Ready")) {
      fail(fmt::format("{} comes while {}-{} is not ready", name, app, i));
    }
  }
}

std::size_t Cluster::pods_of(const std::string& deployment) const {
  std::size_t count = 0;
  for (const auto& [key, pod] : kubelet.pods().objects()) count += app_of(*pod) == deployment;
  return count;
}

bool Cluster::reaches(const std::string& service) const {
  const auto known = somebody_.find(service);
  return known != somebody_.end() && known->second;
}

rt::Task<void> Cluster::fail_pods(int count) {
  int dead = 0;
  for (int i = 0; i < count; ++i) {
    co_await rt::sleep(loop, 20ms + std::chrono::milliseconds(random.below(300)));
    if (dead < 2 && random.below(2) == 0) {
      dead += kubelet.kill_one() ? 1 : 0;
    } else if (kubelet.revive_one()) {
      --dead;
    } else {
      dead = 0;  // the dead ones have ended
    }
  }
  while (kubelet.revive_one()) {
  }
}

rt::Task<void> Cluster::delete_pods(std::string app, int count) {
  for (int i = 0; i < count; ++i) {
    co_await rt::sleep(loop, 50ms + std::chrono::milliseconds(random.below(400)));
    std::vector<std::string> names;
    for (const auto& [key, pod] : kubelet.pods().objects()) {
      if (app_of(*pod) == app) names.push_back(key.name);
    }
    if (names.empty()) continue;
    const std::string& name = names[random.below(names.size())];
    trace("delete " + name);
    static_cast<void>(co_await local.remove(kubeclient::kPods, in_namespace(name), {}));
  }
}

rt::Task<void> Cluster::set_aside(std::string app) {
  const auto& all = kubelet.pods().objects();
  const auto one =
      std::ranges::find_if(all, [&app](const auto& entry) { return app_of(*entry.second) == app; });
  if (one == all.end()) co_return fail("no pod of " + app);
  const kube::NamespacedName key = one->first;
  trace("set aside " + key.name);
  const auto made =
      co_await local.patch(kubeclient::kPods, in_namespace(key.name), kubeclient::PatchType::merge,
                           json::object{{"metadata", {{"labels", {{"app", "aside"}}}}}}, {});
  if (!made) co_return fail("setting " + key.name + " aside: " + made.error().message);
  co_await until("it belongs to nobody", [this, key] {
    const auto pod = kubelet.pods().get(key);
    return pod && kube::controller_of(*pod) == nullptr;
  });
}

rt::Task<std::vector<std::string>> Cluster::left_in_namespace() {
  using namespace kubeclient;
  std::vector<std::string> left;
  for (const Resource& resource :
       {kCronJobs, kJobs, kDeployments, kReplicaSets, kStatefulSets, kDaemonSets,
        kControllerRevisions, kPersistentVolumeClaims, kPods, kServices, kEndpointSlices,
        kEndpoints, kEvents, kConfigMaps, kServiceAccounts, kSecrets, kLeases, kIngresses}) {
    const auto list = co_await local.list(resource, {.namespace_ = std::string(kNamespace)});
    if (!list) continue;
    for (const auto& object : list->items) {
      left.push_back(std::string(resource.plural) + "/" + std::string(kube::name_of(*object)));
    }
  }
  co_return left;
}

}  // namespace tulle::sim
