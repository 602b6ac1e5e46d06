// What the containers of one pod share. Owned by its PodWorker; belongs to the agent's loop.
#pragma once

#include "node/environment.h"
#include "node/node.h"
#include "node/places.h"
#include "rt/combine.h"
#include "rt/sync.h"

#include <string>

namespace tulle::node {

struct PodContext {
  PodContext(Node& shared, PodPlace at, kubeclient::ObjectPtr object)
      : node(shared), place(std::move(at)), pod(std::move(object)), stopping(shared.loop) {}

  Node& node;
  const PodPlace place;
  kubeclient::ObjectPtr pod;  // as last seen
  IpAddress address = {};
  net::NamespacePtr space = nullptr;

  // The pod is to end: a container that ends by itself is not started again.
  bool ending = false;
  // The containers are to end, by force at `kill_at`.
  rt::Event stopping;
  Instant kill_at = kNever;
  rt::WaitList kill_at_changed;

  // Counts changes of the ConfigMaps, Secrets and claims that the pod refers to.
  std::uint64_t references_version = 0;
  rt::WaitList references_changed;

  // Something that the status tells has changed.
  bool dirty = false;
  rt::WaitList changed;

  void touch() {
    dirty = true;
    changed.wake_all(node.loop);
  }
  void note_references() {
    ++references_version;
    references_changed.wake_all(node.loop);
  }
  void kill_by(Instant at) {
    kill_at = std::min(kill_at, at);
    kill_at_changed.wake_all(node.loop);
  }
  void normal(std::string reason, std::string message) {
    node.events.record(*pod, {.type = kubeclient::EventType::normal,
                              .reason = std::move(reason),
                              .message = std::move(message)});
  }
  void warning(std::string reason, std::string message) {
    node.events.record(*pod, {.type = kubeclient::EventType::warning,
                              .reason = std::move(reason),
                              .message = std::move(message)});
  }
  // "name_namespace(uid)", as upstream's messages name pods.
  std::string full_name() const {
    return place.name + "_" + place.namespace_ + "(" + place.uid + ")";
  }
};

// Until `context.kill_at`.
inline rt::Task<void> kill_time(PodContext& context) {
  rt::Loop& loop = context.node.loop;
  struct Changed {
    static rt::Task<void> wait(rt::WaitList& list) { co_await rt::wait_on(list); }
  };
  while (loop.now() < context.kill_at) {
    co_await rt::race(Changed::wait(context.kill_at_changed), rt::until(loop, context.kill_at));
  }
}

// Until what the pod refers to has changed since `seen`, a references_version.
inline rt::Task<void> references_changed(PodContext& context, std::uint64_t seen) {
  while (context.references_version == seen) co_await rt::wait_on(context.references_changed);
}

// Waits, unless `stopping` is set before. Returns whether it is.
inline rt::Task<bool> pause_or_stop(rt::Loop& loop, rt::Event& stopping, Duration pause) {
  co_await rt::race(stopping.wait(), rt::until(loop, loop.now() + pause));
  co_return stopping.is_set();
}

PodPlace place_of(const Node& node, const boost::json::object& pod);

// All config maps, secrets and claims that the pod refers to.
rt::Task<kube::ApiResult<References>> fetch_references(Node& node, kubeclient::ObjectPtr pod);

// What the pod's containers see of the API. `references` must outlive it.
EnvironmentSources sources_of(const PodContext& context, const References& references);

}  // namespace tulle::node
