// The life of one pod on this node: network, proxy, containers, status, and its end.
#pragma once

#include "node/container_runner.h"
#include "node/ephemeral.h"
#include "node/pod_context.h"
#include "node/pod_status.h"
#include "node/volumes.h"
#include "rt/scope.h"

#include <memory>
#include <optional>
#include <vector>

namespace tulle::node {

// Why a pod ends, and so what is left to do afterwards.
enum class PodEnd : std::uint8_t {
  deleted,   // the API waits for us: remove the object when all is gone
  vanished,  // there is no object any more
  evicted,   // the instance ends: the object stays as it is
};

class PodWorker final {
 public:
  // `pod` is bound to this node. What an agent before left of it is taken over.
  PodWorker(Node& node, kubeclient::ObjectPtr pod);
  // Leaves everything running.
  ~PodWorker();
  PodWorker(const PodWorker&) = delete;
  PodWorker& operator=(const PodWorker&) = delete;

  // Until the pod has ended and nothing is left of it.
  rt::Task<void> run();

  // The object has changed.
  void update(kubeclient::ObjectPtr pod);
  // A ConfigMap, Secret or PersistentVolumeClaim has changed, which the pod may refer to.
  void note_change(const boost::json::object& object);
  // Ends the pod; containers are killed at `kill_at`. Once more: the earlier time counts. One that
  // is deleted is told to stop when nothing is under way to it any more, or at `kill_at`; then
  // it has as long once more.
  void end(PodEnd why, Instant kill_at);

  const PodPlace& place() const { return context_.place; }
  const kubeclient::ObjectPtr& pod() const { return context_.pod; }
  PodContext& context() { return context_; }
  PodView view() const;
  std::vector<ContainerRunner*> runners() const;  // init containers first
  // The runs of its containers that run now.
  std::vector<RunPlace> running() const;

  // Takes over address and namespace that are on the disk, so that the proxy is told of them first
  // thing. Blocking, but short. Returns whether there was any.
  bool adopt_network();

 private:
  rt::Task<void> live();
  void stop_for_good();
  rt::Task<void> stop_when_drained();
  rt::Task<void> stop_at_deadline();
  rt::Task<bool> set_up();
  rt::Task<Result<void>> make_network();
  rt::Task<Result<void>> make_files();
  rt::Task<Result<std::vector<PlannedVolume>>> plan_volumes(VolumesOf which);
  rt::Task<void> keep_volumes_fresh();
  rt::Task<void> refresh();
  rt::Task<Result<void>> refresh_now();
  rt::Task<void> run_containers();
  rt::Task<bool> run_init_containers(rt::Scope& beside, std::vector<ContainerRunner*>& sidecars);
  rt::Task<void> write_statuses();
  rt::Task<bool> write_status();
  rt::Task<void> leave_network();
  rt::Task<void> clean_up();
  rt::Task<void> remove_object();
  void hold();

  PodContext context_;
  const ReferenceNames mounted_;   // what its volumes are made of
  const ReferenceNames referred_;  // that, and what its containers use
  rt::Event volumes_stale_;
  Result<void> refreshed_;  // how the latest refresh went
  rt::Scope refreshing_;    // ends before the pod's files are removed
  std::string started_at_;
  bool set_up_before_ = false;  // by an agent before this one
  Duration grace_ = Duration::max();
  bool has_address_ = false;  // of context_, and the namespace that goes with it
  bool serves_ = false;       // the proxy has it, and containers may run
  bool over_ = false;         // had ended before we came: only its logs are kept
  PodEnd end_ = PodEnd::deleted;
  rt::Event leaving_;           // it is not to stay when its containers have ended
  rt::Event deadline_changed_;  // maybe
  bool ended_ = false;          // its containers have, for good
  std::optional<PodFailure> failure_;
  std::vector<std::unique_ptr<ContainerRunner>> init_;
  std::vector<std::unique_ptr<ContainerRunner>> containers_;
  EphemeralContainers ephemeral_;
  rt::Scope scope_;
};

// Removes all that a pod has left on the disk and in the kernel when nobody runs it any more.
rt::Task<void> remove_pod_remains(Node& node, PodPlace place);

}  // namespace tulle::node
