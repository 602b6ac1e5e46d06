#include "kube/table.h"

#include "kube/object.h"
#include "kube/table_path.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::kube {
namespace {

json::object parse(std::string_view text) { return json::parse(text).as_object(); }

Time now() { return *parse_time("2026-01-02T15:04:05Z"); }

// The cells of an object's row joined by '|', all columns.
std::string cells(std::string_view group, std::string_view kind, const json::object& object) {
  const json::object row = table_row(object, {.columns = columns_of(group, kind), .now = now()});
  std::string text;
  for (const json::value& cell : array_at(row, "cells")) {
    if (!text.empty()) text += '|';
    text += cell.is_null() ? "null" : scalar_text(cell);
  }
  return text;
}

std::string headings(std::span<const Column> columns) {
  std::string text;
  for (const Column& column : columns) {
    if (!text.empty()) text += '|';
    text += column.name;
    if (column.priority > 0) text += '*';
  }
  return text;
}

// --- Pods ---------------------------------------------------------------------------------------

// A pod made 5 s ago with container `a` and the given spec, status and metadata members.
json::object pod(std::string_view status, std::string_view spec = "", std::string_view meta = "") {
  return parse(fmt::format(
      R"({{"metadata": {{"name": "web", "creationTimestamp": "2026-01-02T15:04:00Z" {}}},
          "spec": {{"containers": [{{"name": "a"}}] {}}}, "status": {}}})",
      meta, spec, status));
}

TEST(Table, a_pods_ready_status_and_restarts_read_as_upstream_shows_them) {
  struct Row {
    json::object pod;
    std::string_view shown;  // ready|status|restarts
  };
  const std::string_view deleted = R"(, "deletionTimestamp": "2026-01-02T15:04:04Z")";
  const std::string_view inits =
      R"(, "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}])";
  const Row rows[] = {
      {pod(R"({"phase": "Pending"})"), "0/1|Pending|0"},
      {pod(R"({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
               "reason": "SchedulingGated"}]})"),
       "0/1|SchedulingGated|0"},
      {pod(R"({"phase": "Running", "containerStatuses": [{"ready": true, "restartCount": 0,
               "state": {"running": {}}}]})"),
       "1/1|Running|0"},
      {pod(R"({"phase": "Running", "containerStatuses": [{"ready": true, "restartCount": 1,
               "lastState": {"terminated": {"finishedAt": "2026-01-02T15:04:00Z"}},
               "state": {"running": {}}}]})"),
       "1/1|Running|1 (5s ago)"},
      {pod(R"({"phase": "Running", "containerStatuses": [{"restartCount": 3,
               "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})"),
       "0/1|CrashLoopBackOff|3"},
      {pod(R"({"phase": "Succeeded", "containerStatuses": [
               {"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}]})"),
       "0/1|Completed|0"},
      {pod(R"({"phase": "Failed", "containerStatuses": [
               {"state": {"terminated": {"exitCode": 3}}}]})"),
       "0/1|ExitCode:3|0"},
      {pod(R"({"phase": "Failed", "containerStatuses": [
               {"state": {"terminated": {"signal": 9, "exitCode": 137}}}]})"),
       "0/1|Signal:9|0"},
      {pod(R"({"phase": "Running", "containerStatuses": [
               {"state": {"terminated": {"reason": "Completed"}}},
               {"ready": true, "state": {"running": {}}}]})",
           R"(, "x": 1)"),
       "1/1|NotReady|0"},
      {pod(R"({"phase": "Running"})", "", deleted), "0/1|Terminating|0"},
      {pod(R"({"phase": "Succeeded"})", "", deleted), "0/1|Succeeded|0"},
      {pod(R"({"phase": "Running", "reason": "NodeLost"})", "", deleted), "0/1|Unknown|0"},
      {pod(R"({"phase": "Failed", "reason": "Evicted"})"), "0/1|Evicted|0"},
      {pod(R"({"phase": "Pending", "initContainerStatuses": [
               {"name": "i", "state": {"running": {}}}]})",
           inits),
       "0/2|Init:0/2|0"},
      {pod(R"({"phase": "Pending", "initContainerStatuses": [{"name": "i", "restartCount": 2,
               "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})",
           inits),
       "0/2|Init:CrashLoopBackOff|2"},
      {pod(R"({"phase": "Pending", "initContainerStatuses": [
               {"name": "i", "state": {"terminated": {"exitCode": 1}}}]})",
           inits),
       "0/2|Init:ExitCode:1|0"},
      {pod(R"({"phase": "Running", "initContainerStatuses": [
               {"name": "i", "restartCount": 4, "state": {"terminated": {"exitCode": 0}}},
               {"name": "s", "restartCount": 1, "started": true, "ready": true,
                "state": {"running": {}}}],
               "containerStatuses": [{"ready": true, "state": {"running": {}}}]})",
           inits),
       "2/2|Running|1"},
  };
  for (const Row& row : rows) {
    const std::string shown = cells("", "Pod", row.pod);
    EXPECT_EQ(shown, fmt::format("web|{}|5s|<none>|<none>|<none>|<none>", row.shown))
        << json::serialize(row.pod);
  }
}

TEST(Table, a_wide_pod_row_shows_where_it_runs) {
  EXPECT_EQ(headings(columns_of("", "Pod")),
            "Name|Ready|Status|Restarts|Age|IP*|Node*|Nominated Node*|Readiness Gates*");
  EXPECT_EQ(cells("", "Pod",
                  pod(R"({"phase": "Running", "podIP": "10.244.0.7",
                          "conditions": [{"type": "g/1", "status": "True"}]})",
                      R"(, "nodeName": "n1", "readinessGates": [{"conditionType": "g/1"},
                                                               {"conditionType": "g/2"}])")),
            "web|0/1|Running|0|5s|10.244.0.7|n1|<none>|1/2");
}

// --- The other kinds ----------------------------------------------------------------------------

struct KindRow {
  std::string_view group;
  std::string_view kind;
  std::string_view headings;  // "": not looked at again
  std::string_view members;   // besides metadata
  std::string_view shown;
};

void expect_row(const KindRow& row) {
  if (!row.headings.empty()) {
    EXPECT_EQ(headings(columns_of(row.group, row.kind)), row.headings) << row.kind;
  }
  const json::object object = parse(fmt::format(
      R"({{"metadata": {{"name": "x", "creationTimestamp": "2026-01-02T15:04:00Z"}}, {}}})",
      row.members));
  EXPECT_EQ(cells(row.group, row.kind, object), row.shown) << row.kind;
}

TEST(Table, every_kind_shows_upstreams_columns) {
  constexpr std::string_view workload = R"("spec": {"replicas": 3,
      "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": [
        {"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}}},
      "status": {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 1})";
  const KindRow rows[] = {
      {"apps", "Deployment", "Name|Ready|Up-to-date|Available|Age|Containers*|Images*|Selector*",
       workload, "x|2/3|1|0|5s|a,b|a:1,b:1|app=web"},
      {"apps", "ReplicaSet", "Name|Desired|Current|Ready|Age|Containers*|Images*|Selector*",
       workload, "x|3|3|2|5s|a,b|a:1,b:1|app=web"},
      {"", "Service", "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector*",
       R"("spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
          "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
          "selector": {"b": "2", "a": "1"}})",
       "x|ClusterIP|10.96.0.1|<none>|80/TCP,53/UDP|5s|a=1,b=2"},
      {"", "Service", "", R"("spec": {"type": "LoadBalancer", "clusterIP": "None",
          "ports": [{"port": 80, "nodePort": 30080}]})",
       "x|LoadBalancer|None|<pending>|80:30080/TCP|5s|<none>"},
      {"", "Service", "", R"("spec": {"type": "LoadBalancer", "externalIPs": ["192.0.2.1"]},
          "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.2"}, {"hostname": "h"}]}})",
       "x|LoadBalancer|<none>|127.0.0.2,h,192.0.2.1|<none>|5s|<none>"},
      {"", "Service", "", R"("spec": {"type": "ExternalName", "externalName": "db.test"})",
       "x|ExternalName|<none>|db.test|<none>|5s|<none>"},
      {"", "Endpoints", "Name|Endpoints|Age",
       R"("subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
          "ports": [{"port": 80}, {"port": 81}]}])",
       "x|10.0.0.1:80,[fd00::1]:80,10.0.0.1:81 + 1 more...|5s"},
      {"", "Endpoints", "", R"("subsets": [])", "x|<none>|5s"},
      {"discovery.k8s.io", "EndpointSlice", "Name|AddressType|Ports|Endpoints|Age",
       R"("addressType": "IPv4", "ports": [{"name": "a", "port": 80}, {"name": "b"}],
          "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]},
                        {"addresses": ["10.0.0.3"]}, {"addresses": ["10.0.0.4"]}])",
       "x|IPv4|80,b|10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...|5s"},
      {"discovery.k8s.io", "EndpointSlice", "", R"("addressType": "IPv4")",
       "x|IPv4|<unset>|<unset>|5s"},
      {"networking.k8s.io", "Ingress", "Name|Class|Hosts|Address|Ports|Age",
       R"("spec": {"ingressClassName": "tulle", "tls": [{}],
          "rules": [{"host": "a"}, {"host": "b"}, {"host": "c"}, {"host": "d"}]},
          "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}})",
       "x|tulle|a,b,c + 1 more...|127.0.0.1|80, 443|5s"},
      {"networking.k8s.io", "Ingress", "", R"("spec": {})", "x|<none>|*||80|5s"},
      {"networking.k8s.io", "IngressClass", "Name|Controller|Parameters|Age",
       R"("spec": {"controller": "tulle.dev/ingress",
                   "parameters": {"apiGroup": "a.b", "kind": "K", "name": "n"}})",
       "x|tulle.dev/ingress|K.a.b/n|5s"},
      {"", "Node",
       "Name|Status|Roles|Age|Version|Internal-IP*|External-IP*|OS-Image*|Kernel-Version*|"
       "Container-Runtime*",
       R"("spec": {"unschedulable": true}, "status": {
          "conditions": [{"type": "Ready", "status": "True"}],
          "addresses": [{"type": "Hostname", "address": "h"},
                        {"type": "InternalIP", "address": "127.0.0.1"}],
          "nodeInfo": {"kubeletVersion": "v1.35.2", "osImage": "Debian"}})",
       "x|Ready,SchedulingDisabled|<none>|5s|v1.35.2|127.0.0.1|<none>|Debian|<unknown>|<unknown>"},
      {"", "Namespace", "Name|Status|Age", R"("status": {"phase": "Active"})", "x|Active|5s"},
      {"", "ConfigMap", "Name|Data|Age", R"("data": {"a": "1"}, "binaryData": {"b": ""})",
       "x|2|5s"},
      {"", "Secret", "Name|Type|Data|Age", R"("type": "Opaque", "data": {"a": "MQ=="})",
       "x|Opaque|1|5s"},
      {"", "ServiceAccount", "Name|Secrets|Age", R"("kind": "ServiceAccount")", "x|0|5s"},
      {"coordination.k8s.io", "Lease", "Name|Holder|Age", R"("spec": {"holderIdentity": "me"})",
       "x|me|5s"},
      {"", "Event",
       "Last Seen|Type|Reason|Object|Subobject*|Source*|Message|First Seen*|Count*|Name*",
       R"("type": "Warning", "reason": "BackOff", "message": " no\n", "count": 4,
          "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec"},
          "source": {"component": "kubelet", "host": "n1"},
          "firstTimestamp": "2026-01-02T15:03:05Z", "lastTimestamp": "2026-01-02T15:04:04Z")",
       "1s|Warning|BackOff|pod/web|spec|kubelet, n1|no|60s|4|x"},
      {"events.k8s.io", "Event", "",
       R"("type": "Normal", "reason": "Pulled", "note": "done", "regarding": {"kind": "Node"},
          "reportingController": "tulle", "eventTime": "2026-01-02T15:04:00.000000Z")",
       "5s|Normal|Pulled|node||tulle|done|5s|1|x"},
      {"example.com", "Widget", "Name|Age", R"("kind": "Widget")", "x|5s"},
  };
  for (const KindRow& row : rows) expect_row(row);
}

TEST(Table, workloads_and_what_they_need_have_the_cells_that_kubectl_shows) {
  const KindRow rows[] = {
      {"apps", "StatefulSet", "Name|Ready|Age|Containers*|Images*",
       R"("spec": {"replicas": 3, "template": {"spec": {"containers": [
          {"name": "db", "image": "db:1"}]}}}, "status": {"readyReplicas": 2})",
       "x|2/3|5s|db|db:1"},
      {"apps", "DaemonSet",
       "Name|Desired|Current|Ready|Up-to-date|Available|Node Selector|Age|Containers*|Images*|"
       "Selector*",
       R"("spec": {"selector": {"matchLabels": {"a": "1"}}, "template": {"spec": {
          "nodeSelector": {"disk": "ssd"}, "containers": [{"name": "c", "image": "i"}]}}},
          "status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 1})",
       "x|2|1|0|0|0|disk=ssd|5s|c|i|a=1"},
      {"apps", "ControllerRevision", "Name|Controller|Revision|Age", R"("revision": 4)",
       "x|<none>|4|5s"},
      {"batch", "Job", "Name|Status|Completions|Duration|Age|Containers*|Images*|Selector*",
       R"("spec": {"completions": 3}, "status": {"succeeded": 1,
          "startTime": "2026-01-02T15:04:01Z"})",
       "x|Running|1/3|4s|5s|<none>|<none>|<none>"},
      {"batch", "Job", "",
       R"("spec": {"parallelism": 4}, "status": {"startTime": "2026-01-02T15:04:01Z",
          "completionTime": "2026-01-02T15:04:03Z",
          "conditions": [{"type": "Complete", "status": "True"}]})",
       "x|Complete|0/1 of 4|2s|5s|<none>|<none>|<none>"},
      {"batch", "CronJob",
       "Name|Schedule|Timezone|Suspend|Active|Last Schedule|Age|Containers*|Images*",
       R"("spec": {"schedule": "*/5 * * * *"}, "status": {"active": [{"name": "x-1"}],
          "lastScheduleTime": "2026-01-02T15:00:00Z"})",
       "x|*/5 * * * *|<none>|False|1|4m5s|5s|<none>|<none>"},
      {"autoscaling", "HorizontalPodAutoscaler",
       "Name|Reference|Targets|MinPods|MaxPods|Replicas|Age",
       R"("spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1,
          "maxReplicas": 9, "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
            {"type": "Pods", "pods": {"metric": {"name": "requests"},
                                      "target": {"averageValue": "10"}}}]},
          "status": {"currentReplicas": 2, "currentMetrics": [
            {"type": "Resource", "resource": {"name": "cpu",
                                              "current": {"averageUtilization": 41}}}]})",
       "x|Deployment/web|cpu: 41%/80%, requests: <unknown>/10 (avg)|1|9|2|5s"},
      {"policy", "PodDisruptionBudget",
       "Name|Min Available|Max Unavailable|Allowed Disruptions|Age",
       R"("spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1})", "x|50%|N/A|1|5s"},
      {"", "PersistentVolumeClaim",
       "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|"
       "VolumeMode*",
       R"("spec": {"volumeName": "pv-1", "storageClassName": "fast"}, "status": {"phase": "Bound",
          "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"]})",
       "x|Bound|pv-1|1Gi|RWO,ROX|fast|<unset>|5s|<unset>"},
      {"", "PersistentVolume",
       "Name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|"
       "VolumeAttributesClass|Reason|Age|VolumeMode*",
       R"("spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"],
          "persistentVolumeReclaimPolicy": "Delete",
          "claimRef": {"namespace": "shop", "name": "data"}}, "status": {"phase": "Bound"})",
       "x|1Gi|RWOP|Delete|Bound|shop/data|null|<unset>|null|5s|<unset>"},
      {"storage.k8s.io", "StorageClass",
       "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age",
       R"("provisioner": "tulle.dev/local-path", "reclaimPolicy": "Delete")",
       "x|tulle.dev/local-path|Delete|null|false|5s"},
      {"", "ResourceQuota", "Name|Request|Limit|Age",
       R"("status": {"hard": {"pods": "10", "limits.cpu": "4"}, "used": {"pods": "2"}})",
       "x|pods: 2/10|limits.cpu: /4|5s"},
  };
  for (const KindRow& row : rows) expect_row(row);
}

TEST(Table, node_roles_come_from_its_labels) {
  const json::object node = parse(R"({"metadata": {"name": "n", "labels": {
      "node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "",
      "kubernetes.io/role": "edge"}}})");
  EXPECT_EQ(cells("", "Node", node),
            "n|Unknown|control-plane,edge,worker|<unknown>|null|<none>|<none>|<unknown>|<unknown>|"
            "<unknown>");
}

// --- Printer columns ----------------------------------------------------------------------------

TEST(Table, printer_columns_of_a_crd_are_paths) {
  const auto columns = columns_from_printer_columns(json::parse(R"([
      {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
      {"name": "Ready", "type": "string",
       "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
      {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
      {"name": "Hosts", "type": "string", "jsonPath": ".spec.hosts", "priority": 1},
      {"name": "Gone", "type": "boolean", "jsonPath": ".spec.gone"}])")
                                                        .as_array());
  EXPECT_EQ(headings(columns), "Name|Size|Ready|Since|Hosts*|Gone");
  const json::object row =
      table_row(parse(R"({"metadata": {"name": "w", "creationTimestamp": "2026-01-02T12:04:05Z"},
          "spec": {"size": 3, "hosts": ["a", "b"]},
          "status": {"conditions": [{"type": "Ready", "status": "True"}]}})"),
                {.columns = columns, .include = IncludeObject::none, .now = now()});
  EXPECT_EQ(row, parse(R"({"cells": ["w", 3, "True", "3h", "[\"a\",\"b\"]", null],
                           "object": null})"));
  EXPECT_EQ(headings(columns_from_printer_columns({})), "Name|Age");
}

TEST(Table, paths_select_values) {
  const json::object object = parse(R"({"a": {"b.c": 1, "l": [{"t": "x", "v": 1},
      {"t": "y]", "v": 2}], "n": null}})");
  struct Row {
    std::string_view path;
    std::string_view values;
  };
  constexpr Row rows[] = {
      {".a.b\\.c", "[1]"},
      {".a['b.c']", "[1]"},
      {"{.a.l[*].v}", "[1,2]"},
      {".a.l[1].v", "[2]"},
      {".a.l[-1].v", "[2]"},
      {".a.l[2].v", "[]"},
      {".a.n", "[null]"},
      {".a.l[?(@.t=='y]')].v", "[2]"},
      {".a.l[?(@.v==1)].t", "[\"x\"]"},
      {".a.x.y", "[]"},
      {"a", "[]"},
      {".a.l[", "[]"},
      {".a.l[x]", "[]"},
      {".a.l[0]v", "[]"},
      {"", "[]"},
  };
  for (const Row& row : rows) {
    json::array values;
    for (const json::value* value : evaluate_path(object, row.path)) values.push_back(*value);
    EXPECT_EQ(json::serialize(values), row.values) << row.path;
  }
}

// --- Documents ----------------------------------------------------------------------------------

TEST(Table, documents_have_upstreams_shape) {
  const json::object map = parse(R"({"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": "1"},
      "metadata": {"name": "m", "resourceVersion": "5",
                   "creationTimestamp": "2026-01-02T15:04:00Z"}})");
  const json::object* const objects[] = {&map};
  const TableOptions options{.columns = columns_of("", "ConfigMap"), .now = now()};
  const json::object table = make_table({{"resourceVersion", "9"}}, objects, options);
  EXPECT_EQ(kind_of(table), "Table");
  EXPECT_EQ(api_version_of(table), "meta.k8s.io/v1");
  EXPECT_EQ(resource_version_of(table), "9");
  EXPECT_EQ(json::serialize(array_at(table, "columnDefinitions").at(0)),
            R"({"name":"Name","type":"string","format":"name","description":"","priority":0})");
  EXPECT_EQ(json::serialize(array_at(table, "rows").at(0)),
            R"({"cells":["m",1,"5s"],"object":{"kind":"PartialObjectMetadata",)"
            R"("apiVersion":"meta.k8s.io/v1","metadata":{"name":"m","resourceVersion":"5",)"
            R"("creationTimestamp":"2026-01-02T15:04:00Z"}}})");

  const json::object event = watch_table(map, false, options);
  EXPECT_EQ(resource_version_of(event), "5");
  EXPECT_TRUE(array_at(event, "columnDefinitions").empty());
  EXPECT_EQ(array_at(event, "rows").size(), 1U);

  const json::object list = partial_metadata_list({{"resourceVersion", "9"}}, objects);
  EXPECT_EQ(kind_of(list), "PartialObjectMetadataList");
  EXPECT_EQ(name_of(array_at(list, "items").at(0).as_object()), "m");

  EXPECT_EQ(parse_include_object(""), IncludeObject::metadata);
  EXPECT_EQ(parse_include_object("Object"), IncludeObject::object);
  EXPECT_EQ(parse_include_object("All"), std::nullopt);
}

}  // namespace
}  // namespace tulle::kube
