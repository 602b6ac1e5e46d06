// What all controllers work with: the client, the caches they share, and how they say things.
#pragma once

#include "base/random.h"
#include "kube/object.h"
#include "kubeclient/cache.h"
#include "kubeclient/events.h"
#include "kubeclient/resources.h"
#include "kubeclient/work_queue.h"

namespace tulle::controllers {

namespace json = boost::json;
using kube::ApiResult;
using kube::NamespacedName;
using kubeclient::ObjectPtr;
using kubeclient::Reconciled;

struct Shared {
  rt::Loop& loop;
  kubeclient::Client& client;
  kubeclient::EventRecorder& events;
  Random& random;

  kubeclient::Cache& pods;
  kubeclient::Cache& services;
  kubeclient::Cache& endpoint_slices;
  kubeclient::Cache& endpoints;
  kubeclient::Cache& deployments;
  kubeclient::Cache& replica_sets;
  kubeclient::Cache& namespaces;
  kubeclient::Cache& ingresses;
  kubeclient::Cache& ingress_classes;
  kubeclient::Cache& traffic_policies;
  kubeclient::Cache& nodes;
};

// The objects of `cache` in one namespace, in order of name.
std::vector<ObjectPtr> in_namespace(const kubeclient::Cache& cache, std::string_view namespace_);

// The wall clock as the API writes times.
kube::Time api_now(const rt::Loop& loop);

// A pod that counts: not ended and not told to end.
bool is_active(const json::object& pod);
bool is_ready(const json::object& pod);
// Ready since `min_ready_seconds` or longer. `until` becomes the shortest wait for one that is not
// yet: zero stays when there is none.
bool is_available(const json::object& pod, std::int64_t min_ready_seconds, kube::Time now,
                  Duration& until);

// Writes status if it differs from what the object has. `object` is a copy with the new status.
rt::Task<ApiResult<void>> write_status(Shared& shared, kubeclient::Cache& cache, ObjectPtr before,
                                       json::object after);

// Makes `object` a dependant of `owner`, unless it has a controller already.
rt::Task<ApiResult<void>> adopt(Shared& shared, kubeclient::Cache& cache, ObjectPtr object,
                                ObjectPtr owner);

// The key of the controller of `object` if its kind is `kind`.
std::optional<NamespacedName> controller_key(const json::object& object, std::string_view kind);

}  // namespace tulle::controllers
