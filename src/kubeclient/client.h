// A client of a Kubernetes API: Tulle's own in the same process (apiserver/local_client.h), or any
// server behind a kubeconfig (kubeclient/http_client.h). Its users cannot tell which.
#pragma once

#include "kube/status.h"
#include "rt/task.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::kubeclient {

// Objects are shared and never changed in place: copy one to change it.
using ObjectPtr = std::shared_ptr<const boost::json::object>;

// A resource of the API. See kubeclient/resources.h for those that Tulle uses.
struct Resource {
  std::string_view group;  // "" for the core group
  std::string_view version;
  std::string_view plural;
  std::string_view kind;
  bool namespaced = true;

  friend bool operator==(const Resource&, const Resource&) = default;
};

struct ObjectKey {
  std::string namespace_ = {};  // "" for cluster scope
  std::string name = {};
};

struct ListOptions {
  std::string namespace_ = {};  // "" for all
  std::string label_selector = {};
  std::string field_selector = {};
};

struct List {
  std::vector<ObjectPtr> items;
  std::string resource_version;
};

enum class WatchType : std::uint8_t { added, modified, deleted, bookmark };

struct WatchEvent {
  WatchType type = WatchType::added;
  ObjectPtr object;  // for a bookmark only metadata.resourceVersion
};

class Watch {
 public:
  virtual ~Watch() = default;
  // The next event; an error ends the watch. Reason::expired: list again. Reason::timeout: the
  // server ended it in order, watch again from the last resourceVersion. Dropping the task is safe.
  virtual rt::Task<kube::ApiResult<WatchEvent>> next() = 0;
};

enum class PatchType : std::uint8_t { json, merge, strategic };

struct DeleteOptions {
  std::optional<std::int64_t> grace_period_seconds = std::nullopt;
  std::string uid = {};               // precondition
  std::string resource_version = {};  // precondition
  std::string propagation_policy = {};
};

// Belongs to one loop. Tasks may be dropped; a write may then have happened or not. The client must
// outlive its tasks and watches. Arguments are owned by the tasks.
class Client {
 public:
  virtual ~Client() = default;

  virtual rt::Task<kube::ApiResult<ObjectPtr>> get(Resource resource, ObjectKey key) = 0;
  virtual rt::Task<kube::ApiResult<List>> list(Resource resource, ListOptions options) = 0;
  // Changes after `resource_version`, with bookmarks.
  virtual rt::Task<kube::ApiResult<std::unique_ptr<Watch>>> watch(Resource resource,
                                                                  ListOptions options,
                                                                  std::string resource_version) = 0;

  // The namespace comes from the object's metadata.
  virtual rt::Task<kube::ApiResult<ObjectPtr>> create(Resource resource,
                                                      boost::json::object object) = 0;
  // `subresource` "" or "status". Fails with conflict when the object's resourceVersion is old.
  virtual rt::Task<kube::ApiResult<ObjectPtr>> update(Resource resource, boost::json::object object,
                                                      std::string subresource) = 0;
  virtual rt::Task<kube::ApiResult<ObjectPtr>> patch(Resource resource, ObjectKey key,
                                                     PatchType type, boost::json::value patch,
                                                     std::string subresource) = 0;
  virtual rt::Task<kube::ApiResult<void>> remove(Resource resource, ObjectKey key,
                                                 DeleteOptions options) = 0;
};

// "/apis/apps/v1/namespaces/default/deployments/web/status"; the parts that are empty are left out.
std::string resource_path(const Resource& resource, std::string_view namespace_,
                          std::string_view name = {}, std::string_view subresource = {});

}  // namespace tulle::kubeclient
