#include "controllers/manager.h"

#include "controllers/deployment.h"
#include "controllers/endpoints.h"
#include "controllers/front_door.h"
#include "controllers/garbage.h"
#include "controllers/namespaces.h"
#include "controllers/replica_set.h"
#include "controllers/traffic_policy.h"

#include <boost/json/object.hpp>

#include <vector>

namespace tulle::controllers {

namespace {

using kubeclient::Cache;

// Everything that may stand in a namespace, and goes with it. Pods before what they need.
std::vector<kubeclient::Resource> namespaced_resources() {
  using namespace kubeclient;
  return {kDeployments,     kReplicaSets, kPods,      kServices,
          kEndpointSlices,  kEndpoints,   kIngresses, kTrafficPolicies,
          kServiceAccounts, kConfigMaps,  kSecrets,   kLeases,
          kEvents};
}

}  // namespace

struct Manager::Parts {
  Parts(rt::Loop& on, kubeclient::Client& with, Random seeded, ManagerOptions options)
      : loop(on),
        client(with),
        random(seeded),
        namespace_controller(shared, namespaced_resources(), options.ca_pem),
        front_door(shared, {.load_balancers = options.load_balancers,
                            .ingress = options.ingress,
                            .ingress_port = options.ingress_port}) {}

  rt::Task<void> run() {
    for (Cache* cache : caches) cache->start();
    for (Cache* cache : caches) co_await cache->synced();
    tasks.spawn(replica_set_controller.run());
    tasks.spawn(deployment_controller.run());
    tasks.spawn(endpoints_controller.run());
    tasks.spawn(garbage_controller.run());
    tasks.spawn(namespace_controller.run());
    tasks.spawn(front_door.run());
    tasks.spawn(traffic_policy_controller.run());
  }

  rt::Loop& loop;
  kubeclient::Client& client;
  Random random;
  kubeclient::EventRecorder events{loop, client, Random(random.next()), "tulle-controllers"};
  Cache pods{loop, client, Random(random.next()), kubeclient::kPods};
  Cache services{loop, client, Random(random.next()), kubeclient::kServices};
  Cache endpoint_slices{loop, client, Random(random.next()), kubeclient::kEndpointSlices};
  Cache endpoints{loop, client, Random(random.next()), kubeclient::kEndpoints};
  Cache deployments{loop, client, Random(random.next()), kubeclient::kDeployments};
  Cache replica_sets{loop, client, Random(random.next()), kubeclient::kReplicaSets};
  Cache namespaces{loop, client, Random(random.next()), kubeclient::kNamespaces};
  Cache ingresses{loop, client, Random(random.next()), kubeclient::kIngresses};
  Cache ingress_classes{loop, client, Random(random.next()), kubeclient::kIngressClasses};
  Cache traffic_policies{loop, client, Random(random.next()), kubeclient::kTrafficPolicies};
  Cache config_maps{loop, client, Random(random.next()), kubeclient::kConfigMaps};
  Cache secrets{loop, client, Random(random.next()), kubeclient::kSecrets};
  Cache service_accounts{loop, client, Random(random.next()), kubeclient::kServiceAccounts};
  Cache nodes{loop, client, Random(random.next()), kubeclient::kNodes};
  Cache leases{loop, client, Random(random.next()), kubeclient::kLeases};
  std::vector<Cache*> caches{
      &pods,         &services,   &endpoint_slices,  &endpoints,       &deployments,
      &replica_sets, &namespaces, &ingresses,        &ingress_classes, &traffic_policies,
      &config_maps,  &secrets,    &service_accounts, &nodes,           &leases};
  Shared shared{.loop = loop,
                .client = client,
                .events = events,
                .random = random,
                .pods = pods,
                .services = services,
                .endpoint_slices = endpoint_slices,
                .endpoints = endpoints,
                .deployments = deployments,
                .replica_sets = replica_sets,
                .namespaces = namespaces,
                .ingresses = ingresses,
                .ingress_classes = ingress_classes,
                .traffic_policies = traffic_policies,
                .nodes = nodes};
  ReplicaSetController replica_set_controller{shared};
  DeploymentController deployment_controller{shared};
  EndpointsController endpoints_controller{shared};
  TrafficPolicyController traffic_policy_controller{shared};
  GarbageController garbage_controller{shared, caches};
  NamespaceController namespace_controller;
  FrontDoorController front_door;
  rt::Scope tasks{loop};
};

Manager::Manager(rt::Loop& loop, kubeclient::Client& client, Random random, ManagerOptions options)
    : parts_(std::make_unique<Parts>(loop, client, random, std::move(options))) {}

Manager::~Manager() = default;

void Manager::start() { parts_->tasks.spawn(parts_->run()); }

}  // namespace tulle::controllers
