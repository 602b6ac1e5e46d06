#include "app/snapshot_source.h"

namespace tulle::app {

SnapshotSource::SnapshotSource(rt::Loop& loop, kubeclient::Client& client, Random& random,
                               const mesh::Networks& networks, const compile::Place& here,
                               Publish publish)
    : loop_(loop), compiler_(networks, here), publish_(std::move(publish)) {
  for (const auto& watched : compile::watched_resources) {
    const kubeclient::Resource resource{.group = watched.group,
                                        .version = watched.version,
                                        .plural = watched.resource,
                                        .kind = compile::to_string(watched.kind)};
    caches_.push_back(
        std::make_unique<kubeclient::Cache>(loop, client, Random(random.next()), resource));
    caches_.back()->on_change([this, kind = watched.kind](const auto& before, const auto& after) {
      feed(kind, before, after);
    });
    caches_.back()->start();
  }
}

rt::Task<void> SnapshotSource::ready() {
  for (const auto& cache : caches_) co_await cache->synced();
  synced_ = true;
  build();
}

void SnapshotSource::feed(compile::Kind kind, const kubeclient::ObjectPtr& before,
                          const kubeclient::ObjectPtr& after) {
  if (after) {
    compiler_.upsert(kind, *after);
  } else {
    compiler_.remove(kind, {.namespace_name = std::string(kube::namespace_of(*before)),
                            .name = std::string(kube::name_of(*before))});
  }
  if (synced_) loop_.schedule(build_);
}

void SnapshotSource::build() {
  mesh::SnapshotPtr snapshot = compiler_.build();
  if (snapshot == published_) return;
  const bool first = published_ == nullptr;
  published_ = snapshot;
  publish_(std::move(snapshot), first ? std::vector<kube::Time>() : compiler_.change_times());
  problems_.say(compiler_);
}

}  // namespace tulle::app
