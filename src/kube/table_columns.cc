// The columns of the built-in kinds, as data. Another kind is another list here; a cell that no
// path can say is a named function of table_cells.cc.
#include "kube/object.h"
#include "kube/table.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::kube {

namespace {

constexpr int wide = 1;  // priority of what only -o wide shows

Column name_column(std::string source = ".metadata.name") {
  return {.name = "Name", .source = std::move(source), .format = "name"};
}
Column age_column() { return {.name = "Age", .source = "@age"}; }
Column text_column(std::string name, std::string source, std::string absent = {}) {
  return {.name = std::move(name), .source = std::move(source), .absent = std::move(absent)};
}
Column count_column(std::string name, std::string source) {
  return {.name = std::move(name), .type = "integer", .source = std::move(source), .absent = "0"};
}
Column wide_column(std::string name, std::string source, std::string absent = "<none>") {
  return {.name = std::move(name),
          .source = std::move(source),
          .priority = wide,
          .absent = std::move(absent)};
}

struct KindColumns {
  std::string_view group;
  std::string_view kind;
  std::vector<Column> columns;
};

std::vector<Column> pod_columns() {
  return {name_column(),
          text_column("Ready", "@pod_ready"),
          text_column("Status", "@pod_status"),
          text_column("Restarts", "@pod_restarts"),
          age_column(),
          wide_column("IP", ".status.podIP"),
          wide_column("Node", ".spec.nodeName"),
          wide_column("Nominated Node", ".status.nominatedNodeName"),
          wide_column("Readiness Gates", "@pod_readiness_gates")};
}

std::vector<Column> node_columns() {
  constexpr std::string_view unknown = "<unknown>";
  return {name_column(),
          text_column("Status", "@node_status"),
          text_column("Roles", "@node_roles"),
          age_column(),
          text_column("Version", ".status.nodeInfo.kubeletVersion"),
          wide_column("Internal-IP", ".status.addresses[?(@.type==\"InternalIP\")].address"),
          wide_column("External-IP", ".status.addresses[?(@.type==\"ExternalIP\")].address"),
          wide_column("OS-Image", ".status.nodeInfo.osImage", std::string(unknown)),
          wide_column("Kernel-Version", ".status.nodeInfo.kernelVersion", std::string(unknown)),
          wide_column("Container-Runtime", ".status.nodeInfo.containerRuntimeVersion",
                      std::string(unknown))};
}

std::vector<Column> event_columns() {
  return {text_column("Last Seen", "@event_last_seen"),
          text_column("Type", ".type"),
          text_column("Reason", ".reason"),
          text_column("Object", "@event_object"),
          wide_column("Subobject", "@event_subobject"),
          wide_column("Source", "@event_source"),
          text_column("Message", "@event_message"),
          wide_column("First Seen", "@event_first_seen"),
          {.name = "Count", .type = "integer", .source = "@event_count", .priority = wide},
          {.name = "Name", .source = ".metadata.name", .priority = wide, .format = "name"}};
}

std::vector<Column> deployment_columns() {
  return {name_column(),
          text_column("Ready", "@replicas_ready"),
          count_column("Up-to-date", ".status.updatedReplicas"),
          count_column("Available", ".status.availableReplicas"),
          age_column(),
          wide_column("Containers", ".spec.template.spec.containers[*].name"),
          wide_column("Images", ".spec.template.spec.containers[*].image"),
          wide_column("Selector", "@workload_selector")};
}

std::vector<Column> replica_set_columns() {
  return {name_column(),
          count_column("Desired", ".spec.replicas"),
          count_column("Current", ".status.replicas"),
          count_column("Ready", ".status.readyReplicas"),
          age_column(),
          wide_column("Containers", ".spec.template.spec.containers[*].name"),
          wide_column("Images", ".spec.template.spec.containers[*].image"),
          wide_column("Selector", "@workload_selector")};
}

std::vector<Column> stateful_set_columns() {
  return {name_column(), text_column("Ready", "@replicas_ready"), age_column(),
          wide_column("Containers", ".spec.template.spec.containers[*].name"),
          wide_column("Images", ".spec.template.spec.containers[*].image")};
}

std::vector<Column> daemon_set_columns() {
  return {name_column(),
          count_column("Desired", ".status.desiredNumberScheduled"),
          count_column("Current", ".status.currentNumberScheduled"),
          count_column("Ready", ".status.numberReady"),
          count_column("Up-to-date", ".status.updatedNumberScheduled"),
          count_column("Available", ".status.numberAvailable"),
          text_column("Node Selector", "@node_selector"),
          age_column(),
          wide_column("Containers", ".spec.template.spec.containers[*].name"),
          wide_column("Images", ".spec.template.spec.containers[*].image"),
          wide_column("Selector", "@workload_selector")};
}

std::vector<Column> job_columns() {
  return {name_column(),
          text_column("Status", "@job_status"),
          text_column("Completions", "@job_completions"),
          text_column("Duration", "@job_duration"),
          age_column(),
          wide_column("Containers", ".spec.template.spec.containers[*].name"),
          wide_column("Images", ".spec.template.spec.containers[*].image"),
          wide_column("Selector", "@workload_selector")};
}

std::vector<Column> cron_job_columns() {
  constexpr std::string_view containers = ".spec.jobTemplate.spec.template.spec.containers[*]";
  return {name_column(),
          text_column("Schedule", ".spec.schedule"),
          text_column("Timezone", ".spec.timeZone", "<none>"),
          text_column("Suspend", "@cron_job_suspend"),
          {.name = "Active", .type = "integer", .source = "@cron_job_active"},
          text_column("Last Schedule", "@cron_job_last_schedule"),
          age_column(),
          wide_column("Containers", std::string(containers) + ".name"),
          wide_column("Images", std::string(containers) + ".image")};
}

std::vector<Column> autoscaler_columns() {
  return {name_column(),
          text_column("Reference", "@autoscaler_reference"),
          text_column("Targets", "@autoscaler_targets"),
          text_column("MinPods", ".spec.minReplicas", "<unset>"),
          count_column("MaxPods", ".spec.maxReplicas"),
          count_column("Replicas", ".status.currentReplicas"),
          age_column()};
}

std::vector<Column> disruption_budget_columns() {
  return {name_column(), text_column("Min Available", ".spec.minAvailable", "N/A"),
          text_column("Max Unavailable", ".spec.maxUnavailable", "N/A"),
          count_column("Allowed Disruptions", ".status.disruptionsAllowed"), age_column()};
}

std::vector<Column> claim_columns() {
  return {name_column(),
          text_column("Status", "@claim_status"),
          text_column("Volume", ".spec.volumeName"),
          text_column("Capacity", "@claim_capacity"),
          text_column("Access Modes", "@claim_access_modes"),
          text_column("StorageClass", ".spec.storageClassName"),
          text_column("VolumeAttributesClass", ".spec.volumeAttributesClassName", "<unset>"),
          age_column(),
          wide_column("VolumeMode", ".spec.volumeMode", "<unset>")};
}

std::vector<Column> volume_columns() {
  return {name_column(),
          text_column("Capacity", ".spec.capacity.storage"),
          text_column("Access Modes", "@volume_access_modes"),
          text_column("Reclaim Policy", ".spec.persistentVolumeReclaimPolicy"),
          text_column("Status", "@volume_status"),
          text_column("Claim", "@volume_claim"),
          text_column("StorageClass", ".spec.storageClassName"),
          text_column("VolumeAttributesClass", ".spec.volumeAttributesClassName", "<unset>"),
          text_column("Reason", ".status.reason"),
          age_column(),
          wide_column("VolumeMode", ".spec.volumeMode", "<unset>")};
}

std::vector<Column> storage_class_columns() {
  return {name_column("@storage_class_name"),
          text_column("Provisioner", ".provisioner"),
          text_column("ReclaimPolicy", ".reclaimPolicy"),
          text_column("VolumeBindingMode", ".volumeBindingMode"),
          text_column("AllowVolumeExpansion", ".allowVolumeExpansion", "false"),
          age_column()};
}

std::vector<Column> service_columns() {
  return {name_column(),
          text_column("Type", ".spec.type", "ClusterIP"),
          text_column("Cluster-IP", "@service_cluster_ip"),
          text_column("External-IP", "@service_external_ip"),
          text_column("Port(s)", "@service_ports"),
          age_column(),
          wide_column("Selector", "@service_selector")};
}

std::vector<KindColumns> make_columns() {
  return {
      {"", "Pod", pod_columns()},
      {"", "Node", node_columns()},
      {"", "Event", event_columns()},
      {"events.k8s.io", "Event", event_columns()},
      {"apps", "Deployment", deployment_columns()},
      {"apps", "ReplicaSet", replica_set_columns()},
      {"apps", "StatefulSet", stateful_set_columns()},
      {"apps", "DaemonSet", daemon_set_columns()},
      {"apps",
       "ControllerRevision",
       {name_column(), text_column("Controller", "@revision_controller"),
        count_column("Revision", ".revision"), age_column()}},
      {"batch", "Job", job_columns()},
      {"batch", "CronJob", cron_job_columns()},
      {"autoscaling", "HorizontalPodAutoscaler", autoscaler_columns()},
      {"policy", "PodDisruptionBudget", disruption_budget_columns()},
      {"", "PersistentVolumeClaim", claim_columns()},
      {"", "PersistentVolume", volume_columns()},
      {"storage.k8s.io", "StorageClass", storage_class_columns()},
      {"scheduling.k8s.io",
       "PriorityClass",
       {name_column(), count_column("Value", ".value"),
        text_column("Global-Default", ".globalDefault", "false"), age_column(),
        text_column("PreemptionPolicy", ".preemptionPolicy")}},
      {"", "LimitRange", {name_column(), text_column("Created At", ".metadata.creationTimestamp")}},
      {"",
       "ResourceQuota",
       {name_column(), text_column("Request", "@quota_requests"),
        text_column("Limit", "@quota_limits"), age_column()}},
      {"", "Service", service_columns()},
      {"", "Namespace", {name_column(), text_column("Status", ".status.phase"), age_column()}},
      {"", "ConfigMap", {name_column(), count_column("Data", "@data_count"), age_column()}},
      {"",
       "Secret",
       {name_column(), text_column("Type", ".type"), count_column("Data", "@data_count"),
        age_column()}},
      {"",
       "ServiceAccount",
       {name_column(), count_column("Secrets", "@secrets_count"), age_column()}},
      {"",
       "Endpoints",
       {name_column(), text_column("Endpoints", "@endpoints_addresses"), age_column()}},
      {"discovery.k8s.io",
       "EndpointSlice",
       {name_column(), text_column("AddressType", ".addressType"),
        text_column("Ports", "@slice_ports"), text_column("Endpoints", "@slice_endpoints"),
        age_column()}},
      {"networking.k8s.io",
       "Ingress",
       {name_column(), text_column("Class", ".spec.ingressClassName", "<none>"),
        text_column("Hosts", "@ingress_hosts"), text_column("Address", "@ingress_address"),
        text_column("Ports", "@ingress_ports"), age_column()}},
      {"networking.k8s.io",
       "IngressClass",
       {name_column(), text_column("Controller", ".spec.controller"),
        text_column("Parameters", "@ingress_class_parameters"), age_column()}},
      {"coordination.k8s.io",
       "Lease",
       {name_column(), text_column("Holder", ".spec.holderIdentity"), age_column()}},
  };
}

}  // namespace

std::span<const Column> columns_of(std::string_view group, std::string_view kind) {
  static const std::vector<KindColumns> known = make_columns();
  static const std::vector<Column> generic{name_column(), age_column()};
  const auto found = std::ranges::find_if(known, [&](const KindColumns& candidate) {
    return candidate.group == group && candidate.kind == kind;
  });
  return found == known.end() ? generic : found->columns;
}

std::vector<Column> columns_from_printer_columns(const json::array& printer_columns) {
  if (printer_columns.empty()) return {name_column(), age_column()};
  std::vector<Column> columns{name_column()};
  for (const json::value& value : printer_columns) {
    const json::object& column = object_or_empty(value);
    columns.push_back({.name = std::string(string_at(column, "name")),
                       .type = std::string(string_at(column, "type", "string")),
                       .source = std::string(string_at(column, "jsonPath")),
                       .priority = static_cast<int>(integer_at(column, "priority")),
                       .format = std::string(string_at(column, "format")),
                       .description = std::string(string_at(column, "description"))});
  }
  return columns;
}

}  // namespace tulle::kube
