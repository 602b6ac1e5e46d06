// A local copy of one resource, kept current by list and watch.
#pragma once

#include "base/random.h"
#include "kube/object.h"
#include "kubeclient/client.h"
#include "rt/scope.h"

#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace tulle::kubeclient {

// Lists, watches from there, and starts over when the server says that history is gone. Failures
// are tried again with growing, jittered pauses. Belongs to one loop.
class Cache final {
 public:
  // Before and after: null before for an added object, null after for a deleted one. Called in the
  // turn in which the cache changed, after it changed. Relisting gives the differences.
  using Handler = std::function<void(const ObjectPtr& before, const ObjectPtr& after)>;

  // All must outlive the cache.
  Cache(rt::Loop& loop, Client& client, Random random, const Resource& resource,
        ListOptions options = {});
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // REQUIRES: before start().
  void on_change(Handler handler) { handlers_.push_back(std::move(handler)); }
  void start();

  // Until the first list is in.
  rt::Task<void> synced() { return synced_.wait(); }
  bool is_synced() const { return synced_.is_set(); }

  // Null where there is none.
  ObjectPtr get(const kube::NamespacedName& key) const;
  // In order of namespace and name.
  const std::map<kube::NamespacedName, ObjectPtr>& objects() const { return objects_; }

  // Puts in an object that a write of ours returned, so that the next reconcile sees it before the
  // watch tells; older versions from the watch do not undo it.
  void observe(const ObjectPtr& object);

  const Resource& resource() const { return resource_; }

 private:
  rt::Task<void> follow();
  rt::Task<kube::ApiResult<void>> list_once();
  rt::Task<kube::ApiResult<void>> watch_once();
  void replace_all(List list);
  void apply(const WatchEvent& event);
  void put(const ObjectPtr& object);  // unless it is older than what is there
  void change(const kube::NamespacedName& key, ObjectPtr after);

  rt::Loop& loop_;
  Client& client_;
  Random random_;
  const Resource resource_;
  const ListOptions options_;
  std::vector<Handler> handlers_;
  std::map<kube::NamespacedName, ObjectPtr> objects_;
  std::string resource_version_;  // empty: list first
  rt::Event synced_;
  rt::Scope scope_;
};

}  // namespace tulle::kubeclient
