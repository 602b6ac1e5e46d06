#include "controllers/daemon_set.h"

#include "kube/node_fit.h"
#include "rt/combine.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <iterator>
#include <tuple>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 2;
constexpr std::string_view kKind = "DaemonSet";

struct Toleration {
  std::string_view key;
  std::string_view effect;
};

// What does not keep a daemon from a node: it is often there to mend it.
constexpr Toleration kTolerations[] = {
    {"node.kubernetes.io/not-ready", "NoExecute"},
    {"node.kubernetes.io/unreachable", "NoExecute"},
    {"node.kubernetes.io/disk-pressure", "NoSchedule"},
    {"node.kubernetes.io/memory-pressure", "NoSchedule"},
    {"node.kubernetes.io/pid-pressure", "NoSchedule"},
    {"node.kubernetes.io/unschedulable", "NoSchedule"},
};
constexpr Toleration kOnHostNetwork{"node.kubernetes.io/network-unavailable", "NoSchedule"};

void tolerate(json::object& pod_spec) {
  json::array& tolerations = kube::ensure_array(pod_spec, "tolerations");
  const auto add = [&tolerations](const Toleration& each) {
    json::value toleration{{"key", each.key}, {"operator", "Exists"}, {"effect", each.effect}};
    const bool has = std::ranges::find(tolerations, toleration) != tolerations.end();
    if (!has) tolerations.push_back(std::move(toleration));
  };
  for (const Toleration& each : kTolerations) add(each);
  if (kube::bool_at(pod_spec, "hostNetwork")) add(kOnHostNetwork);
}

DaemonState state_of(const json::object& pod, std::int64_t min_ready_seconds, kube::Time now,
                     Duration& again_after) {
  if (kube::is_deleting(pod)) return DaemonState::ending;
  if (!is_active(pod)) return DaemonState::ended;
  if (!is_ready(pod)) return DaemonState::not_ready;
  return is_available(pod, min_ready_seconds, now, again_after) ? DaemonState::available
                                                                : DaemonState::unavailable;
}

// What decides who may be on a node; the rest of it changes all the time.
bool fits_as_before(const ObjectPtr& before, const ObjectPtr& after) {
  return before && after && kube::labels_of(*before) == kube::labels_of(*after) &&
         kube::object_at(*before, "spec") == kube::object_at(*after, "spec");
}

std::string_view hash_of(const json::object& revision) {
  return kube::label_of(revision, kRevisionLabel);
}

LiveRevisions live_revisions(const std::vector<ObjectPtr>& revisions,
                             const std::vector<NodePods>& nodes) {
  LiveRevisions live{std::string(kube::name_of(*revisions.back()))};
  for (const NodePods& node : nodes) {
    for (const ObjectPtr& pod : node.pods) {
      for (const ObjectPtr& revision : revisions) {
        if (hash_of(*revision) == kube::label_of(*pod, kRevisionLabel)) {
          live.emplace(kube::name_of(*revision));
        }
      }
    }
  }
  return live;
}

}  // namespace

json::object daemon_pod(const json::object& set, const json::object& pod_template,
                        std::string_view hash, std::string_view node) {
  json::object pod = pod_from_template(set, pod_template);
  kube::set_at(pod, "metadata.generateName", json::string(fmt::format("{}-", kube::name_of(set))));
  kube::set_label(pod, kRevisionLabel, hash);
  kube::set_at(pod, "spec.nodeName", json::string(node));
  tolerate(kube::ensure_object(pod, "spec"));
  return pod;
}

std::vector<DaemonNode> daemon_view(const json::object& set, const std::vector<NodePods>& nodes,
                                    std::string_view hash, kube::Time now, Duration& again_after) {
  json::object spec = kube::object_at(set, "spec.template.spec");
  tolerate(spec);
  const std::string_view only = kube::string_at(spec, "nodeName");
  const std::int64_t min_ready = kube::integer_at(set, "spec.minReadySeconds");
  std::vector<DaemonNode> view;
  view.reserve(nodes.size());
  for (const NodePods& each : nodes) {
    const bool selected =
        (only.empty() || only == kube::name_of(*each.node)) && kube::selects_node(spec, *each.node);
    const auto tolerates = [&](kube::TaintEffect effect) {
      return selected && kube::tolerates_node(spec, *each.node, effect);
    };
    DaemonNode node{.wanted = tolerates(kube::TaintEffect::no_schedule),
                    .may_stay = tolerates(kube::TaintEffect::no_execute)};
    node.pods.reserve(each.pods.size());
    for (const ObjectPtr& pod : each.pods) {
      node.pods.push_back({.state = state_of(*pod, min_ready, now, again_after),
                           .updated = kube::label_of(*pod, kRevisionLabel) == hash});
    }
    view.push_back(std::move(node));
  }
  return view;
}

json::object daemon_status(const json::object& set, const std::vector<DaemonNode>& nodes) {
  std::int64_t wanted = 0;
  std::int64_t scheduled = 0;
  std::int64_t strayed = 0;
  std::int64_t ready = 0;
  std::int64_t available = 0;
  std::int64_t updated = 0;
  for (const DaemonNode& node : nodes) {
    wanted += node.wanted ? 1 : 0;
    if (node.pods.empty()) continue;
    if (!node.wanted) {
      ++strayed;
      continue;
    }
    ++scheduled;
    const DaemonPod& oldest = node.pods.front();
    const bool is_available = oldest.state == DaemonState::available;
    ready += is_available || oldest.state == DaemonState::unavailable ? 1 : 0;
    available += is_available ? 1 : 0;
    updated += oldest.updated ? 1 : 0;
  }
  json::object status = kube::object_at(set, "status");
  status["currentNumberScheduled"] = scheduled;
  status["numberMisscheduled"] = strayed;
  status["desiredNumberScheduled"] = wanted;
  status["numberReady"] = ready;
  put_count(status, "updatedNumberScheduled", updated);
  put_count(status, "numberAvailable", available);
  put_count(status, "numberUnavailable", wanted - available);
  put_count(status, "observedGeneration", kube::generation_of(set));
  return status;
}

DaemonSetController::DaemonSetController(Shared& shared)
    : shared_(shared),
      ending_(shared),
      history_(shared, shared.daemon_sets, kRevisionLabel),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.daemon_sets.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    queue_.add(kube::key_of(after ? *after : *before));
  });
  shared_.pods.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    for (const ObjectPtr& pod : {before, after}) {
      if (!pod) continue;
      if (const auto owner = controller_key(*pod, kKind)) queue_.add(*owner);
    }
    if (after && kube::controller_of(*after) == nullptr) {
      for (const auto& set : in_namespace(shared_.daemon_sets, kube::namespace_of(*after))) {
        queue_.add(kube::key_of(*set));
      }
    }
  });
  shared_.nodes.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    if (fits_as_before(before, after)) return;
    for (const auto& [key, set] : shared_.daemon_sets.objects()) queue_.add(key);
  });
}

rt::Task<void> DaemonSetController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "daemonset", reconcile_, kConcurrency);
}

// A set that is being deleted does nothing more: its pods go with it, or stay as orphans.
rt::Task<ApiResult<Reconciled>> DaemonSetController::reconcile(NamespacedName key) {
  const ObjectPtr set = shared_.daemon_sets.get(key);
  if (!set || kube::is_deleting(*set)) co_return Reconciled{};
  CO_TRY(const auto revisions, co_await history_.follow(set));
  const std::string hash(hash_of(*revisions.back()));
  CO_TRY_VOID(co_await claim_pods(set));
  const ApiResult<void> advanced = co_await advance(set, revisions.back());
  const ObjectPtr current = shared_.daemon_sets.get(key);
  if (!current || kube::uid_of(*current) != kube::uid_of(*set)) co_return Reconciled{};
  // Of the set as it was acted upon: a later one is not observed yet.
  Duration again_after{};
  const auto nodes = nodes_now(*set);
  const auto view = daemon_view(*set, nodes, hash, api_now(shared_.loop), again_after);
  json::object changed = *current;
  changed["status"] = daemon_status(*set, view);
  CO_TRY_VOID(co_await write_status(shared_, shared_.daemon_sets, current, std::move(changed)));
  if (!advanced) co_return advanced.error();
  CO_TRY_VOID(co_await history_.forget(set, revisions, live_revisions(revisions, nodes)));
  co_return Reconciled{.again_after = again_after};
}

// Adopts orphans and lets go of what matches no more; who may not have heard that it has to go is
// told so again.
rt::Task<ApiResult<void>> DaemonSetController::claim_pods(ObjectPtr set) {
  CO_TRY(const auto pods, co_await claim(shared_, shared_.pods, set,
                                         [](const json::object& pod, const json::object&) {
                                           return !kube::is_deleting(pod);
                                         }));
  for (const ObjectPtr& pod : pods) {
    if (ending_.is_unanswered(*pod)) CO_TRY_VOID(co_await end_pod(set, pod));
  }
  co_return ApiResult<void>();
}

// Every node, with the set's pods on it, as the caches have them in this turn.
std::vector<NodePods> DaemonSetController::nodes_now(const json::object& set) const {
  std::vector<ObjectPtr> pods = in_namespace(shared_.pods, kube::namespace_of(set));
  std::erase_if(pods, [&set](const ObjectPtr& pod) {
    return !kube::is_controlled_by(*pod, kube::uid_of(set));
  });
  std::ranges::sort(pods, [](const ObjectPtr& a, const ObjectPtr& b) {
    const auto age = [](const json::object& pod) {
      return std::tuple(kube::string_at(pod, "metadata.creationTimestamp"), kube::name_of(pod));
    };
    return age(*a) < age(*b);
  });
  std::vector<NodePods> nodes;
  nodes.reserve(shared_.nodes.objects().size());
  for (const auto& [key, node] : shared_.nodes.objects()) {
    NodePods& here = nodes.emplace_back(NodePods{.node = node});
    std::ranges::copy_if(pods, std::back_inserter(here.pods), [&key](const ObjectPtr& pod) {
      return kube::string_at(*pod, "spec.nodeName") == key.name;
    });
  }
  return nodes;
}

// What is decided here is decided within one turn: nothing that was seen before a wait counts.
rt::Task<ApiResult<void>> DaemonSetController::advance(ObjectPtr set, ObjectPtr revision) {
  const std::vector<NodePods> nodes = nodes_now(*set);
  Duration again_after{};
  auto view = daemon_view(*set, nodes, hash_of(*revision), api_now(shared_.loop), again_after);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (std::size_t j = 0; j < nodes[i].pods.size(); ++j) {
      if (ending_.contains(*nodes[i].pods[j])) view[i].pods[j].state = DaemonState::ending;
    }
  }
  const auto wanted = std::ranges::count_if(view, &DaemonNode::wanted);
  DaemonSteps steps = next_steps(daemon_strategy(*set, wanted), view);
  steps.create.resize(std::min(steps.create.size(), burst_max));
  steps.remove.resize(std::min(steps.remove.size(), burst_max));
  const json::object pod_template = template_in(*revision);
  std::vector<rt::Task<ApiResult<void>>> tasks;
  tasks.reserve(steps.create.size() + steps.remove.size());
  for (const std::size_t i : steps.create) {
    tasks.push_back(create_pod(
        shared_, set,
        daemon_pod(*set, pod_template, hash_of(*revision), kube::name_of(*nodes[i].node))));
  }
  for (const DaemonVictim& victim : steps.remove) {
    tasks.push_back(end_pod(set, nodes[victim.node].pods[victim.pod]));
  }
  co_return first_failure(co_await rt::all(shared_.loop, std::move(tasks)));
}

rt::Task<ApiResult<void>> DaemonSetController::end_pod(ObjectPtr set, ObjectPtr pod) {
  ending_.told(*pod);
  CO_TRY_VOID(co_await delete_pod(shared_, set, pod));
  ending_.answered(*pod);
  co_return ApiResult<void>();
}

}  // namespace tulle::controllers
