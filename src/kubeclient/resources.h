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
inline constexpr Resource kStatefulSets{"apps", "v1", "statefulsets", "StatefulSet"};
inline constexpr Resource kDaemonSets{"apps", "v1", "daemonsets", "DaemonSet"};
inline constexpr Resource kControllerRevisions{"apps", "v1", "controllerrevisions",
                                               "ControllerRevision"};
inline constexpr Resource kJobs{"batch", "v1", "jobs", "Job"};
inline constexpr Resource kCronJobs{"batch", "v1", "cronjobs", "CronJob"};
inline constexpr Resource kAutoscalers{"autoscaling", "v2", "horizontalpodautoscalers",
                                       "HorizontalPodAutoscaler"};
inline constexpr Resource kDisruptionBudgets{"policy", "v1", "poddisruptionbudgets",
                                             "PodDisruptionBudget"};
inline constexpr Resource kPersistentVolumes{"", "v1", "persistentvolumes", "PersistentVolume",
                                             false};
inline constexpr Resource kPersistentVolumeClaims{"", "v1", "persistentvolumeclaims",
                                                  "PersistentVolumeClaim"};
inline constexpr Resource kStorageClasses{"storage.k8s.io", "v1", "storageclasses", "StorageClass",
                                          false};
inline constexpr Resource kLimitRanges{"", "v1", "limitranges", "LimitRange"};
inline constexpr Resource kResourceQuotas{"", "v1", "resourcequotas", "ResourceQuota"};
inline constexpr Resource kEndpointSlices{"discovery.k8s.io", "v1", "endpointslices",
                                          "EndpointSlice"};
inline constexpr Resource kIngresses{"networking.k8s.io", "v1", "ingresses", "Ingress"};
inline constexpr Resource kIngressClasses{"networking.k8s.io", "v1", "ingressclasses",
                                          "IngressClass", false};
inline constexpr Resource kTrafficPolicies{"tulle.dev", "v1alpha1", "trafficpolicies",
                                           "TrafficPolicy"};
inline constexpr Resource kPodMetrics{"metrics.k8s.io", "v1beta1", "pods", "PodMetrics"};
inline constexpr Resource kNodeMetrics{"metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", false};
inline constexpr Resource kLeases{"coordination.k8s.io", "v1", "leases", "Lease"};

}  // namespace tulle::kubeclient
