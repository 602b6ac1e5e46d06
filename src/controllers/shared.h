// What all controllers work with: the client, the caches they share, and how they say things.
#pragma once

#include "base/random.h"
#include "kube/object.h"
#include "kubeclient/cache.h"
#include "kubeclient/events.h"
#include "kubeclient/resources.h"
#include "kubeclient/work_queue.h"

#include <memory>
#include <vector>

namespace tulle::controllers {

namespace json = boost::json;
using kube::ApiResult;
using kube::NamespacedName;
using kubeclient::ObjectPtr;
using kubeclient::Reconciled;

// Belongs to one loop. All that it is made of must outlive it.
class Shared final {
 public:
  Shared(rt::Loop& on, kubeclient::Client& with, Random seeded)
      : loop(on), client(with), random(seeded) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  rt::Loop& loop;
  kubeclient::Client& client;
  Random random;
  kubeclient::EventRecorder events{loop, client, Random(random.next()), "tulle-controllers"};

  // Every resource that may own or be owned, and what else is looked at. Handlers are added before
  // the caches start.
  std::vector<std::unique_ptr<kubeclient::Cache>> caches;

  kubeclient::Cache& pods = watched(kubeclient::kPods);
  kubeclient::Cache& services = watched(kubeclient::kServices);
  kubeclient::Cache& endpoint_slices = watched(kubeclient::kEndpointSlices);
  kubeclient::Cache& endpoints = watched(kubeclient::kEndpoints);
  kubeclient::Cache& deployments = watched(kubeclient::kDeployments);
  kubeclient::Cache& replica_sets = watched(kubeclient::kReplicaSets);
  kubeclient::Cache& stateful_sets = watched(kubeclient::kStatefulSets);
  kubeclient::Cache& daemon_sets = watched(kubeclient::kDaemonSets);
  kubeclient::Cache& controller_revisions = watched(kubeclient::kControllerRevisions);
  kubeclient::Cache& jobs = watched(kubeclient::kJobs);
  kubeclient::Cache& cron_jobs = watched(kubeclient::kCronJobs);
  kubeclient::Cache& autoscalers = watched(kubeclient::kAutoscalers);
  kubeclient::Cache& disruption_budgets = watched(kubeclient::kDisruptionBudgets);
  kubeclient::Cache& persistent_volumes = watched(kubeclient::kPersistentVolumes);
  kubeclient::Cache& persistent_volume_claims = watched(kubeclient::kPersistentVolumeClaims);
  kubeclient::Cache& storage_classes = watched(kubeclient::kStorageClasses);
  kubeclient::Cache& resource_quotas = watched(kubeclient::kResourceQuotas);
  kubeclient::Cache& limit_ranges = watched(kubeclient::kLimitRanges);
  kubeclient::Cache& namespaces = watched(kubeclient::kNamespaces);
  kubeclient::Cache& ingresses = watched(kubeclient::kIngresses);
  kubeclient::Cache& ingress_classes = watched(kubeclient::kIngressClasses);
  kubeclient::Cache& traffic_policies = watched(kubeclient::kTrafficPolicies);
  kubeclient::Cache& config_maps = watched(kubeclient::kConfigMaps);
  kubeclient::Cache& secrets = watched(kubeclient::kSecrets);
  kubeclient::Cache& service_accounts = watched(kubeclient::kServiceAccounts);
  kubeclient::Cache& nodes = watched(kubeclient::kNodes);
  kubeclient::Cache& leases = watched(kubeclient::kLeases);

 private:
  kubeclient::Cache& watched(const kubeclient::Resource& resource);
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

// A count in a status, left out where it is zero.
void put_count(json::object& status, std::string_view field, std::int64_t count);

// Makes `object` a dependant of `owner`, unless it has a controller already.
rt::Task<ApiResult<void>> adopt(Shared& shared, kubeclient::Cache& cache, ObjectPtr object,
                                ObjectPtr owner);

// `object` without its reference to the owner of this uid.
json::object without_owner(const json::object& object, std::string_view uid);

// Those of `cache` that `owner` controls, in order of name. On the way one that its selector no
// longer matches is let go, and an orphan that it matches is adopted if `may_adopt` says so. An
// owner that is being deleted does neither.
using MayAdopt = bool (*)(const json::object& orphan, const json::object& owner);
rt::Task<ApiResult<std::vector<ObjectPtr>>> claim(Shared& shared, kubeclient::Cache& cache,
                                                  ObjectPtr owner, MayAdopt may_adopt);

// Deletes this very object, not a later one of the same name. That it is gone already is success.
rt::Task<ApiResult<void>> remove(Shared& shared, kubeclient::Resource resource, ObjectPtr object);

// The first failure of several writes.
ApiResult<void> first_failure(const std::vector<ApiResult<void>>& outcomes);

// A pod that has no name yet, as `pod_template` of `owner` has it, which becomes its controller.
json::object pod_from_template(const json::object& owner, const json::object& pod_template);

// Creates a pod, or deletes this very one, and says so in an event of its owner.
rt::Task<ApiResult<void>> create_pod(Shared& shared, ObjectPtr owner, json::object pod);
rt::Task<ApiResult<void>> delete_pod(Shared& shared, ObjectPtr owner, ObjectPtr pod);

// The key of the controller of `object` if its kind is `kind`.
std::optional<NamespacedName> controller_key(const json::object& object, std::string_view kind);

}  // namespace tulle::controllers
