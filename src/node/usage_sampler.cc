#include "node/usage_sampler.h"

#include "base/format.h"
#include "kube/object.h"
#include "kube/time.h"
#include "kubeclient/resources.h"
#include "rt/sleep.h"

#include <boost/json.hpp>

namespace tulle::node {

namespace {

namespace json = boost::json;

constexpr const char* kGroups = "/sys/fs/cgroup";
constexpr const char* kProc = "/proc";

struct Sampled {
  std::vector<std::optional<Usage>> containers;
  std::optional<Usage> machine;
};

Sampled sample_all(const std::vector<RunPlace>& places) {
  Sampled sampled{.containers = {}, .machine = read_machine_usage(kProc)};
  sampled.containers.reserve(places.size());
  for (const RunPlace& place : places) {
    sampled.containers.push_back(read_group_usage(kGroups, place.cgroup()));
  }
  return sampled;
}

json::object usage_of(const UsageRate& rate) {
  return {{"cpu", fmt::format("{}n", rate.cpu_nanocores)},
          {"memory", fmt::format("{}Ki", rate.working_set_bytes / 1024)}};
}

json::object metrics(const kubeclient::Resource& kind, const json::object& of,
                     const UsageRate& rate) {
  json::object metadata{{"name", kube::name_of(of)}};
  if (kind.namespaced) metadata["namespace"] = kube::namespace_of(of);
  metadata["creationTimestamp"] =
      kube::format_time(std::chrono::floor<std::chrono::microseconds>(rate.at));
  if (const json::value* labels = kube::find(of, "metadata.labels")) metadata["labels"] = *labels;
  const double seconds = std::chrono::duration<double>(rate.window).count();
  return {{"kind", kind.kind},
          {"apiVersion", fmt::format("{}/{}", kind.group, kind.version)},
          {"timestamp", metadata["creationTimestamp"]},
          {"window", fmt::format("{:.3f}s", seconds)},
          {"metadata", std::move(metadata)}};
}

}  // namespace

rt::Task<void> UsageSampler::run() {
  for (;;) {
    co_await sample();
    co_await rt::sleep(node_.loop, period);
  }
}

rt::Task<void> UsageSampler::sample() {
  const std::vector<RunPlace> places = running_();
  const Sampled sampled =
      co_await rt::run_blocking(node_.blocking, [places] { return sample_all(places); });
  const Instant now = node_.loop.now();
  const WallTime wall_now = node_.loop.wall_now();
  if (sampled.machine) machine_.add(now, wall_now, *sampled.machine);
  std::map<std::string, Measured> containers;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (!sampled.containers[i]) continue;
    const std::string id = places[i].id();
    const auto known = containers_.find(id);
    Measured measured =
        known == containers_.end() ? Measured{.place = places[i]} : std::move(known->second);
    measured.history.add(now, wall_now, *sampled.containers[i]);
    containers.emplace(id, std::move(measured));
  }
  containers_ = std::move(containers);
}

std::vector<kubeclient::ObjectPtr> UsageSampler::pods() const {
  std::vector<kubeclient::ObjectPtr> documents;
  for (auto each = containers_.begin(); each != containers_.end();) {
    const PodPlace& place = each->second.place.pod;
    std::optional<UsageRate> rate;
    json::array containers;
    bool complete = true;
    for (; each != containers_.end() && each->second.place.pod.uid == place.uid; ++each) {
      const auto own = each->second.history.rate();
      complete = complete && own;
      if (!own) continue;
      if (!rate || own->window < rate->window) rate = own;
      containers.push_back(
          json::object{{"name", each->second.place.container}, {"usage", usage_of(*own)}});
    }
    const auto pod = node_.pods.get({.namespace_ = place.namespace_, .name = place.name});
    if (!complete || !pod || kube::uid_of(*pod) != place.uid) continue;
    json::object document = metrics(kubeclient::kPodMetrics, *pod, *rate);
    document["containers"] = std::move(containers);
    documents.push_back(std::make_shared<const json::object>(std::move(document)));
  }
  return documents;
}

std::vector<kubeclient::ObjectPtr> UsageSampler::nodes() const {
  const auto rate = machine_.rate();
  if (!rate) return {};
  const json::object node{{"metadata", {{"name", node_.options.node_name}}}};
  json::object document = metrics(kubeclient::kNodeMetrics, node, *rate);
  document["usage"] = usage_of(*rate);
  return {std::make_shared<const json::object>(std::move(document))};
}

}  // namespace tulle::node
