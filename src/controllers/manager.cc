#include "controllers/manager.h"

#include "controllers/autoscaler.h"
#include "controllers/cron_job.h"
#include "controllers/daemon_set.h"
#include "controllers/deployment.h"
#include "controllers/disruption.h"
#include "controllers/endpoints.h"
#include "controllers/front_door.h"
#include "controllers/garbage.h"
#include "controllers/job.h"
#include "controllers/job_expiry.h"
#include "controllers/namespaces.h"
#include "controllers/quota.h"
#include "controllers/replica_set.h"
#include "controllers/scheduler.h"
#include "controllers/stateful_set.h"
#include "controllers/traffic_policy.h"
#include "controllers/volumes.h"

#include <boost/json/object.hpp>

#include <vector>

namespace tulle::controllers {

namespace {

// Everything that may stand in a namespace, and goes with it. Pods before what they need.
std::vector<kubeclient::Resource> namespaced_resources() {
  using namespace kubeclient;
  return {kAutoscalers,
          kCronJobs,
          kJobs,
          kDeployments,
          kReplicaSets,
          kStatefulSets,
          kDaemonSets,
          kControllerRevisions,
          kPods,
          kDisruptionBudgets,
          kServices,
          kEndpointSlices,
          kEndpoints,
          kIngresses,
          kTrafficPolicies,
          kPersistentVolumeClaims,
          kServiceAccounts,
          kConfigMaps,
          kSecrets,
          kLimitRanges,
          kResourceQuotas,
          kLeases,
          kEvents};
}

}  // namespace

struct Manager::Parts {
  Parts(rt::Loop& loop, kubeclient::Client& client, Random random, ManagerOptions options)
      : shared(loop, client, random),
        autoscaler_controller(shared, options.request_rates),
        namespace_controller(shared, namespaced_resources(), options.ca_pem),
        front_door(shared, {.load_balancers = options.load_balancers,
                            .ingress = options.ingress,
                            .ingress_port = options.ingress_port}),
        volume_controller(shared, options.volumes_directory) {}

  rt::Task<void> run() {
    for (const auto& cache : shared.caches) cache->start();
    for (const auto& cache : shared.caches) co_await cache->synced();
    tasks.spawn(scheduler.run());
    tasks.spawn(replica_set_controller.run());
    tasks.spawn(deployment_controller.run());
    tasks.spawn(autoscaler_controller.run());
    tasks.spawn(disruption_controller.run());
    tasks.spawn(stateful_set_controller.run());
    tasks.spawn(daemon_set_controller.run());
    tasks.spawn(job_controller.run());
    tasks.spawn(job_expiry_controller.run());
    tasks.spawn(cron_job_controller.run());
    tasks.spawn(endpoints_controller.run());
    tasks.spawn(garbage_controller.run());
    tasks.spawn(namespace_controller.run());
    tasks.spawn(quota_controller.run());
    tasks.spawn(front_door.run());
    tasks.spawn(traffic_policy_controller.run());
    tasks.spawn(volume_controller.run());
  }

  Shared shared;
  SchedulerController scheduler{shared};
  ReplicaSetController replica_set_controller{shared};
  DeploymentController deployment_controller{shared};
  AutoscalerController autoscaler_controller;
  DisruptionController disruption_controller{shared};
  StatefulSetController stateful_set_controller{shared};
  DaemonSetController daemon_set_controller{shared};
  JobController job_controller{shared};
  JobExpiryController job_expiry_controller{shared};
  CronJobController cron_job_controller{shared};
  EndpointsController endpoints_controller{shared};
  TrafficPolicyController traffic_policy_controller{shared};
  GarbageController garbage_controller{shared};
  QuotaController quota_controller{shared};
  NamespaceController namespace_controller;
  FrontDoorController front_door;
  VolumeController volume_controller;
  rt::Scope tasks{shared.loop};
};

Manager::Manager(rt::Loop& loop, kubeclient::Client& client, Random random, ManagerOptions options)
    : parts_(std::make_unique<Parts>(loop, client, random, std::move(options))) {}

Manager::~Manager() = default;

void Manager::start() { parts_->tasks.spawn(parts_->run()); }

}  // namespace tulle::controllers
