// The resources that Tulle's own components read and write.
#pragma once

#include "kubeclient/client.h"

namespace tulle::kubeclient {

inline constexpr Resource kNamespaces{"", "v1", "namespaces", "Namespace", false};
inline constexpr Resource kNodes{"", "v1", "nodes", "Node", false};
inline constexpr Resource kPods{"", "v1", "pods", "Pod"};
inline constexpr Resource kServices{"", "v1", "services", "Service"};
inline constexpr Resource kEndpoints{"", "v1", "endpoints", "Endpoints"};
inline constexpr Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap"};
inline constexpr Resource kSecrets{"", "v1", "secrets", "Secret"};
inline constexpr Resource kServiceAccounts{"", "v1", "serviceaccounts", "ServiceAccount"};
inline constexpr Resource kEvents{"", "v1", "events", "Event"};
inline constexpr Resource kDeployments{"apps", "v1", "deployments", "Deployment"};
inline constexpr Resource kReplicaSets{"apps", "v1", "replicasets", "ReplicaSet"};
inline constexpr Resource kEndpointSlices{"discovery.k8s.io", "v1", "endpointslices",
                                          "EndpointSlice"};
inline constexpr Resource kIngresses{"networking.k8s.io", "v1", "ingresses", "Ingress"};
inline constexpr Resource kIngressClasses{"networking.k8s.io", "v1", "ingressclasses",
                                          "IngressClass", false};
inline constexpr Resource kTrafficPolicies{"tulle.dev", "v1alpha1", "trafficpolicies",
                                           "TrafficPolicy"};
inline constexpr Resource kLeases{"coordination.k8s.io", "v1", "leases", "Lease"};

}  // namespace tulle::kubeclient
