#include "node/pod_worker.h"

#include "base/format.h"
#include "base/log.h"
#include "codec/json.h"
#include "kube/object.h"
#include "kube/pod.h"
#include "kubeclient/resources.h"
#include "node/cgroup.h"
#include "node/etc_files.h"
#include "node/image_files.h"
#include "node/pod_status.h"
#include "rt/sleep.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <ranges>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;

constexpr std::uint64_t kRecordBytesMax = 64 * 1024;
constexpr Duration kSetUpRetry = std::chrono::seconds(2);
// Time enough to end in order, however short the grace period. Upstream gives as much.
constexpr Duration kStopTimeMin = std::chrono::seconds(2);
// Several objects are often applied at once.
constexpr Duration kRefreshDelay = std::chrono::milliseconds(100);
constexpr Duration kWriteRetry = std::chrono::milliseconds(200);
// Changes that come together are told together.
constexpr Duration kStatusDelay = std::chrono::milliseconds(5);

int number_in(const std::string& text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// `runs`: by container, the latest that the pod had before it got this network.
std::string record_of(const PodPlace& place, const IpAddress& address, json::object runs) {
  return codec::to_json(json::object{{"namespace", place.namespace_},
                                     {"name", place.name},
                                     {"uid", place.uid},
                                     {"address", address.to_string()},
                                     {"runsBefore", std::move(runs)}});
}

}  // namespace

PodWorker::PodWorker(Node& node, kubeclient::ObjectPtr pod)
    : context_(node, place_of(node, *pod), pod),
      mounted_(references_of_volumes(*pod)),
      referred_(references_of(*pod)),
      volumes_stale_(node.loop),
      refreshing_(node.loop),
      leaving_(node.loop),
      deadline_changed_(node.loop),
      ephemeral_(context_),
      scope_(node.loop) {
  over_ = kube::has_ended(*pod);
  started_at_ = string_at(*pod, "status.startTime");
  if (started_at_.empty()) started_at_ = kube::format_time(api_now(node.loop));
  for (const json::value& each : kube::array_at(*pod, "spec.initContainers")) {
    init_.push_back(
        std::make_unique<ContainerRunner>(context_, pod, kube::object_or_empty(each),
                                          role_of_init_container(kube::object_or_empty(each))));
  }
  for (const json::value& each : kube::array_at(*pod, "spec.containers")) {
    containers_.push_back(std::make_unique<ContainerRunner>(
        context_, pod, kube::object_or_empty(each), ContainerRole::main));
  }
}

PodWorker::~PodWorker() { scope_.cancel(); }

bool PodWorker::adopt_network() {
  const auto text = read_small_file(context_.place.record(), kRecordBytesMax);
  const auto record = text ? codec::parse_json(*text) : Result<json::value>(text.error());
  if (!record || !is_pod_network(context_.place.network())) return false;
  const auto address = IpAddress::parse(string_at(kube::object_or_empty(*record), "address"));
  auto space = net::open_namespace(context_.place.network(), context_.full_name());
  if (!address || !space) return false;
  context_.address = *address;
  context_.space = *std::move(space);
  context_.node.addresses.mark(*address);
  has_address_ = true;
  for (ContainerRunner* each : runners()) {
    each->leave_behind(static_cast<int>(kube::integer_at(
        kube::object_at(kube::object_or_empty(*record), "runsBefore"), each->name(), -1)));
  }
  hold();
  // No container is started before the proxy listens.
  set_up_before_ = std::ranges::any_of(runners(), &ContainerRunner::has_run);
  if (set_up_before_) volumes_stale_.set();
  serves_ = set_up_before_;
  return true;
}

void PodWorker::hold() {
  context_.node.proxy.hold(
      {.uid = context_.place.uid,
       .name = {.namespace_name = context_.place.namespace_, .name = context_.place.name},
       .address = context_.address,
       .space = context_.space});
}

void PodWorker::update(kubeclient::ObjectPtr pod) {
  const kubeclient::ObjectPtr before = std::exchange(context_.pod, std::move(pod));
  if (kube::labels_of(*before) != kube::labels_of(*context_.pod) ||
      kube::annotations_of(*before) != kube::annotations_of(*context_.pod)) {
    volumes_stale_.set();
  }
  if (serves_) ephemeral_.start_new();
  deadline_changed_.set();
  // Readiness gates and what others write into the status.
  context_.touch();
}

void PodWorker::note_change(const json::object& object) {
  if (kube::namespace_of(object) != context_.place.namespace_) return;
  const std::string_view kind = kube::kind_of(object);
  const auto is_among = [&](const ReferenceNames& all) {
    const auto& names = kind == "Secret"      ? all.secrets
                        : kind == "ConfigMap" ? all.config_maps
                                              : all.claims;
    return names.contains(std::string(kube::name_of(object)));
  };
  if (is_among(mounted_)) volumes_stale_.set();
  if (is_among(referred_)) context_.note_references();
}

void PodWorker::end(PodEnd why, Instant kill_at) {
  if (!context_.ending || why != PodEnd::deleted) end_ = why;
  const bool first = !std::exchange(context_.ending, true);
  context_.kill_by(kill_at);
  grace_ = std::min(grace_, kill_at - context_.node.loop.now());
  const bool drains = why == PodEnd::deleted && serves_ && !over_ && grace_ > Duration{} &&
                      !context_.stopping.is_set();
  if (!drains) {
    stop_for_good();
  } else if (first) {
    scope_.spawn(stop_when_drained());
  }
  context_.touch();
}

void PodWorker::stop_for_good() {
  context_.stopping.set();
  leaving_.set();
}

// The proxy sends what is new elsewhere, and what is under way comes to its end first, within one
// grace period. Then the program has one of its own: nobody's shutdown is cut short by a client
// that would not leave.
rt::Task<void> PodWorker::stop_when_drained() {
  co_await rt::race(context_.node.proxy.drained(context_.place.uid), kill_time(context_));
  // Unless its containers have ended by themselves or at a deadline meanwhile.
  if (!context_.stopping.is_set()) {
    context_.kill_at = context_.node.loop.now() + std::max(grace_, kStopTimeMin);
  }
  stop_for_good();
}

// spec.activeDeadlineSeconds: its containers end, the pod stays. It may be set or shortened later.
rt::Task<void> PodWorker::stop_at_deadline() {
  rt::Loop& loop = context_.node.loop;
  const auto started = kube::parse_time(started_at_);
  for (;;) {
    deadline_changed_.clear();
    const json::object& spec = kube::object_at(*context_.pod, "spec");
    if (!started || !spec.contains("activeDeadlineSeconds")) {
      co_await deadline_changed_.wait();
      continue;
    }
    const std::chrono::seconds limit(kube::integer_at(spec, "activeDeadlineSeconds"));
    const Duration left = *started + limit - api_now(loop);
    if (left <= Duration{}) break;
    co_await rt::race(deadline_changed_.wait(), rt::until(loop, loop.now() + left));
  }
  if (context_.stopping.is_set()) co_return;
  failure_ = PodFailure{.reason = "DeadlineExceeded",
                        .message = "Pod was active on the node longer than the specified deadline"};
  context_.normal("DeadlineExceeded", failure_->message);
  context_.ending = true;
  context_.kill_by(loop.now() + std::chrono::seconds(kube::integer_at(
                                    *context_.pod, "spec.terminationGracePeriodSeconds", 30)));
  context_.stopping.set();
  context_.touch();
}

rt::Task<void> PodWorker::run() {
  if (over_) {
    co_await leave_network();
    co_await leaving_.wait();
  } else {
    scope_.spawn(write_statuses());
    scope_.spawn(stop_at_deadline());
    context_.touch();
    co_await live();
    ended_ = true;
  }
  scope_.cancel();
  // The last word: how it ended is counted by others.
  while (end_ == PodEnd::deleted && !over_ && !co_await write_status()) {
    co_await rt::sleep(context_.node.loop, kWriteRetry);
  }
  co_await clean_up();
  if (end_ == PodEnd::deleted) co_await remove_object();
}

rt::Task<void> PodWorker::live() {
  if (co_await set_up()) {
    serves_ = true;
    scope_.spawn(keep_volumes_fresh());
    ephemeral_.start_new();
    co_await run_containers();
  }
  // What was added to look into it ends with it.
  context_.kill_by(context_.node.loop.now() + kStopTimeMin);
  context_.stopping.set();
  co_await ephemeral_.finished();
  // A pod whose containers are done stays until it is deleted, for its status and its logs.
  if (!leaving_.is_set()) co_await leave_network();
  co_await leaving_.wait();
}

// Returns false when the pod is to end before it is set up.
rt::Task<bool> PodWorker::set_up() {
  if (set_up_before_) co_return true;
  for (;;) {
    if (context_.stopping.is_set()) co_return false;
    volumes_stale_.clear();
    auto made = context_.space ? Result<void>() : co_await make_network();
    const char* reason = "FailedCreatePodSandBox";
    if (made) {
      reason = "FailedMount";
      made = co_await make_files();
    }
    if (made) {
      reason = "FailedCreatePodSandBox";
      auto outcome = co_await rt::race(context_.node.proxy.accepted(context_.place.uid),
                                       context_.stopping.wait());
      if (outcome.index() == 1) co_return false;
      made = std::get<0>(std::move(outcome));
    }
    if (made) co_return true;
    context_.warning(reason, made.error().message);
    // An offer that failed is made anew.
    if (context_.space) hold();
    // What is missing may come.
    co_await rt::race(volumes_stale_.wait(),
                      pause_or_stop(context_.node.loop, context_.stopping, kSetUpRetry));
  }
}

rt::Task<Result<void>> PodWorker::make_network() {
  Node& node = context_.node;
  CO_TRY(const IpAddress address, node.addresses.take());
  const PodNetwork network{.address = address,
                           .dns_address = node.options.dns_address,
                           .capture_port = node.options.capture_port};
  json::object runs;
  for (const ContainerRunner* each : runners()) runs[each->name()] = each->latest_run();
  const std::string record = record_of(context_.place, address, std::move(runs));
  auto made = co_await rt::run_blocking(
      node.blocking, [place = context_.place, network, record]() -> Result<net::NamespacePtr> {
        TRY_VOID(make_directories(place.run(), 0700));
        TRY_VOID(write_file_whole(place.record(), record));
        TRY_VOID(remove_pod_network(place.network()));
        TRY_VOID(make_pod_network(place.network(), network));
        return net::open_namespace(place.network(), place.namespace_ + "/" + place.name);
      });
  if (!made) {
    node.addresses.give_back(address);
    co_return std::move(made).error();
  }
  context_.address = address;
  context_.space = *std::move(made);
  has_address_ = true;
  for (ContainerRunner* each : runners()) each->leave_behind(each->latest_run());
  hold();
  context_.touch();
  co_return Result<void>();
}

rt::Task<Result<void>> PodWorker::make_files() {
  Node& node = context_.node;
  CO_TRY(auto volumes, co_await plan_volumes(VolumesOf::every_kind));
  EtcFiles files{
      .hostname = std::string(string_at(*context_.pod, "spec.hostname", context_.place.name)),
      .address = context_.address.to_string(),
      .dns_address = node.options.dns_address.to_string(),
      .cluster_domain = node.options.cluster_domain};
  co_return co_await rt::run_blocking(
      node.blocking,
      [place = context_.place, pod = context_.pod, volumes = std::move(volumes),
       files = std::move(files)]() -> Result<void> {
        TRY_VOID(write_etc(place, *pod, files));
        return make_volumes(place, volumes, group_of_volumes(*pod));
      });
}

rt::Task<Result<std::vector<PlannedVolume>>> PodWorker::plan_volumes(VolumesOf which) {
  const auto references = co_await fetch_references(context_.node, context_.pod);
  if (!references) co_return kube::to_error(references.error());
  co_return node::plan_volumes(sources_of(context_, *references), which);
}

// What was written while a change was on its way is old at once: so an agent that takes over begins
// with this, too.
rt::Task<void> PodWorker::keep_volumes_fresh() {
  BackOff waits{0};
  for (;;) {
    co_await volumes_stale_.wait();
    co_await rt::sleep(context_.node.loop, kRefreshDelay);
    volumes_stale_.clear();
    refreshing_.spawn(refresh());
    co_await refreshing_.idle();
    if (refreshed_) {
      waits.reset();
      continue;
    }
    context_.warning("FailedMount", refreshed_.error().message);
    // What is missing may come.
    rt::Loop& loop = context_.node.loop;
    co_await rt::race(volumes_stale_.wait(), rt::until(loop, loop.now() + waits.failed({})));
    volumes_stale_.set();
  }
}

// Nobody cancels it: a thread that writes files writes on.
rt::Task<void> PodWorker::refresh() { refreshed_ = co_await refresh_now(); }

rt::Task<Result<void>> PodWorker::refresh_now() {
  CO_TRY(auto volumes, co_await plan_volumes(VolumesOf::objects));
  co_return co_await rt::run_blocking(
      context_.node.blocking,
      [place = context_.place, pod = context_.pod, volumes = std::move(volumes)] {
        return make_volumes(place, volumes, group_of_volumes(*pod));
      });
}

rt::Task<void> PodWorker::run_containers() {
  rt::Scope beside(context_.node.loop);
  std::vector<ContainerRunner*> sidecars;
  if (co_await run_init_containers(beside, sidecars)) {
    rt::Scope running(context_.node.loop);
    for (const auto& container : containers_) running.spawn(container->run());
    co_await running.idle();
  }
  // What stands beside the work goes after it, the last one first.
  for (ContainerRunner* sidecar : sidecars | std::views::reverse) {
    sidecar->stop();
    co_await sidecar->finished();
  }
}

// Returns whether the pod's work may begin. `sidecars` become those that run in `beside`.
rt::Task<bool> PodWorker::run_init_containers(rt::Scope& beside,
                                              std::vector<ContainerRunner*>& sidecars) {
  // An agent that takes over work under way does not keep it waiting.
  const bool begun =
      std::ranges::any_of(containers_, [](const auto& each) { return each->has_run(); });
  sidecars.reserve(init_.size());
  for (const auto& container : init_) {
    if (container->role() == ContainerRole::sidecar) {
      sidecars.push_back(container.get());
      beside.spawn(container->run());
      if (begun) continue;
      co_await rt::race(container->started(), context_.stopping.wait());
      if (context_.stopping.is_set()) co_return false;
    } else if (!begun) {
      co_await container->run();
      if (!container->succeeded()) co_return false;
    }
  }
  co_return true;
}

std::vector<ContainerRunner*> PodWorker::runners() const {
  std::vector<ContainerRunner*> all;
  all.reserve(init_.size() + containers_.size());
  for (const auto* containers : {&init_, &containers_}) {
    for (const auto& each : *containers) all.push_back(each.get());
  }
  return all;
}

PodView PodWorker::view() const {
  PodView view{.address = context_.space ? context_.address.to_string() : "",
               .host_address = kHostAddress.to_string(),
               .started_at = started_at_};
  for (const auto& each : init_) view.init_containers.push_back(each->view());
  for (const auto& each : containers_) view.containers.push_back(each->view());
  view.ephemeral_containers = ephemeral_.views();
  view.ended = ended_;
  view.failure = failure_;
  return view;
}

std::vector<RunPlace> PodWorker::running() const {
  std::vector<RunPlace> places = ephemeral_.running();
  for (const ContainerRunner* each : runners()) {
    if (auto place = each->running()) places.push_back(*std::move(place));
  }
  return places;
}

rt::Task<void> PodWorker::write_statuses() {
  for (;;) {
    while (!context_.dirty) co_await rt::wait_on(context_.changed);
    co_await rt::sleep(context_.node.loop, kStatusDelay);
    context_.dirty = false;
    if (end_ != PodEnd::deleted && context_.stopping.is_set()) continue;
    if (!co_await write_status()) {
      context_.dirty = true;
      co_await rt::sleep(context_.node.loop, kWriteRetry);
    }
  }
}

// Returns false to be called again.
rt::Task<bool> PodWorker::write_status() {
  Node& node = context_.node;
  json::object pod = *context_.pod;
  json::object status = make_pod_status(pod, view(), api_now(node.loop));
  if (const json::value* current = pod.if_contains("status"); current && *current == status) {
    co_return true;
  }
  pod["status"] = std::move(status);
  auto written = co_await node.client.update(kubeclient::kPods, std::move(pod), "status");
  if (written) {
    context_.pod = *written;
    node.pods.observe(*written);
    co_return true;
  }
  if (written.error().is(kube::Reason::not_found)) co_return true;
  if (!written.error().is(kube::Reason::conflict)) {
    log::warn("a pod's status cannot be written; trying again",
              {{"pod", context_.full_name()}, {"why", written.error().message}});
    co_return false;
  }
  auto current = co_await node.client.get(
      kubeclient::kPods, {.namespace_ = context_.place.namespace_, .name = context_.place.name});
  if (current && kube::uid_of(**current) == context_.place.uid) context_.pod = *current;
  co_return false;
}

// Nothing runs in it any more. Its address stays in its status.
rt::Task<void> PodWorker::leave_network() {
  Node& node = context_.node;
  co_await node.proxy.withdraw(context_.place.uid);
  context_.space.reset();
  if (!has_address_) co_return;
  const auto removed = co_await rt::run_blocking(
      node.blocking, [place = context_.place] { return remove_pod_network(place.network()); });
  if (!removed) {
    log::warn("the network of a pod could not be removed",
              {{"pod", context_.full_name()}, {"why", removed.error().message}});
    co_return;
  }
  has_address_ = false;
  node.addresses.give_back(context_.address);
}

// What could not be removed of the network before is tried once more.
rt::Task<void> PodWorker::clean_up() {
  co_await refreshing_.idle();
  co_await leave_network();
  co_await remove_pod_remains(context_.node, context_.place);
}

rt::Task<void> PodWorker::remove_object() {
  for (;;) {
    const auto removed = co_await context_.node.client.remove(
        kubeclient::kPods, {.namespace_ = context_.place.namespace_, .name = context_.place.name},
        {.grace_period_seconds = 0, .uid = context_.place.uid});
    if (removed || removed.error().is(kube::Reason::not_found) ||
        removed.error().is(kube::Reason::conflict)) {
      co_return;
    }
    co_await rt::sleep(context_.node.loop, kSetUpRetry);
  }
}

rt::Task<void> remove_pod_remains(Node& node, PodPlace place) {
  std::error_code error;
  std::vector<RunPlace> runs;
  for (const auto& container :
       std::filesystem::directory_iterator(place.run() + "/containers", error)) {
    std::error_code inner;
    for (const auto& run : std::filesystem::directory_iterator(container.path(), inner)) {
      const std::string number = run.path().filename();
      runs.push_back(
          {.pod = place, .container = container.path().filename(), .number = number_in(number)});
    }
  }
  for (const RunPlace& run : runs) {
    co_await remove_remains(node, run);
    co_await node.images.unpin(run.owner());
  }
  const auto removed = co_await rt::run_blocking(node.blocking, [place]() -> Result<void> {
    TRY_VOID(remove_pod_network(place.network()));
    TRY_VOID(unmount_volumes(place));
    TRY_VOID(remove_tree(place.run()));
    TRY_VOID(remove_tree(place.logs()));
    return remove_pod_cgroup(place.uid);
  });
  if (!removed) {
    log::warn("something of a pod could not be removed",
              {{"pod", place.namespace_ + "/" + place.name}, {"why", removed.error().message}});
  }
}

}  // namespace tulle::node
