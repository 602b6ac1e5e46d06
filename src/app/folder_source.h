// Compiles the manifests of files and folders into Snapshots, without a Kubernetes API, and follows
// their changes.
#pragma once

#include "app/problem_log.h"
#include "base/result.h"
#include "compile/compiler.h"
#include "kube/scheme.h"
#include "rt/folder_watch.h"
#include "rt/scope.h"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tulle::app {

// What nobody writes in a manifest because a cluster fills it in:
//   - A namespaced object without a namespace is in "default".
//   - A LoadBalancer Service listens at the address of its status, or where that has none at
//     spec.loadBalancerIP, or at 127.0.0.1.
//   - There is a default IngressClass "tulle".
class FolderSource final {
 public:
  using Publish = std::function<void(mesh::SnapshotPtr)>;

  // Both references must outlive it. `paths`: as of cli::read_manifests.
  FolderSource(rt::Loop& loop, rt::EpollDriver& driver, std::vector<std::string> paths,
               const mesh::Networks& networks, const compile::Place& here, Publish publish)
      : loop_(loop),
        driver_(driver),
        paths_(std::move(paths)),
        compiler_(networks, here),
        publish_(std::move(publish)) {}

  // Reads and publishes. From then on a change is published as soon as it is read; while what is
  // there cannot be read, the log says why and the last Snapshot stays.
  Result<void> start();

 private:
  using Key = std::pair<compile::Kind, mesh::ObjectName>;

  Result<void> read();
  rt::Task<void> follow();

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  const std::vector<std::string> paths_;
  compile::Compiler compiler_;
  Publish publish_;
  std::unique_ptr<kube::Scheme> scheme_;
  std::unique_ptr<rt::FolderWatch> watch_;
  std::set<Key> known_;                // what the compiler was fed
  std::set<std::string> passed_over_;  // kinds that are in the log already
  mesh::SnapshotPtr published_;
  ProblemLog problems_;
  rt::Scope following_{loop_};
};

}  // namespace tulle::app
