// Watches a Kubernetes API and compiles what it sees into Snapshots.
#pragma once

#include "app/problem_log.h"
#include "compile/compiler.h"
#include "kubeclient/cache.h"

#include <functional>
#include <memory>
#include <vector>

namespace tulle::app {

class SnapshotSource final {
 public:
  // `change_times`: when the changes of endpoints were made that this Snapshot is the first to know
  // of, where that is known.
  using Publish = std::function<void(mesh::SnapshotPtr, std::vector<kube::Time> change_times)>;

  // All must outlive it. `publish` is called on the loop: first when everything has been listed
  // once (all of that is old: it comes without times), then at the end of each turn in which
  // something changed.
  SnapshotSource(rt::Loop& loop, kubeclient::Client& client, Random& random,
                 const mesh::Networks& networks, const compile::Place& here, Publish publish);

  // Until the first Snapshot was published.
  rt::Task<void> ready();

 private:
  class Build final : public rt::Runnable {
   public:
    explicit Build(SnapshotSource& owner) : owner_(owner) {}
    void run() override { owner_.build(); }

   private:
    SnapshotSource& owner_;
  };

  void feed(compile::Kind kind, const kubeclient::ObjectPtr& before,
            const kubeclient::ObjectPtr& after);
  void build();

  rt::Loop& loop_;
  compile::Compiler compiler_;
  Publish publish_;
  mesh::SnapshotPtr published_;
  ProblemLog problems_;
  bool synced_ = false;
  Build build_{*this};
  std::vector<std::unique_ptr<kubeclient::Cache>> caches_;
};

}  // namespace tulle::app
